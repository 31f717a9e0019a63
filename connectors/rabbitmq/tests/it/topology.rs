use std::time::Duration;

use serde_json::{Value, json};
use vodbridge_conformance::{event, publish_all, topic};
use vodbridge_core::{
    Cause, Connector as _, Provision, PublishError, Secret, Survives, Unavailable,
};
use vodbridge_rabbitmq::{Config, Connector};

use crate::one_broker::Broker;
use crate::subscriber::Subscriber;
use crate::support::{config, until_taken, with_management};

pub(crate) async fn what_is_missing_is_made_as_configured(broker: &Broker) {
    let mut config = config(&broker.rabbitmq.url(), "made");
    config.queue.as_mut().unwrap().length_max = Some(1000);
    let connector = Connector::new(config).unwrap();
    connector.publish(&event("first", 10), &topic()).await.unwrap();
    let queue: Value =
        serde_json::from_str(&broker.api("GET", "queues/%2F/vod.events-made", "").await).unwrap();
    assert_eq!((&queue["durable"], &queue["type"]), (&json!(true), &json!("quorum")));
    let arguments = json!({
        "x-queue-type": "quorum", "x-overflow": "reject-publish", "x-max-length": 1000,
    });
    assert_eq!(queue["arguments"], arguments);
    let exchange: Value =
        serde_json::from_str(&broker.api("GET", "exchanges/%2F/vod-made", "").await).unwrap();
    assert_eq!((&exchange["durable"], &exchange["type"]), (&json!(true), &json!("topic")));
    assert_eq!(exchange["arguments"], json!({}));
    connector.close().await;
}

pub(crate) async fn a_queue_that_differs_is_used_as_it_is(broker: &Broker) {
    let config = config(&broker.rabbitmq.url(), "differs");
    let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
    subscriber.provide(&config.exchange, "vod.events-differs", "classic").await;
    let connector = Connector::new(config).unwrap();
    connector.publish(&event("first", 10), &topic()).await.unwrap();
    assert_eq!(subscriber.read("vod.events-differs").await.len(), 1);
    connector.close().await;
}

pub(crate) async fn a_topic_without_a_queue_is_told_and_found_once_bound(broker: &Broker) {
    let config = Config { queue: None, ..config(&broker.rabbitmq.url(), "unbound") };
    let exchange = config.exchange.clone();
    let connector = Connector::new(with_management(config, broker)).unwrap();
    let first = event("first", 10);
    let why = unavailable(connector.publish(&first, &topic()).await);
    assert_eq!(why.cause, Cause::Topology);
    assert!(why.message.contains("no queue is bound"), "{why}");
    assert!(why.advice.unwrap().contains("declare binding"));
    let checked = connector.check(&[topic()]).await.unwrap().remove(0).unwrap_err();
    assert!(checked.message.contains("no queue is bound"), "{checked}");
    let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
    subscriber.provide(&exchange, "vod.events-unbound", "quorum").await;
    connector.publish(&first, &topic()).await.unwrap();
    connector.check(&[topic()]).await.unwrap().remove(0).unwrap();
    connector.close().await;
}

pub(crate) async fn a_deleted_queue_is_made_again(broker: &Broker) {
    let config = config(&broker.rabbitmq.url(), "deleted");
    let exchange = config.exchange.clone();
    let connector = Connector::new(config).unwrap();
    let first = event("first", 10);
    connector.publish(&first, &topic()).await.unwrap();
    broker.api("DELETE", "queues/%2F/vod.events-deleted", "").await;
    let why = unavailable(connector.publish(&first, &topic()).await);
    assert_eq!(why.cause, Cause::Topology, "{why}");
    until_taken(&connector, &first).await;
    broker.api("DELETE", &format!("exchanges/%2F/{exchange}"), "").await;
    let why = unavailable(connector.publish(&first, &topic()).await);
    assert!(why.message.contains("is missing"), "{why}");
    until_taken(&connector, &first).await;
    connector.close().await;
}

pub(crate) async fn a_check_brings_no_binding_back(broker: &Broker) {
    let config = config(&broker.rabbitmq.url(), "taken");
    let plain = Connector::new(config.clone()).unwrap();
    let managed = Connector::new(with_management(config, broker)).unwrap();
    for connector in [&plain, &managed] {
        connector.publish(&event("first", 10), &topic()).await.unwrap();
        connector.check(&[topic()]).await.unwrap().remove(0).unwrap();
    }
    let bindings = "bindings/%2F/e/vod-taken/q/vod.events-taken";
    broker.api("DELETE", &format!("{bindings}/vod.%23"), "").await;
    for _ in 0..2 {
        let known = plain.check(&[topic()]).await.unwrap().remove(0).unwrap();
        assert_eq!(known.machine.survives, Survives::Yes, "it still knows what it has made");
        let why = managed.check(&[topic()]).await.unwrap().remove(0).unwrap_err();
        assert!(why.message.contains("no queue is bound"), "{why}");
    }
    let there: Value = serde_json::from_str(&broker.api("GET", bindings, "").await).unwrap();
    assert_eq!(there, json!([]), "a check changes nothing");
    // Publishing and providing do.
    unavailable(plain.publish(&event("second", 10), &topic()).await);
    plain.provide(&[topic()]).await.unwrap().remove(0).unwrap();
    managed.check(&[topic()]).await.unwrap().remove(0).unwrap();
    for connector in [plain, managed] {
        connector.close().await;
    }
}

pub(crate) async fn missing_rights_are_told(broker: &Broker) {
    broker.user("nobody", "", ["^$", "^$", "^$"]).await;
    let config = config(&broker.rabbitmq.url(), "rights");
    let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
    subscriber.provide(&config.exchange, "vod.events-rights", "quorum").await;
    let connector = Connector::new(login(config, "nobody")).unwrap();
    let answers = publish_all(&connector, &[event("a", 10), event("b", 10)], &topic()).await;
    for answer in answers {
        let why = unavailable(answer);
        assert_eq!(why.cause, Cause::Topology);
        assert!(why.message.contains("may not publish"), "{why}");
        assert!(why.advice.unwrap().contains("set_permissions"));
    }
    connector.close().await;
}

pub(crate) async fn a_user_who_may_only_publish_can_publish(broker: &Broker) {
    broker.user("writer", "", ["^$", "^vod-writer$", "^$"]).await;
    for provision in [Provision::Create, Provision::Verify] {
        let config = config(&broker.rabbitmq.url(), "writer");
        let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
        subscriber.provide(&config.exchange, "vod.events-writer", "quorum").await;
        let connector =
            Connector::new(Config { topology: provision, ..login(config, "writer") }).unwrap();
        connector.publish(&event("first", 10), &topic()).await.unwrap();
        connector.check(&[topic()]).await.unwrap().remove(0).unwrap();
        connector.close().await;
    }
}

pub(crate) async fn an_alternate_exchange_is_refused_by_argument_and_by_policy(broker: &Broker) {
    let by_argument =
        r#"{"type":"topic","durable":true,"arguments":{"alternate-exchange":"amq.fanout"}}"#;
    broker.api("PUT", "exchanges/%2F/vod-blind-argument", by_argument).await;
    let by_policy =
        r#"{"pattern":"^vod-blind-policy$","definition":{"alternate-exchange":"amq.fanout"}}"#;
    broker.api("PUT", "policies/%2F/blind", by_policy).await;
    for name in ["blind-argument", "blind-policy"] {
        let config = with_management(config(&broker.rabbitmq.url(), name), broker);
        let connector = Connector::new(config).unwrap();
        let why = unavailable(connector.publish(&event("first", 10), &topic()).await);
        assert_eq!(why.cause, Cause::Topology);
        assert!(why.message.contains("alternate exchange"), "{why}");
        let checked = connector.check(&[topic()]).await.unwrap().remove(0).unwrap_err();
        assert!(checked.message.contains("alternate exchange"), "{checked}");
        if name == "blind-policy" {
            broker.api("DELETE", "policies/%2F/blind", "").await;
            until_taken(&connector, &event("first", 10)).await;
        }
        connector.close().await;
    }
}

pub(crate) async fn a_full_queue_rejects_and_takes_again(broker: &Broker) {
    let mut config = config(&broker.rabbitmq.url(), "full");
    config.queue.as_mut().unwrap().length_max = Some(5);
    let connector = Connector::new(config).unwrap();
    let mut rejected = None;
    let mut taken = 0;
    // A quorum queue overshoots its limit a little.
    for number in 0..100 {
        match connector.publish(&event(&format!("n-{number}"), 10), &topic()).await {
            Ok(()) => taken += 1,
            Err(PublishError::Unavailable(why)) => {
                rejected = Some(why);
                break;
            }
            Err(PublishError::Refused(why)) => panic!("{why}"),
        }
    }
    let why = rejected.expect("a limit of 5 ends somewhere below 100");
    assert_eq!(why.cause, Cause::Outage);
    assert!(why.message.contains("rejected"), "{why}");
    let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
    // Messages that are only looked at go back a moment after their reader, and would stay.
    assert_eq!(subscriber.drain("vod.events-full").await.len(), taken, "nothing was dropped");
    until_taken(&connector, &event("again", 10)).await;
    connector.close().await;
}

fn login(config: Config, user: &str) -> Config {
    let publish_timeout = Duration::from_secs(10);
    Config { user: user.to_owned(), password: Secret::fixed("secret"), publish_timeout, ..config }
}

fn unavailable(answer: Result<(), PublishError>) -> Unavailable {
    match answer {
        Err(PublishError::Unavailable(why)) => why,
        answer => panic!("{answer:?}"),
    }
}
