//! The three brokers, real and started here, and what reads from them as a subscriber would.

/// Every sample through each of them, read by others' clients.
mod samples;

/// One of three dies; the others go on.
mod fan_out;

/// Two bridges behind one address, restarted in turn under load.
mod rolling;

/// What callers were answered falsely elsewhere.
mod failures;

/// Reliable callbacks into each broker and the journal, also through faults, kills and two bridges.
mod pull;

/// What `check` says of good and of bad installations.
mod check;

/// What is printed and what is not.
mod secrecy;

/// The consumers of the documents.
mod subscribers;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use brokers::kafka::Kafka;
use brokers::{Nats, NatsSettings, RabbitMq, RabbitMqOptions, RabbitMqVersion, fetched};
use serde_json::Value;
use tokio::runtime::Runtime;

/// One node of each.
pub(crate) struct Three {
    pub(crate) kafka: Kafka,
    pub(crate) rabbitmq: RabbitMq,
    pub(crate) nats: Nats,
    pub(crate) runtime: Runtime,
}

/// Where subscribers read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broker {
    Kafka,
    RabbitMq,
    Nats,
}

pub(crate) const BROKERS: [Broker; 3] = [Broker::Kafka, Broker::RabbitMq, Broker::Nats];

// === impl Three ===

impl Three {
    /// Brokers of the caller's own.
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let (kafka, rabbitmq, nats) = runtime.block_on(async {
            let rabbitmq =
                async { RabbitMq::start(RabbitMqOptions::new(RabbitMqVersion::V3)).await };
            tokio::join!(Kafka::start(), rabbitmq, Nats::start(NatsSettings::default()))
        });
        Self { kafka, rabbitmq, nats, runtime }
    }

    /// Brokers that tests share which harm nobody; they end with the last of these tests.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Three>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let three = Arc::new(Self::start());
            *shared = Arc::downgrade(&three);
            three
        })
    }

    /// The keys that a connector needs for its broker.
    pub(crate) fn keys(&self, broker: Broker) -> String {
        match broker {
            Broker::Kafka => format!("type: kafka, brokers: [{:?}]", self.kafka.addresses()[0]),
            Broker::RabbitMq => format!("type: rabbitmq, urls: [{:?}]", self.rabbitmq.url()),
            Broker::Nats => format!("type: nats, servers: [{:?}]", self.nats.url()),
        }
    }

    /// Where a subscriber connects.
    pub(crate) fn address(&self, broker: Broker) -> String {
        match broker {
            Broker::Kafka => self.kafka.addresses().remove(0),
            Broker::RabbitMq => self.rabbitmq.url().replace("amqp://", "amqp://guest:guest@"),
            Broker::Nats => self.nats.url(),
        }
    }

    /// What lies in a broker, read by its official Python client and the CloudEvents SDK: so many
    /// messages, or with `all` until none has come for a while.
    pub(crate) fn read(&self, broker: Broker, how_many: &str) -> Vec<Value> {
        read(broker, &self.address(broker), how_many)
    }
}

// === impl Broker ===

impl Broker {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::RabbitMq => "rabbitmq",
            Self::Nats => "nats",
        }
    }
}

/// As [`Three::read`], from a broker of the caller's.
pub(crate) fn read(broker: Broker, address: &str, how_many: &str) -> Vec<Value> {
    let output = python()
        .arg(project("tests/subscribers/read.py"))
        .args([broker.name(), address, how_many])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{broker:?}: {errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The Python that has the subscribers' clients; it ends by itself if it hears nothing.
pub(crate) fn python() -> Command {
    let mut command = Command::new("timeout");
    command.args(["120"]).arg(fetched("subscribers").join("venv/bin/python3"));
    command.stdin(Stdio::null());
    command
}

pub(crate) fn project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}
