use std::path::PathBuf;

use async_trait::async_trait;
use brokers::kafka::{Certificates, Flaw, Kafka, Setup};
use tempfile::TempDir;
use vodbridge_conformance::{Broker, Freeze, Guard, Provide, Stored, topic};
use vodbridge_core::{Connector, Provision, Secret, Tls};
use vodbridge_kafka::Sasl;

use crate::support::{MESSAGE_BYTES_MAX, config, consume, header, make_topic};

vodbridge_conformance::clauses!(OneNode::start().await);

mod with_a_process_of_its_own {
    use super::OneNode;

    vodbridge_conformance::clauses!(OneNode::start().await;
        a_frozen_broker_acknowledges_nothing,
        missing_topology_is_waited_for,
    check_makes_nothing_and_provide_makes_it,
        a_broker_that_comes_late_is_found,
    );
}

mod with_users {
    use super::Guarded;

    vodbridge_conformance::clauses!(Guarded::start().await;
        a_wrong_password_is_waited_out,
    );
}

struct OneNode {
    kafka: Kafka,
}

impl OneNode {
    async fn start() -> Self {
        Self { kafka: Kafka::start().await }
    }

    fn brokers(&self) -> Vec<String> {
        self.kafka.addresses()
    }
}

#[async_trait]
impl Broker for OneNode {
    async fn connector(&mut self) -> Box<dyn Connector> {
        Box::new(vodbridge_kafka::Connector::new(config(self.brokers())).unwrap())
    }

    async fn stored(&mut self) -> Vec<Stored> {
        stored(&self.brokers()).await
    }

    async fn kill(&mut self) {
        self.kafka.kill(0);
    }

    async fn restart(&mut self) {
        self.kafka.restart(0).await;
    }

    fn oversize_bytes(&self) -> usize {
        MESSAGE_BYTES_MAX as usize + 1
    }

    fn freezer(&mut self) -> Option<&mut dyn Freeze> {
        Some(self)
    }

    fn provider(&mut self) -> Option<&mut dyn Provide> {
        Some(self)
    }
}

#[async_trait]
impl Freeze for OneNode {
    async fn freeze(&mut self) {
        self.kafka.freeze(0);
    }

    async fn thaw(&mut self) {
        self.kafka.thaw(0);
    }
}

#[async_trait]
impl Provide for OneNode {
    async fn verifying(&mut self) -> Box<dyn Connector> {
        let mut config = config(self.brokers());
        config.topology = Provision::Verify;
        Box::new(vodbridge_kafka::Connector::new(config).unwrap())
    }

    async fn provide(&mut self) {
        make_topic(&self.brokers(), topic().as_str(), 1, &[]).await;
    }
}

/// A broker that lets nobody in without a password, over TLS.
struct Guarded {
    kafka: Kafka,
    folder: TempDir,
}

const USER: &str = "vodbridge";
const PASSWORD: &str = "correct-horse";

impl Guarded {
    async fn start() -> Self {
        let setup = Setup {
            users: vec![(USER, PASSWORD)],
            certificates: Some(Certificates::make(Flaw::None)),
            ..Setup::default()
        };
        Self { kafka: Kafka::with(1, setup).await, folder: tempfile::tempdir().unwrap() }
    }

    fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }
}

#[async_trait]
impl Broker for Guarded {
    async fn connector(&mut self) -> Box<dyn Connector> {
        let mut config = config(self.kafka.secure_addresses());
        let file = self.password_file();
        config.sasl = Some(Sasl::ScramSha512 {
            user: USER.to_owned(),
            password: Secret::new(move || Ok(std::fs::read(&file)?.into())),
        });
        let ca_file = Some(self.kafka.certificates().unwrap().ca_file());
        config.tls = Some(Tls { ca_file, identity: None });
        Box::new(vodbridge_kafka::Connector::new(config).unwrap())
    }

    async fn stored(&mut self) -> Vec<Stored> {
        stored(&self.kafka.addresses()).await
    }

    async fn kill(&mut self) {
        self.kafka.kill(0);
    }

    async fn restart(&mut self) {
        self.kafka.restart(0).await;
    }

    fn oversize_bytes(&self) -> usize {
        MESSAGE_BYTES_MAX as usize + 1
    }

    fn guard(&mut self) -> Option<&mut dyn Guard> {
        Some(self)
    }
}

#[async_trait]
impl Guard for Guarded {
    async fn stranger(&mut self) -> Box<dyn Connector> {
        std::fs::write(self.password_file(), "wrong").unwrap();
        self.connector().await
    }

    async fn correct(&mut self) {
        std::fs::write(self.password_file(), PASSWORD).unwrap();
    }
}

async fn stored(brokers: &[String]) -> Vec<Stored> {
    let topic = topic();
    let messages = consume(brokers, topic.as_str()).await;
    let id = |message| header(&message, "ce_id").expect("every record is an event");
    messages
        .into_iter()
        .map(|message| Stored { id: id(message), topic: topic.to_string() })
        .collect()
}
