use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use vodbridge_core::{ContentDigest, ContentType, Extension, KnownBy, Timestamp};

use super::*;

type Attributes = BTreeMap<String, String>;

/// Reads a message by the words of the binding, knowing nothing of how it was written.
fn decode(message: &Message, prefixes: &[&str]) -> (Attributes, Vec<u8>) {
    let content_type = message.properties.content_type().as_ref().unwrap().as_str();
    // Section 3: "If the value of the content-type property is prefixed with the CloudEvents media
    // type application/cloudevents, the receiver MUST treat it as structured".
    if content_type.starts_with("application/cloudevents") {
        return decode_json(&message.body);
    }
    let mut attributes = Attributes::new();
    attributes.insert("datacontenttype".to_owned(), content_type.to_owned());
    for (name, value) in message.properties.headers().as_ref().unwrap().inner() {
        let name = prefixes.iter().find_map(|p| name.as_str().strip_prefix(p));
        let AMQPValue::LongString(value) = value else { panic!("no AMQP string: {value:?}") };
        let value = String::from_utf8(value.as_bytes().to_vec()).unwrap();
        let twice = attributes.insert(name.expect("a prefix").to_owned(), value);
        assert_eq!(twice, None);
    }
    (attributes, message.body.to_vec())
}

fn decode_json(body: &[u8]) -> (Attributes, Vec<u8>) {
    let Value::Object(members) = serde_json::from_slice(body).unwrap() else { panic!("no object") };
    let mut data = Vec::new();
    let mut attributes = Attributes::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("data", value) => data = serde_json::to_vec(&value).unwrap(),
            (_, Value::String(value)) => drop(attributes.insert(name, value)),
            (_, value) => panic!("{name} is {value}"),
        }
    }
    (attributes, data)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{1,40}", "\\PC{1,40}", "[a-z\r\n\t\u{0}视频]{1,20}"]
}

prop_compose! {
    fn events()(
        id in text(),
        subject in proptest::option::of(text()),
        millis in 0..253_402_300_799_999_u64,
        values in proptest::collection::btree_map("[a-z0-9]{1,20}", text(), 0..6),
        number in any::<u64>(),
    ) -> Event {
        let extensions = values
            .into_iter()
            .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
            .map(|(name, value)| Extension { name: name.into(), value: value.into() })
            .collect();
        let data = Bytes::from(format!("{{\"FileId\":{number}}}"));
        Event {
            id: id.into(),
            source: "//vod.tencentcloudapi.com/applications/1".into(),
            ty: "com.tencentcloud.vod.NewFileUpload".into(),
            subject: subject.map(Into::into),
            time: Timestamp::from_millis(millis),
            extensions,
            content_type: ContentType::Json,
            data: data.clone(),
            message: data,
            content: ContentDigest::default(),
            known_by: KnownBy::Key,
        }
    }
}

const RESERVED: [&str; 9] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "data",
    "dataschema",
];

fn attributes(event: &Event) -> Attributes {
    event.attributes().map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
}

proptest! {
    #[test]
    fn every_attribute_and_every_byte_comes_back(event in events()) {
        for (mode, prefix) in [
            (ContentMode::Binary, HeaderPrefix::Ce),
            (ContentMode::Binary, HeaderPrefix::CloudEventsUnderscore),
            (ContentMode::Binary, HeaderPrefix::CloudEventsColon),
            (ContentMode::Structured, HeaderPrefix::Ce),
        ] {
            let message = message(&event, mode, prefix).unwrap();
            let (found, data) = decode(&message, &["ce-", "cloudEvents_", "cloudEvents:"]);
            prop_assert_eq!(&found, &attributes(&event));
            prop_assert_eq!(&data[..], &event.data[..]);
            let properties = &message.properties;
            prop_assert_eq!(properties.delivery_mode(), &Some(2));
            prop_assert_eq!(properties.timestamp(), &Some(event.time.as_secs()));
            prop_assert_eq!(properties.message_id().as_ref().unwrap().as_str(), event.id.as_str());
        }
    }
}

#[test]
fn an_id_that_is_too_long_for_a_property_is_in_the_headers_alone() {
    let mut event = vodbridge_conformance::event("", 100);
    event.id = "x".repeat(256).into();
    let message = message(&event, ContentMode::Binary, HeaderPrefix::Ce).unwrap();
    assert_eq!(message.properties.message_id(), &None);
    assert_eq!(decode(&message, &["ce-"]).0["id"], event.id.as_str());
}

#[test]
fn an_attribute_that_no_header_can_name_is_refused() {
    let mut event = vodbridge_conformance::event("long", 100);
    event.extensions.push(Extension { name: "x".repeat(253).into(), value: "1".into() });
    message(&event, ContentMode::Binary, HeaderPrefix::Ce).unwrap_err();
}

#[test]
fn the_size_of_the_headers_is_not_told_too_small() {
    let mut event = vodbridge_conformance::event("large", 100);
    event.extensions.push(Extension { name: "detail".into(), value: "x".repeat(5000).into() });
    let message = message(&event, ContentMode::Binary, HeaderPrefix::CloudEventsColon).unwrap();
    let written: usize = message
        .properties
        .headers()
        .iter()
        .flat_map(|headers| headers.inner())
        .map(|(name, value)| name.as_str().len() + value.as_long_string().unwrap().len() + 6)
        .sum();
    assert!(message.header_bytes >= written + 256 && message.header_bytes < written + 1024);
}

#[test]
fn the_trace_context_stands_under_its_own_names_too() {
    let mut event = vodbridge_conformance::event("traced", 100);
    let context = [("traceparent", "00-0af7-b7ad-01"), ("tracestate", "congo=t61")];
    event
        .extensions
        .extend(context.map(|(name, value)| Extension { name: name.into(), value: value.into() }));
    for mode in [ContentMode::Binary, ContentMode::Structured] {
        let message = message(&event, mode, HeaderPrefix::Ce).unwrap();
        let headers = message.properties.headers().as_ref().unwrap().inner();
        for (name, value) in context {
            let header = headers[name].as_long_string().unwrap();
            assert_eq!(header.as_bytes(), value.as_bytes(), "{mode:?}");
        }
    }
}
