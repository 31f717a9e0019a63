use lapin::types::AMQPValue;
use vodbridge_conformance::{event, publish_all, topic};
use vodbridge_core::{Connector as _, ContentMode, Extension, PublishError};
use vodbridge_rabbitmq::{Config, Connector};

use crate::one_broker::{BODY_BYTES_MAX, Broker};
use crate::subscriber::Subscriber;
use crate::support::{config, id};

pub(crate) async fn hostile_attributes_come_back_as_they_were(broker: &Broker) {
    let config = config(&broker.rabbitmq.url(), "hostile");
    let queue = config.queue.as_ref().unwrap().name.clone();
    let connector = Connector::new(config).unwrap();
    let mut sent = event("行1\r\nX-Injected: 1\u{0}", 300);
    sent.subject = Some("视频 \"a\"\n\u{7f}\u{1f600}".into());
    let value = "\r\n\r\nGET / HTTP/1.1";
    sent.extensions.push(Extension { name: "vodx".into(), value: value.into() });
    connector.publish(&sent, &topic()).await.unwrap();
    let message = Subscriber::connect(&broker.rabbitmq.url()).await.read(&queue).await.remove(0);
    let properties = &message.properties;
    let headers = properties.headers().as_ref().unwrap().inner();
    for (name, value) in sent.attributes().filter(|(name, _)| *name != "datacontenttype") {
        let expected = AMQPValue::LongString(value.as_bytes().into());
        assert_eq!(headers[format!("ce-{name}").as_str()], expected, "{name}");
    }
    assert_eq!(properties.message_id().as_ref().unwrap().as_str(), sent.id.as_str());
    assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
    assert_eq!(properties.delivery_mode(), &Some(2));
    assert_eq!(properties.timestamp(), &Some(sent.time.as_secs()));
    assert_eq!(message.data, sent.data);
    connector.close().await;
}

pub(crate) async fn structured_events_are_one_json_object(broker: &Broker) {
    let content_mode = ContentMode::Structured;
    let config = Config { content_mode, ..config(&broker.rabbitmq.url(), "structured") };
    let queue = config.queue.as_ref().unwrap().name.clone();
    let connector = Connector::new(config).unwrap();
    let sent = event("structured", 300);
    connector.publish(&sent, &topic()).await.unwrap();
    let message = Subscriber::connect(&broker.rabbitmq.url()).await.read(&queue).await.remove(0);
    let content_type = message.properties.content_type().as_ref().unwrap();
    assert_eq!(content_type.as_str(), "application/cloudevents+json");
    let json: serde_json::Value = serde_json::from_slice(&message.data).unwrap();
    assert_eq!((&json["id"], &json["specversion"]), (&"structured".into(), &"1.0".into()));
    let data: serde_json::Value = serde_json::from_slice(&sent.data).unwrap();
    assert_eq!(json["data"], data);
    connector.close().await;
}

pub(crate) async fn what_the_broker_finds_too_large_is_refused_and_its_neighbours_go_again(
    broker: &Broker,
) {
    // One channel, so that they are neighbours.
    let config = Config { channels: 1, ..config(&broker.rabbitmq.url(), "too-large") };
    let queue = config.queue.as_ref().unwrap().name.clone();
    let connector = Connector::new(config).unwrap();
    let mut events: Vec<_> = (0..100).map(|n| event(&format!("small-{n}"), 200)).collect();
    events.insert(50, event("large", BODY_BYTES_MAX + 1));
    let mut owed = events.clone();
    let mut acknowledged = Vec::new();
    let mut refused = Vec::new();
    for _ in 0..3 {
        let answers = publish_all(&connector, &owed, &topic()).await;
        let mut again = Vec::new();
        for (event, answer) in owed.into_iter().zip(answers) {
            match answer {
                Ok(()) => acknowledged.push(event.id.to_string()),
                Err(PublishError::Refused(why)) => {
                    assert!(why.to_string().contains("100000"), "{why}");
                    refused.push(event.id.to_string());
                }
                Err(PublishError::Unavailable(_)) => again.push(event),
            }
        }
        owed = again;
    }
    assert_eq!(refused, ["large"]);
    assert_eq!(acknowledged.len(), 100, "the neighbours go with the next attempt");
    let there = Subscriber::connect(&broker.rabbitmq.url()).await.read(&queue).await;
    let there: std::collections::HashSet<_> = there.iter().map(id).collect();
    assert_eq!(there.len(), 100);
    connector.close().await;
}

pub(crate) async fn attributes_that_fill_a_frame_are_refused(broker: &Broker) {
    let connector = Connector::new(config(&broker.rabbitmq.url(), "attributes")).unwrap();
    let mut events: Vec<_> = (0..10).map(|n| event(&format!("small-{n}"), 200)).collect();
    let value = "x".repeat(200_000).into();
    events[5].extensions.push(Extension { name: "voddetail".into(), value });
    let answers = publish_all(&connector, &events, &topic()).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match (number, answer) {
            (5, Err(PublishError::Refused(why))) => {
                assert!(why.to_string().contains("frame"), "{why}");
            }
            (5, answer) => panic!("{answer:?}"),
            (_, answer) => answer.unwrap(),
        }
    }
    connector.close().await;
}
