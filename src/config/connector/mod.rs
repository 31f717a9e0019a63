//! Where events go out: one file for each type of connector, and what they have in common.

mod common;
mod journal;
mod kafka;
mod nats;
mod rabbitmq;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, EnumAccess, VariantAccess, Visitor};
use serde::{Deserialize as DeserializeDerive, Serialize};

pub use common::{ContentMode, Fault, Provision, TlsClient};
pub use journal::{JournalConnector, Keep};
pub use kafka::{Compression, Idempotence, KafkaConnector, Mechanism as SaslMechanism, Sasl};
pub use nats::{Accept, NatsConnector};
pub use rabbitmq::{
    HeaderPrefix, Mechanism as LoginMechanism, Queue, QueueKind, QueueOrNone, RabbitMqConnector,
};

use super::report::Report;
use super::tree::Path;
use super::{CONNECTORS_MAX, Name};

/// Where events go out, told apart by the key `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Connector {
    /// Apache Kafka and what speaks its protocol.
    Kafka(Box<KafkaConnector>),
    /// RabbitMQ, by AMQP 0.9.1.
    RabbitMq(Box<RabbitMqConnector>),
    /// NATS JetStream.
    Nats(Box<NatsConnector>),
    /// The embedded journal: events stay on this machine's disk until somebody reads them.
    Journal(JournalConnector),
}

const TYPES: &[&str] = &["kafka", "rabbitmq", "nats", "journal"];

#[derive(DeserializeDerive)]
#[serde(rename_all = "lowercase")]
enum Type {
    Kafka,
    RabbitMq,
    Nats,
    Journal,
}

/// The connectors when none is written: the journal.
pub(super) fn default_connectors() -> BTreeMap<String, Connector> {
    let journal = Connector::Journal(JournalConnector::default());
    BTreeMap::from([("journal".to_owned(), journal)])
}

// === checks ===

pub(super) fn check(
    written: BTreeMap<String, Connector>,
    at: &Path,
    report: &mut Report<'_>,
) -> BTreeMap<Name, Connector> {
    report.expect(!written.is_empty(), at, "expected at least one connector");
    report.expect(
        written.len() <= CONNECTORS_MAX,
        at,
        format!("found {} connectors, expected at most {CONNECTORS_MAX}", written.len()),
    );
    let mut connectors = BTreeMap::new();
    let mut journals = written.iter().filter(|(_, c)| matches!(c, Connector::Journal(_)));
    if let (Some((first, _)), Some((second, _))) = (journals.next(), journals.next()) {
        let message = format!("there is one journal, and it is the connector {first} already");
        report.problem(&at.join(second), message);
    }
    for (name, mut connector) in written {
        let at = at.join(&name);
        match Name::new(&name) {
            Ok(name) => {
                connector.check(&at, report);
                connectors.insert(name, connector);
            }
            Err(error) => report.problem(&at, error.to_string()),
        }
    }
    connectors
}

// === impl Connector ===

impl Connector {
    /// What the key `type` says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Kafka(_) => "kafka",
            Self::RabbitMq(_) => "rabbitmq",
            Self::Nats(_) => "nats",
            Self::Journal(_) => "journal",
        }
    }

    /// How long one publish may take.
    pub fn publish_timeout(&self) -> Duration {
        match self {
            Self::Kafka(kafka) => kafka.publish_timeout,
            Self::RabbitMq(rabbitmq) => rabbitmq.publish_timeout,
            Self::Nats(nats) => nats.publish_timeout,
            Self::Journal(journal) => journal.publish_timeout,
        }
    }

    /// What its acknowledgement must survive, and what is taken as survived where nobody tells.
    pub fn demands(&self) -> (&[Fault], &[Fault]) {
        match self {
            Self::Kafka(kafka) => (&kafka.require, &kafka.assume),
            Self::RabbitMq(rabbitmq) => (&rabbitmq.require, &rabbitmq.assume),
            Self::Nats(nats) => (&nats.require, &nats.assume),
            Self::Journal(journal) => (&journal.require, &journal.assume),
        }
    }

    /// How it speaks TLS, if that is said.
    pub fn tls(&self) -> Option<&TlsClient> {
        match self {
            Self::Kafka(kafka) => kafka.tls.as_ref(),
            Self::RabbitMq(rabbitmq) => rabbitmq.tls.as_ref(),
            Self::Nats(nats) => nats.tls.as_ref(),
            Self::Journal(_) => None,
        }
    }

    fn check(&mut self, at: &Path, report: &mut Report<'_>) {
        common::publish_timeout(self.publish_timeout(), at, report);
        match self {
            Self::Kafka(kafka) => kafka.check(at, report),
            Self::RabbitMq(rabbitmq) => rabbitmq.check(at, report),
            Self::Nats(nats) => nats.check(at, report),
            Self::Journal(journal) => journal.check(at, report),
        }
    }
}

/// By hand, because serde's own tagged enums lose the path of an error inside.
impl<'de> Deserialize<'de> for Connector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByType;

        impl<'de> Visitor<'de> for ByType {
            type Value = Connector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping with the key \"type\"")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Connector, A::Error> {
                let (ty, content) = access.variant::<Type>()?;
                match ty {
                    Type::Kafka => content.newtype_variant().map(Connector::Kafka),
                    Type::RabbitMq => content.newtype_variant().map(Connector::RabbitMq),
                    Type::Nats => content.newtype_variant().map(Connector::Nats),
                    Type::Journal => content.newtype_variant().map(Connector::Journal),
                }
            }
        }

        deserializer.deserialize_enum("Connector", TYPES, ByType)
    }
}
