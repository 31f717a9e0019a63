use brokers::RabbitMqVersion;
use lapin::types::FieldTable;
use vodbridge_conformance::{event, topic};
use vodbridge_core::{Connector as _, Durability, Provenance, Secret, Survives};
use vodbridge_rabbitmq::{Config, Connector, Management, QueueKind};

use crate::one_broker::Broker;
use crate::subscriber::Subscriber;
use crate::support::{config, with_management};
use Survives::{No, Unknown, Yes};

pub(crate) async fn a_quorum_queue_is_seen_by_the_management_api(broker: &Broker) {
    let config = with_management(config(&broker.rabbitmq.url(), "seen"), broker);
    let durability = read(config).await;
    assert_eq!(survives(&durability), [Yes, Yes, No, Yes], "one member");
    assert_eq!(durability.process.provenance, Provenance::Monitoring);
    assert!(durability.node.remedy.unwrap().contains("grow"));
}

pub(crate) async fn a_classic_queue_answers_by_the_version(broker: &Broker) {
    let mut config = config(&broker.rabbitmq.url(), "classic");
    config.queue.as_mut().unwrap().kind = QueueKind::Classic;
    let unseen = read(config.clone()).await;
    assert_eq!(survives(&unseen), [Yes, Unknown, No, Unknown], "the version is hidden");
    let durability = read(with_management(config, broker)).await;
    let power = match broker.version {
        RabbitMqVersion::V3 => Unknown,
        RabbitMqVersion::V4 => No,
    };
    assert_eq!(survives(&durability), [Yes, power, No, power], "the queue's version is hidden");
    assert!(durability.node.remedy.unwrap().contains("quorum"));
}

pub(crate) async fn a_classic_queue_of_version_1_is_flushed_before_3_13(broker: &Broker) {
    broker.api("PUT", "exchanges/%2F/vod-version", r#"{"type":"topic","durable":true}"#).await;
    let queue = r#"{"durable":true,"arguments":{"x-queue-type":"classic","x-queue-version":1}}"#;
    broker.api("PUT", "queues/%2F/vod.version", queue).await;
    let binding = r#"{"routing_key":"vod.#","arguments":{}}"#;
    broker.api("POST", "bindings/%2F/e/vod-version/q/vod.version", binding).await;
    let config = Config { queue: None, ..config(&broker.rabbitmq.url(), "version") };
    let durability = read(with_management(config, broker)).await;
    let power = match broker.version {
        RabbitMqVersion::V3 => Yes,
        RabbitMqVersion::V4 => No,
    };
    assert_eq!(survives(&durability), [Yes, power, No, power]);
}

pub(crate) async fn a_stream_is_seen(broker: &Broker) {
    let config = Config { queue: None, ..config(&broker.rabbitmq.url(), "stream") };
    let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
    subscriber.provide(&config.exchange, "vod.stream", "stream").await;
    let durability = read(with_management(config, broker)).await;
    assert_eq!(survives(&durability), [Yes, No, No, No]);
}

pub(crate) async fn the_weakest_of_two_queues_decides(broker: &Broker) {
    let config = config(&broker.rabbitmq.url(), "two");
    let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
    subscriber.provide(&config.exchange, "vod.events-two", "quorum").await;
    let channel = subscriber.connection.create_channel().await.unwrap();
    // Neither durable nor of the kind that we would make.
    let options = lapin::options::QueueDeclareOptions { exclusive: true, ..<_>::default() };
    channel.queue_declare("weak".into(), options, FieldTable::default()).await.unwrap();
    let (options, none) = (<_>::default(), FieldTable::default());
    channel
        .queue_bind("weak".into(), config.exchange.as_str().into(), "#".into(), options, none)
        .await
        .unwrap();
    let durability = read(with_management(config, broker)).await;
    assert_eq!(survives(&durability), [No, No, No, No]);
}

pub(crate) async fn without_management_only_our_own_queue_is_known(broker: &Broker) {
    let ours = read(config(&broker.rabbitmq.url(), "ours")).await;
    assert_eq!(survives(&ours), [Yes, Yes, Unknown, Yes]);
    assert_eq!(ours.process.provenance, Provenance::Broker);
    assert_eq!(ours.node.provenance, Provenance::NotVisible);
    let config = config(&broker.rabbitmq.url(), "theirs");
    let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
    subscriber.provide(&config.exchange, "vod.theirs", "quorum").await;
    let theirs = read(Config { queue: None, ..config }).await;
    assert_eq!(survives(&theirs), [Unknown; 4]);
    assert_eq!(theirs.process.provenance, Provenance::NotVisible);
}

pub(crate) async fn a_queue_that_may_not_be_bound_is_not_known(broker: &Broker) {
    // Binding takes a right to write to the queue, and making it does not.
    broker.user("maker", "", [".*", "^vod-unbindable$", "^$"]).await;
    let config = config(&broker.rabbitmq.url(), "unbindable");
    let config = Config { user: "maker".to_owned(), password: Secret::fixed("secret"), ..config };
    let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
    subscriber.provide(&config.exchange, "vod.takes-all", "classic").await;
    let durability = read(config).await;
    assert_eq!(survives(&durability), [Unknown; 4], "another queue has it");
    assert_eq!(durability.process.provenance, Provenance::NotVisible);
}

pub(crate) async fn a_denied_management_api_is_not_visible(broker: &Broker) {
    broker.user("blind", "", [".*", ".*", ".*"]).await;
    let url = broker.rabbitmq.management_url();
    let management = |url: &str| {
        let (user, password) = (Some("blind".to_owned()), Some(Secret::fixed("secret")));
        Some(Management { url: url.to_owned(), user, password })
    };
    // Denied, and nobody there.
    for url in [url.as_str(), "http://127.0.0.1:1"] {
        let config = config(&broker.rabbitmq.url(), "denied");
        let durability = read(Config { management: management(url), ..config }).await;
        assert_eq!(
            survives(&durability),
            [Yes, Yes, Unknown, Yes],
            "what the broker tells is kept"
        );
        assert_eq!(durability.node.provenance, Provenance::NotVisible);
    }
}

async fn read(config: Config) -> Durability {
    let connector = Connector::new(config).unwrap();
    connector.publish(&event("first", 10), &topic()).await.unwrap();
    let durability = connector.check(&[topic()]).await.unwrap().remove(0).unwrap();
    connector.close().await;
    durability
}

fn survives(durability: &Durability) -> [Survives; 4] {
    durability.answers().map(|(_, answer)| answer.survives)
}
