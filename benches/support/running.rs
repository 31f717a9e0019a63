//! The brokers that are driven, each alone on the machine while it is.

use brokers::kafka::Kafka;
use brokers::{Nats, NatsSettings, RabbitMq, RabbitMqOptions, RabbitMqVersion};

/// What may be named on the command line.
pub(crate) const BROKERS: [&str; 3] = ["kafka", "rabbitmq", "nats"];

/// A broker, ended on drop.
pub(crate) struct Running {
    broker: &'static str,
    address: String,
    _process: Process,
}

#[expect(dead_code, reason = "held until the end")]
enum Process {
    Kafka(Kafka),
    RabbitMq(RabbitMq),
    Nats(Nats),
}

// === impl Running ===

impl Running {
    pub(crate) async fn start(broker: &'static str) -> Self {
        let (address, process) = match broker {
            "kafka" => {
                let kafka = Kafka::start().await;
                (kafka.addresses().remove(0), Process::Kafka(kafka))
            }
            "rabbitmq" => {
                let options = RabbitMqOptions::new(RabbitMqVersion::V3);
                let rabbitmq = RabbitMq::start(options).await;
                (rabbitmq.url(), Process::RabbitMq(rabbitmq))
            }
            _ => {
                let nats = Nats::start(NatsSettings::default()).await;
                (nats.url(), Process::Nats(nats))
            }
        };
        Self { broker, address, _process: process }
    }

    pub(crate) fn broker(&self) -> &'static str {
        self.broker
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.broker {
            "kafka" => "Kafka, one node",
            "rabbitmq" => "RabbitMQ 3.10, one node, a quorum queue",
            _ => "NATS JetStream, one node, file storage",
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The bridge's configuration of it.
    pub(crate) fn connectors(&self) -> String {
        let addresses = match self.broker {
            "kafka" => "brokers",
            "rabbitmq" => "urls",
            _ => "servers",
        };
        let (broker, address) = (self.broker, &self.address);
        format!("connectors: {{ x: {{ type: {broker}, {addresses}: [{address:?}] }} }}")
    }
}
