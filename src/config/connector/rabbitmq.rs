use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::common::{
    self, ContentMode, Fault, IN_FLIGHT, IN_FLIGHT_BYTES, PUBLISH_TIMEOUT, Provision, TlsClient,
};
use crate::config::report::Report;
use crate::config::secret::Secret;
use crate::config::tree::Path;
use crate::config::{Size, duration};

/// RabbitMQ, by AMQP 0.9.1.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RabbitMqConnector {
    /// `amqp://host:port/vhost` or `amqps://...` of the nodes of one cluster, tried in turn; the
    /// virtual host `/` is written `%2f`. User and password have keys of their own. At least one.
    pub urls: Vec<String>,
    /// Who logs in.
    pub user: String,
    /// The password, read again at every connection. Default: guest.
    #[serde(skip_serializing)]
    pub password: Option<Secret>,
    /// How to log in.
    pub mechanism: Mechanism,
    /// TLS for `amqps` addresses. Default: with all its defaults.
    pub tls: Option<TlsClient>,
    /// What the connection is called in the management pages.
    pub client_id: String,
    /// How long one publishing may take. At least 1s and less than 25s, so that a pulled event
    /// can be confirmed before VOD gives it to somebody else.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub publish_timeout: Duration,
    /// What an acknowledgement must survive. Below it the connector is unavailable.
    pub require: Vec<Fault>,
    /// What is taken as survived although the broker does not tell.
    pub assume: Vec<Fault>,
    /// The topic exchange that events are published to; their topics are the routing keys.
    pub exchange: String,
    /// The queue that keeps events until subscribers have queues of their own; `null`: no queue
    /// and no binding are the bridge's.
    pub queue: QueueOrNone,
    /// Channels, each with one batch under way. At most 64.
    pub channels: u16,
    /// The most events in one batch. At most 1000.
    pub batch_max: u16,
    /// The largest message; a larger event is refused. No more than the broker's
    /// `max_message_size`.
    pub message_max: Size,
    /// Publishes under way at a time; further ones wait.
    pub in_flight: u32,
    /// The bytes of those.
    pub in_flight_bytes: Size,
    /// How an event lies in a message.
    pub mode: ContentMode,
    /// What the headers of CloudEvents attributes begin with.
    pub header_prefix: HeaderPrefix,
    /// What is done about a missing exchange, queue or binding.
    pub topology: Provision,
    /// The management API, `http://host:15672`: it tells what AMQP does not. Default: not asked.
    pub management_url: Option<String>,
    /// Who asks it. Default: who publishes.
    pub management_user: Option<String>,
    /// The password for it. Default: the one for publishing.
    #[serde(skip_serializing)]
    pub management_password: Option<Secret>,
}

/// How to log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mechanism {
    /// By user and password.
    #[default]
    Plain,
    /// By the client certificate.
    External,
}

/// What the headers of CloudEvents attributes begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum HeaderPrefix {
    /// As Knative's eventing-rabbitmq does.
    #[default]
    #[serde(rename = "ce-")]
    Ce,
    /// For readers by AMQP 1.0 whose names hold no colon (JMS).
    #[serde(rename = "cloudEvents_")]
    CloudEventsUnderscore,
    /// For readers by AMQP 1.0.
    #[serde(rename = "cloudEvents:")]
    CloudEventsColon,
}

/// The queue that the bridge makes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its type. Classic only where quorum queues cannot be had: a broker of version 3.13 or
    /// later does not flush it to disk before it acknowledges.
    #[serde(rename = "type")]
    pub kind: QueueKind,
    /// How many messages it holds before it rejects further ones. Default: as many as come.
    pub length_max: Option<u64>,
}

/// The type of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// Replicated, and flushed to disk.
    #[default]
    Quorum,
    /// On one node.
    Classic,
}

/// A queue, or by `null` none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOrNone(pub Option<Queue>);

const CHANNELS_MAX: u16 = 64;
const BATCH_MAX_MAX: u16 = 1000;

/// AMQP 0.9.1, section 4.2.5.3: a short string has at most 255 bytes.
const NAME_BYTES_MAX: usize = 255;

impl Default for RabbitMqConnector {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            user: "guest".to_owned(),
            password: None,
            mechanism: Mechanism::default(),
            tls: None,
            client_id: "vodbridge".to_owned(),
            publish_timeout: PUBLISH_TIMEOUT,
            require: Vec::new(),
            assume: Vec::new(),
            exchange: "vod".to_owned(),
            queue: QueueOrNone::default(),
            channels: 4,
            batch_max: 256,
            message_max: Size::mebibytes(16),
            in_flight: IN_FLIGHT,
            in_flight_bytes: IN_FLIGHT_BYTES,
            mode: ContentMode::default(),
            header_prefix: HeaderPrefix::default(),
            topology: Provision::default(),
            management_url: None,
            management_user: None,
            management_password: None,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { name: "vod.events".to_owned(), kind: QueueKind::default(), length_max: None }
    }
}

impl Default for QueueOrNone {
    fn default() -> Self {
        Self(Some(Queue::default()))
    }
}

impl RabbitMqConnector {
    pub(super) fn check(&mut self, at: &Path, report: &mut Report<'_>) {
        common::addresses(&self.urls, "amqp://rabbitmq:5672/%2f", fault, &at.join("urls"), report);
        common::publish_timeout_of_network(self.publish_timeout, at, report);
        common::in_flight(self.in_flight, at, report);
        common::message_max(self.message_max, self.in_flight_bytes, at, report);
        for (key, number, max) in [
            ("channels", self.channels, CHANNELS_MAX),
            ("batch_max", self.batch_max, BATCH_MAX_MAX),
        ] {
            report.expect(
                (1..=max).contains(&number),
                &at.join(key),
                format!("found {number}, expected 1 to {max}"),
            );
        }
        name(&self.exchange, &at.join("exchange"), report);
        if let Some(queue) = &self.queue.0 {
            name(&queue.name, &at.join("queue").join("name"), report);
            let at = at.join("queue").join("length_max");
            report.expect(queue.length_max != Some(0), &at, "found 0, expected at least 1");
        }
        if let Some(tls) = &self.tls {
            tls.check(&at.join("tls"), report);
            let at = at.join("tls").join("verify_hostname");
            report.expect(tls.verify_hostname, &at, "found false, which only kafka can do");
        }
        let has_certificate = self.tls.as_ref().is_some_and(|tls| tls.cert_file.is_some());
        report.expect(
            self.mechanism != Mechanism::External || has_certificate,
            &at.join("mechanism"),
            "found external, which needs tls with cert_file and key_file",
        );
        common::http_url(
            &self.management_url,
            "http://rabbitmq:15672",
            &at.join("management_url"),
            report,
        );
        common::secret(&mut self.password, &at.join("password"), report);
        common::secret(&mut self.management_password, &at.join("management_password"), report);
    }
}

fn name(name: &str, at: &Path, report: &mut Report<'_>) {
    report.expect(
        (1..=NAME_BYTES_MAX).contains(&name.len()),
        at,
        format!("found {} bytes, expected a name of 1 to {NAME_BYTES_MAX} bytes", name.len()),
    );
}

/// What is wrong with an address. It may hold a password, and is not shown then.
fn fault(url: &str) -> Option<String> {
    let rest = url.strip_prefix("amqp://").or_else(|| url.strip_prefix("amqps://"));
    if rest.is_some_and(|rest| rest.contains('@')) {
        return Some(
            "found an address with a user, expected user and password under keys of these names"
                .to_owned(),
        );
    }
    let Some(rest) = rest else {
        return Some(format!("found {url:?}, expected amqp://host:port/vhost or amqps://..."));
    };
    let (host, vhost) = rest.split_once('/').unwrap_or((rest, ""));
    let host = if host.contains(':') { host.to_owned() } else { format!("{host}:5672") };
    let is_address = common::is_host_and_port(&host) && !vhost.contains('/');
    (!is_address).then(|| format!("found {url:?}, expected amqp://host:port/vhost, / as %2f"))
}

// === impl QueueOrNone ===

impl<'de> Deserialize<'de> for QueueOrNone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = QueueOrNone;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("null or a mapping with name and type")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<QueueOrNone, E> {
                match text {
                    "null" => Ok(QueueOrNone(None)),
                    _ => Err(E::custom(format!("found {text:?}, expected null or a mapping"))),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<QueueOrNone, A::Error> {
                Queue::deserialize(MapAccessDeserializer::new(map)).map(|q| QueueOrNone(Some(q)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for QueueOrNone {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(queue) => queue.serialize(serializer),
            None => serializer.serialize_str("null"),
        }
    }
}

impl JsonSchema for QueueOrNone {
    fn schema_name() -> Cow<'static, str> {
        "QueueOrNone".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let queue = generator.subschema_for::<Queue>();
        // `const`, because a type null is what an absent key's would be.
        json_schema!({ "oneOf": [queue, { "const": null }, { "const": "null" }] })
    }
}
