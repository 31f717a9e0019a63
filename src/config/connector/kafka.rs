use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{
    self, ContentMode, Fault, IN_FLIGHT, IN_FLIGHT_BYTES, PUBLISH_TIMEOUT, Provision, TlsClient,
};
use crate::config::report::Report;
use crate::config::secret::Secret;
use crate::config::tree::Path;
use crate::config::{Size, duration};

/// Apache Kafka and what speaks its protocol.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConnector {
    /// `host:port` of some brokers; the others are found through them. At least one.
    pub brokers: Vec<String>,
    /// What the brokers' logs, quotas and metrics call the bridge.
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
    /// Whether retries inside the client may write a record twice or out of order.
    pub idempotence: Idempotence,
    /// How long a record may wait for others to share a request. Anything above 0s costs a lone
    /// event more than a millisecond. At most 1s.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub linger: Duration,
    /// How batches are compressed.
    pub compression: Compression,
    /// The largest record; a larger event is refused. No more than the brokers' and topics'
    /// `max.message.bytes`.
    pub message_max: Size,
    /// Publishes under way at a time; further ones wait.
    pub in_flight: u32,
    /// The bytes of those. More are not kept by the client either.
    pub in_flight_bytes: Size,
    /// How an event lies in a record.
    pub mode: ContentMode,
    /// What is done about missing topics.
    pub topology: Provision,
    /// The number of partitions of topics that are made. Default: the broker's.
    pub partitions: Option<u16>,
    /// The number of replicas of topics that are made. Default: the broker's.
    pub replication_factor: Option<u16>,
    /// How many topics are made at most.
    pub topics_max: u32,
    /// How to log in. Default: not at all.
    pub sasl: Option<Sasl>,
    /// Speaks TLS; `{}` does so with all defaults. Default: no TLS.
    pub tls: Option<TlsClient>,
    /// Properties of librdkafka by their own names, save those that the promise owns.
    pub properties: BTreeMap<String, String>,
}

/// Whether retries inside the client may write a record twice or out of order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Idempotence {
    /// They may not, unless the cluster forbids it; that is logged.
    #[default]
    Auto,
    /// They may not; where the cluster forbids it the connector is unavailable.
    On,
    /// They may.
    Off,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// For consumers that know nothing else: it is slow to write.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    #[default]
    Lz4,
    /// Zstandard.
    Zstd,
}

/// How to log in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sasl {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// Who logs in. For plain and scram.
    pub user: Option<String>,
    /// The password, read again at every connection. For plain and scram.
    #[serde(skip_serializing)]
    pub password: Option<Secret>,
    /// Where tokens are fetched, by the client credentials grant. For oauthbearer.
    pub token_url: Option<String>,
    /// The OAuth client. For oauthbearer.
    pub client_id: Option<String>,
    /// Its secret, read again for every token. For oauthbearer.
    #[serde(skip_serializing)]
    pub client_secret: Option<Secret>,
    /// The scope that is asked for. Default: none.
    pub scope: Option<String>,
    /// SASL extensions, for clusters that want to be told more. For oauthbearer.
    pub extensions: BTreeMap<String, String>,
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Mechanism {
    /// User and password as they are.
    #[default]
    #[serde(rename = "plain")]
    Plain,
    /// User and password, salted and hashed with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// User and password, salted and hashed with SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    /// A token.
    #[serde(rename = "oauthbearer")]
    OAuthBearer,
}

const TOPICS_MAX_MAX: u32 = 10_000;
const LINGER_MAX: Duration = Duration::from_secs(1);

impl Default for KafkaConnector {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            client_id: "vodbridge".to_owned(),
            publish_timeout: PUBLISH_TIMEOUT,
            require: Vec::new(),
            assume: Vec::new(),
            idempotence: Idempotence::default(),
            linger: Duration::ZERO,
            compression: Compression::default(),
            message_max: Size::mebibytes(1),
            in_flight: IN_FLIGHT,
            in_flight_bytes: IN_FLIGHT_BYTES,
            mode: ContentMode::default(),
            topology: Provision::default(),
            partitions: None,
            replication_factor: None,
            topics_max: 256,
            sasl: None,
            tls: None,
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaConnector {
    pub(super) fn check(&mut self, at: &Path, report: &mut Report<'_>) {
        let fault = |address: &str| {
            (!common::is_host_and_port(address))
                .then(|| format!("found {address:?}, expected host:port"))
        };
        common::addresses(&self.brokers, "kafka:9092", fault, &at.join("brokers"), report);
        common::publish_timeout_of_network(self.publish_timeout, at, report);
        common::in_flight(self.in_flight, at, report);
        common::message_max(self.message_max, self.in_flight_bytes, at, report);
        report.expect(
            self.linger <= LINGER_MAX,
            &at.join("linger"),
            format!(
                "found {}, expected at most {}",
                humantime::format_duration(self.linger),
                humantime::format_duration(LINGER_MAX)
            ),
        );
        report.expect(
            self.topics_max <= TOPICS_MAX_MAX,
            &at.join("topics_max"),
            format!("found {}, expected at most {TOPICS_MAX_MAX}", self.topics_max),
        );
        for (key, number) in
            [("partitions", self.partitions), ("replication_factor", self.replication_factor)]
        {
            report.expect(number != Some(0), &at.join(key), "found 0, expected at least 1");
        }
        if let Some(tls) = &self.tls {
            tls.check(&at.join("tls"), report);
        }
        if let Some(sasl) = &mut self.sasl {
            sasl.check(&at.join("sasl"), report);
        }
    }
}

impl Sasl {
    fn check(&mut self, at: &Path, report: &mut Report<'_>) {
        let is_token = self.mechanism == Mechanism::OAuthBearer;
        let what = match self.mechanism {
            Mechanism::Plain => "mechanism: plain",
            Mechanism::ScramSha256 => "mechanism: scram-sha-256",
            Mechanism::ScramSha512 => "mechanism: scram-sha-512",
            Mechanism::OAuthBearer => "mechanism: oauthbearer",
        };
        common::wanted(&self.user, !is_token, what, &at.join("user"), report);
        common::wanted(&self.password, !is_token, what, &at.join("password"), report);
        common::wanted(&self.token_url, is_token, what, &at.join("token_url"), report);
        common::wanted(&self.client_id, is_token, what, &at.join("client_id"), report);
        common::wanted(&self.client_secret, is_token, what, &at.join("client_secret"), report);
        let token_url = at.join("token_url");
        if is_token {
            let example = "https://login.example.com/token";
            common::http_url(&self.token_url, example, &token_url, report);
        }
        common::secret(&mut self.password, &at.join("password"), report);
        common::secret(&mut self.client_secret, &at.join("client_secret"), report);
    }
}
