//! Every sample that VOD documents, posted to the program, read from each broker by its official
//! client and decoded by the CloudEvents SDK.

use std::collections::BTreeMap;

use serde_json::Value;
use vodbridge_vod::Content;

use super::{BROKERS, Broker, Three};
use crate::cloud_events::callbacks;
use crate::program::Home;
use crate::samples::{SIGN_KEY, of_its_own};

#[test]
fn every_sample_comes_out_of_every_broker_as_it_came_in() {
    let three = Three::start();
    let connectors: Vec<_> =
        BROKERS.iter().map(|b| format!("{}: {{ {} }}", b.name(), three.keys(*b))).collect();
    let home = Home::new(&format!(
        "applications:\n  plain: {{ callback: {{}} }}\n  \
         signed: {{ callback: {{ sign_key: {SIGN_KEY} }} }}\nconnectors: {{ {} }}",
        connectors.join(", ")
    ));
    let program = home.start();
    let mut sent = BTreeMap::new();
    for (n, (path, body)) in callbacks().into_iter().enumerate() {
        let body = of_its_own(n, &body);
        let content = Content::read(&body.clone().into()).unwrap();
        let to = if content.signature.is_some() { "/vod/signed" } else { "/vod/plain" };
        let reply = program.post(to, &body);
        assert_eq!(reply.status, 200, "{}: {}", path.display(), reply.body);
        sent.insert(content.identity.id.to_string(), content);
    }
    for broker in BROKERS {
        let read = three.read(broker, &sent.len().to_string());
        let ids: Vec<_> = read.iter().map(|m| m["attributes"]["id"].as_str().unwrap()).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, sent.keys().collect::<Vec<_>>(), "{broker:?}");
        for message in &read {
            agrees(broker, message, &sent[message["attributes"]["id"].as_str().unwrap()]);
        }
    }
    assert_eq!(program.unaccounted(), 0.0);
    assert!(program.terminate().success());
}

fn agrees(broker: Broker, message: &Value, content: &Content) {
    let attributes = &message["attributes"];
    let event_type = content.event_type.as_str();
    let id = content.identity.id.as_str();
    assert_eq!(message["topic"], format!("vod.{event_type}"), "{broker:?} {id}");
    assert_eq!(attributes["type"], format!("com.tencentcloud.vod.{event_type}"));
    assert_eq!(attributes["specversion"], "1.0");
    assert_eq!(attributes["datacontenttype"], "application/json");
    assert_eq!(attributes["vodeventtype"], event_type);
    assert_eq!(attributes["vodmode"], "callback");
    let text = |attribute: &str| attributes[attribute].as_str();
    assert_eq!(text("vodfileid"), content.file.as_deref(), "{broker:?} {id}");
    assert_eq!(text("vodtaskid"), content.task.as_deref(), "{broker:?} {id}");
    let key = message["key"].as_str();
    match broker {
        Broker::Kafka => assert_eq!(key, text("subject"), "{id}"),
        Broker::RabbitMq => assert_eq!(key, Some(id)),
        Broker::Nats => {
            let application = text("vodapplication").unwrap();
            assert!(key.unwrap().starts_with(&format!("{application}:{id}~")), "{key:?}");
        }
    }
    assert_eq!(base64(&content.payload), message["body"].as_str().unwrap(), "{broker:?} {id}");
}

/// RFC 4648, section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
