use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rdkafka::message::Headers;
use serde_json::Value;
use vodbridge_core::{ContentDigest, ContentType, Extension, KnownBy, Timestamp};

use super::*;

/// Attributes and data, as a subscriber knows them.
#[derive(Debug, PartialEq)]
struct Decoded {
    attributes: BTreeMap<String, String>,
    data: Vec<u8>,
}

/// A decoder that knows the specification and nothing of the encoder.
fn decode(record: &Record) -> Decoded {
    let mut headers: BTreeMap<&str, &str> = BTreeMap::new();
    for header in record.headers.iter() {
        let value = std::str::from_utf8(header.value.expect("no header is null"));
        let before = headers.insert(header.key, value.expect("section 3.2.3.2: UTF-8"));
        assert_eq!(before, None, "{} comes twice", header.key);
    }
    // Section 3: "If the `content-type` header ... begins with application/cloudevents", it is
    // structured; else binary.
    let content_type = headers["content-type"];
    if content_type.starts_with("application/cloudevents") {
        let media_type = content_type.split(';').next().unwrap();
        assert_eq!(media_type, "application/cloudevents+json");
        let Value::Object(mut object) = serde_json::from_slice(&record.value).unwrap() else {
            panic!("an event is an object")
        };
        let data = object.remove("data").unwrap();
        let text = |value: Value| value.as_str().unwrap().to_owned();
        let attributes = object.into_iter().map(|(name, value)| (name, text(value))).collect();
        return Decoded { attributes, data: serde_json::to_vec(&data).unwrap() };
    }
    let mut attributes: BTreeMap<_, _> = headers
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("ce_")?.to_owned(), value.to_string())))
        .collect();
    attributes.insert("datacontenttype".to_owned(), content_type.to_owned());
    Decoded { attributes, data: record.value.to_vec() }
}

fn expected(event: &Event) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([
        ("specversion".to_owned(), "1.0".to_owned()),
        ("id".to_owned(), event.id.to_string()),
        ("source".to_owned(), event.source.to_string()),
        ("type".to_owned(), event.ty.to_string()),
        ("time".to_owned(), event.time.to_string()),
        ("datacontenttype".to_owned(), "application/json".to_owned()),
    ]);
    all.extend(event.subject.as_ref().map(|subject| ("subject".to_owned(), subject.to_string())));
    let extensions = event.extensions.iter();
    all.extend(extensions.map(|e| (e.name.to_string(), e.value.to_string())));
    all
}

fn events() -> impl Strategy<Value = Event> {
    let text = "[^\\x00]{1,40}";
    let extensions = btree_map("x[a-z0-9]{1,12}|partitionkey", text, 0..6);
    // Few digits, so that serde_json writes a number as it read it.
    let data = btree_map("[a-z]{1,8}", -1000_i32..1000, 0..5);
    (text, text, text, proptest::option::of(text), extensions, data, any::<u32>()).prop_map(
        |(id, source, ty, subject, extensions, data, millis)| {
            let data = Bytes::from(serde_json::to_vec(&data).unwrap());
            let extension = |(name, value): (String, String)| Extension {
                name: name.into(),
                value: value.into(),
            };
            Event {
                id: id.into(),
                source: source.into(),
                ty: ty.into(),
                subject: subject.map(Into::into),
                time: Timestamp::from_millis(u64::from(millis)),
                extensions: extensions.into_iter().map(extension).collect(),
                content_type: ContentType::Json,
                data: data.clone(),
                message: data,
                content: ContentDigest::default(),
                known_by: KnownBy::Key,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_goes_out_is_what_a_subscriber_reads(event in events()) {
        for mode in [ContentMode::Binary, ContentMode::Structured] {
            let record = record(&event, mode);
            let decoded = decode(&record);
            prop_assert_eq!(&decoded.attributes, &expected(&event));
            prop_assert_eq!(&decoded.data[..], &event.data[..]);
            prop_assert_eq!(record.key.as_deref(), event.extension("partitionkey"));
        }
    }
}

#[test]
fn bytes_that_are_no_json_keep_their_type() {
    let mut event = events()
        .new_tree(&mut proptest::test_runner::TestRunner::deterministic())
        .unwrap()
        .current();
    event.content_type = ContentType::OctetStream;
    event.data = Bytes::from_static(b"\xff\x00\r\n");
    let record = record(&event, ContentMode::Binary);
    let decoded = decode(&record);
    assert_eq!(decoded.attributes["datacontenttype"], "application/octet-stream");
    assert_eq!(decoded.data, b"\xff\x00\r\n");
}

#[test]
fn the_trace_context_stands_under_its_own_names_too() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut event = events().new_tree(&mut runner).unwrap().current();
    let context = [("traceparent", "00-0af7-b7ad-01"), ("tracestate", "congo=t61")];
    event.extensions =
        context.map(|(name, value)| Extension { name: name.into(), value: value.into() }).to_vec();
    for mode in [ContentMode::Binary, ContentMode::Structured] {
        let record = record(&event, mode);
        for (name, value) in context {
            let header = record.headers.iter().find(|header| header.key == name).unwrap();
            assert_eq!(header.value, Some(value.as_bytes()), "{mode:?}");
        }
        assert_eq!(decode(&record).attributes, expected(&event), "{mode:?}");
    }
}
