use std::process;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use brokers::{RabbitMq, RabbitMqOptions, RabbitMqVersion};
use bytes::Bytes;
use vodbridge_conformance::{Broker, Freeze, Guard, Provide, Stored, clauses};
use vodbridge_core::{Connector, Provision, Secret};
use vodbridge_rabbitmq::{Config, QueueKind};

use crate::subscriber::Subscriber;
use crate::support::{config, id};

/// A broker takes seconds to start, so that one has to do for all clauses; each has an exchange
/// and a queue of its own there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_clause_is_kept_on_rabbitmq_3() {
    every_clause(RabbitMqVersion::V3).await;
}

/// On the one of `VODBRIDGE_TEST_RABBITMQ` instead, if it is set: the clauses that need no fault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_clause_is_kept_on_rabbitmq_4() {
    every_clause(RabbitMqVersion::V4).await;
}

async fn every_clause(version: RabbitMqVersion) {
    let mut broker = Conformance::start(version).await;
    macro_rules! keep {
        ($kind:expr; $($clause:ident,)+) => {
            $({
                broker.turn(stringify!($clause), $kind);
                println!("{version:?}, {:?} queue:", $kind);
                clauses::$clause(&mut broker).await;
            })+
        };
    }
    keep!(QueueKind::Quorum;
        many_at_once_are_answered_each_for_itself,
        an_oversized_event_is_refused_and_harms_no_neighbour,
        a_closed_connector_is_unavailable,
        check_answers_for_each_topic_in_order,
        closing_answers_for_what_is_under_way,
        missing_topology_is_waited_for,
        check_makes_nothing_and_provide_makes_it,
        a_wrong_password_is_waited_out,
    );
    keep!(QueueKind::Classic;
        many_at_once_are_answered_each_for_itself,
        an_oversized_event_is_refused_and_harms_no_neighbour,
    );
    if matches!(broker.rabbitmq, Node::Own(_)) {
        keep!(QueueKind::Quorum;
            a_frozen_broker_acknowledges_nothing,
            what_was_acknowledged_is_there_after_a_kill,
            a_kill_under_load_loses_nothing_acknowledged,
            a_broker_that_comes_late_is_found,
        );
        keep!(QueueKind::Classic;
            what_was_acknowledged_is_there_after_a_kill,
        );
    }
}

/// The clauses that find their queue made; the others make it, and wait while it rests.
const AHEAD: [&str; 5] = [
    "many_at_once_are_answered_each_for_itself",
    "an_oversized_event_is_refused_and_harms_no_neighbour",
    "check_answers_for_each_topic_in_order",
    "closing_answers_for_what_is_under_way",
    "a_kill_under_load_loses_nothing_acknowledged",
];

struct Conformance {
    rabbitmq: Node,
    /// The clause whose turn it is.
    clause: &'static str,
    kind: QueueKind,
    password: Arc<Mutex<Bytes>>,
}

enum Node {
    Own(Box<RabbitMq>),
    /// At that address.
    Running(String),
}

impl Node {
    fn url(&self) -> String {
        match self {
            Self::Own(own) => own.url(),
            Self::Running(url) => url.clone(),
        }
    }

    fn own(&mut self) -> &mut RabbitMq {
        match self {
            Self::Own(own) => own,
            Self::Running(_) => unreachable!("clauses with faults are put to our own"),
        }
    }
}

impl Conformance {
    async fn start(version: RabbitMqVersion) -> Self {
        let rabbitmq = match brokers::running_rabbitmq() {
            Some(url) if version == RabbitMqVersion::V4 => Node::Running(url),
            Some(_) | None => {
                Node::Own(Box::new(RabbitMq::start(RabbitMqOptions::new(version)).await))
            }
        };
        let password = Arc::new(Mutex::new(Bytes::from_static(b"wrong")));
        let (clause, kind) = ("", QueueKind::Quorum);
        let mut broker = Self { rabbitmq, clause, kind, password };
        for clause in AHEAD {
            broker.turn(clause, QueueKind::Quorum);
            let config = broker.config();
            let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
            subscriber.provide(&config.exchange, &config.queue.unwrap().name, "quorum").await;
        }
        broker
    }

    fn turn(&mut self, clause: &'static str, kind: QueueKind) {
        (self.clause, self.kind) = (clause, kind);
    }

    fn config(&self) -> Config {
        // A broker that is not ours may keep what an earlier run has left there.
        let name = format!("{}-{:?}-{}", self.clause, self.kind, process::id());
        let mut config = config(&self.rabbitmq.url(), &name);
        config.queue.as_mut().unwrap().kind = self.kind;
        config
    }
}

#[async_trait]
impl Broker for Conformance {
    async fn connector(&mut self) -> Box<dyn Connector> {
        Box::new(vodbridge_rabbitmq::Connector::new(self.config()).unwrap())
    }

    async fn stored(&mut self) -> Vec<Stored> {
        let subscriber = Subscriber::connect(&self.rabbitmq.url()).await;
        let messages = subscriber.read(&self.config().queue.unwrap().name).await;
        let stored = |message: &lapin::message::Delivery| Stored {
            id: id(message),
            topic: message.routing_key.to_string(),
        };
        messages.iter().map(stored).collect()
    }

    async fn kill(&mut self) {
        self.rabbitmq.own().kill();
    }

    async fn restart(&mut self) {
        self.rabbitmq.own().restart().await;
    }

    fn oversize_bytes(&self) -> usize {
        (1 << 20) + 1
    }

    fn freezer(&mut self) -> Option<&mut dyn Freeze> {
        Some(self)
    }

    fn provider(&mut self) -> Option<&mut dyn Provide> {
        Some(self)
    }

    fn guard(&mut self) -> Option<&mut dyn Guard> {
        Some(self)
    }
}

#[async_trait]
impl Freeze for Conformance {
    async fn freeze(&mut self) {
        self.rabbitmq.own().freeze();
    }

    async fn thaw(&mut self) {
        self.rabbitmq.own().thaw();
    }
}

#[async_trait]
impl Provide for Conformance {
    async fn verifying(&mut self) -> Box<dyn Connector> {
        Box::new(
            vodbridge_rabbitmq::Connector::new(Config {
                topology: Provision::Verify,
                ..self.config()
            })
            .unwrap(),
        )
    }

    async fn provide(&mut self) {
        let config = self.config();
        let subscriber = Subscriber::connect(&self.rabbitmq.url()).await;
        subscriber.provide(&config.exchange, &config.queue.unwrap().name, "quorum").await;
    }
}

#[async_trait]
impl Guard for Conformance {
    async fn stranger(&mut self) -> Box<dyn Connector> {
        let password = Arc::clone(&self.password);
        let password = Secret::new(move || Ok(password.lock().unwrap().clone()));
        Box::new(vodbridge_rabbitmq::Connector::new(Config { password, ..self.config() }).unwrap())
    }

    async fn correct(&mut self) {
        *self.password.lock().unwrap() = Bytes::from_static(b"guest");
    }
}
