//! Written by the rules for receivers, not by the code beside.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;
use vodbridge_core::{
    ContentDigest, ContentMode, ContentType, Event, Extension, KnownBy, Timestamp,
};

use super::{Message, message};

fn event(id: &str) -> Event {
    Event {
        id: id.into(),
        source: "//vod.tencentcloudapi.com/applications/1500012345".into(),
        ty: "com.tencentcloud.vod.NewFileUpload".into(),
        subject: Some("387702292285462759".into()),
        time: Timestamp::from_millis(1_767_226_200_123),
        extensions: vec![Extension { name: "vodapplication".into(), value: "movies".into() }],
        content_type: ContentType::Json,
        data: Bytes::from_static(b"{\"FileId\": 18446744073709551617}"),
        message: Bytes::new(),
        content: ContentDigest([0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4]),
        known_by: KnownBy::Key,
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

fn id_of(event: &Event) -> String {
    let message = message(event, "VOD", ContentMode::Binary);
    header(&message.headers, "Nats-Msg-Id").unwrap().to_owned()
}

/// Section 3: "If [...] the `Content-Type` header of `application/cloudevents` is present (matched
/// case-insensitively), then the message is in structured mode".
fn is_structured(message: &Message) -> bool {
    header(&message.headers, "content-type")
        .is_some_and(|value| value.to_ascii_lowercase().starts_with("application/cloudevents"))
}

/// Section 3.1.3.2: "A single round of percent-decoding MUST then be performed"; "encoded byte
/// sequences which are invalid in UTF-8 MUST be rejected".
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let hex = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).expect("valid UTF-8")
}

fn attributes(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .filter_map(|(name, values)| {
            let name: &str = name.as_ref();
            let name = name.strip_prefix("ce-")?.to_owned();
            let [value] = values.as_slice() else { panic!("{name} is there twice") };
            Some((name, decoded(value.as_str())))
        })
        .collect()
}

/// As the client library writes it: "NATS/1.0", a line for each header, an empty line.
fn wire_bytes(headers: &HeaderMap) -> usize {
    let lines = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values.iter().map(move |value| format!("{name}: {value}\r\n").len())
    });
    "NATS/1.0\r\n".len() + lines.sum::<usize>() + "\r\n".len()
}

#[test]
fn a_message_is_known_again_by_application_id_and_content() {
    let known = event("NewFileUpload:1");
    assert_eq!(id_of(&known), "movies:NewFileUpload:1~deadbeef");

    let mut other_content = known.clone();
    other_content.content = ContentDigest([0xde, 0xad, 0xbe, 0xee, 1, 2, 3, 4]);
    assert_ne!(id_of(&other_content), id_of(&known));

    let mut other_application = known.clone();
    other_application.extensions[0].value = "series".into();
    assert_ne!(id_of(&other_application), id_of(&known));
}

#[test]
fn what_is_sent_again_on_purpose_is_no_duplicate() {
    let mut event = event("NewFileUpload:1");
    event.extensions.push(Extension { name: "vodreplay".into(), value: "00c0ffee".into() });
    assert_eq!(id_of(&event), "movies:NewFileUpload:1~deadbeef#replay:00c0ffee");
}

#[test]
fn what_is_known_by_its_content_alone_may_come_again_later() {
    let mut event = event("FileDeleted:0123456789abcdef");
    event.known_by = KnownBy::Content;
    assert_eq!(id_of(&event), "movies:FileDeleted:0123456789abcdef~deadbeef@1767226200123");
    let before = id_of(&event);
    event.time = Timestamp::from_millis(1_767_226_200_124);
    assert_ne!(id_of(&event), before);
}

#[test]
fn a_dead_letter_is_another_message_than_its_event() {
    let mut letter = event("NewFileUpload:1");
    letter.extensions.push(Extension { name: "vodreason".into(), value: "refused".into() });
    assert_eq!(id_of(&letter), "movies:NewFileUpload:1~deadbeef#dead-letter:");
    letter.extensions.push(Extension { name: "vodconnector".into(), value: "orders".into() });
    assert_eq!(id_of(&letter), "movies:NewFileUpload:1~deadbeef#dead-letter:orders");
    letter.known_by = KnownBy::Content;
    let id = "movies:NewFileUpload:1~deadbeef@1767226200123#dead-letter:orders";
    assert_eq!(id_of(&letter), id);
}

#[test]
fn an_application_without_a_name_leaves_its_place_empty() {
    let mut nameless = event("NewFileUpload:1");
    nameless.extensions.clear();
    assert_eq!(id_of(&nameless), ":NewFileUpload:1~deadbeef");
}

/// Section 3.1.3.2: "The encoded NATS header value is therefore
/// `Euro%20%E2%82%AC%20%F0%9F%98%80`".
#[test]
fn the_example_of_the_binding() {
    let mut euro = event("1");
    euro.subject = Some("Euro € 😀".into());
    let message = message(&euro, "VOD", ContentMode::Binary);
    let subject = header(&message.headers, "ce-subject");
    assert_eq!(subject, Some("Euro%20%E2%82%AC%20%F0%9F%98%80"));
}

#[test]
fn line_breaks_quotes_and_percent_signs_stay_inside_their_value() {
    let mut hostile = event("1");
    hostile.subject = Some("a\r\nNats-Msg-Id: forged\r\n\"b\" 100%25\u{7f}\u{85}".into());
    hostile.extensions[0].value = "x\r\ny".into();
    let message = message(&hostile, "VOD", ContentMode::Binary);
    for (name, values) in message.headers.iter() {
        for value in values {
            let is_one_word = value.as_str().bytes().all(|byte| byte.is_ascii_graphic());
            assert!(is_one_word, "{name:?}: {value:?}");
        }
    }
    let subject = attributes(&message.headers)["subject"].clone();
    assert_eq!(Some(subject.as_str()), hostile.subject.as_deref());
}

#[test]
fn structured_mode_is_one_object_that_says_what_it_is() {
    let message = message(&event("1"), "VOD", ContentMode::Structured);
    assert!(is_structured(&message));
    assert_eq!(attributes(&message.headers), BTreeMap::new());
    let object: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(object["id"], "1");
    assert!(message.payload.ends_with(br#","data":{"FileId": 18446744073709551617}}"#));
}

fn any_event() -> impl Strategy<Value = Event> {
    let extension = ("[a-z0-9]{1,20}", "\\PC{1,30}").prop_map(|(name, value)| Extension {
        name: format!("x{name}").into(),
        value: value.into(),
    });
    let strings = ("\\PC{1,40}", "\\PC{1,40}", "\\PC{1,40}", proptest::option::of(".{1,40}"));
    (
        strings,
        any::<u64>(),
        proptest::collection::vec(extension, 0..6),
        any::<bool>(),
        any::<[u8; 8]>(),
    )
        .prop_map(|((id, source, ty, subject), millis, mut extensions, is_json, digest)| {
            extensions.sort_by(|a, b| a.name.cmp(&b.name));
            extensions.dedup_by(|a, b| a.name == b.name);
            let content_type = if is_json { ContentType::Json } else { ContentType::OctetStream };
            Event {
                id: id.into(),
                source: source.into(),
                ty: ty.into(),
                subject: subject.map(Into::into),
                time: Timestamp::from_millis(millis),
                extensions,
                content_type,
                data: if is_json { "{\"a\":1.10}".into() } else { vec![0, 255, 10, 13].into() },
                content: ContentDigest(digest),
                ..event("1")
            }
        })
}

proptest! {
    #[test]
    fn every_event_is_read_back_as_it_was(event in any_event()) {
        let expected: BTreeMap<_, _> =
            event.attributes().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();

        let binary = message(&event, "VOD", ContentMode::Binary);
        prop_assert!(!is_structured(&binary));
        prop_assert_eq!(attributes(&binary.headers), expected.clone());
        prop_assert_eq!(&binary.payload, &event.data);
        prop_assert_eq!(binary.bytes, wire_bytes(&binary.headers) + binary.payload.len());

        let structured = message(&event, "VOD", ContentMode::Structured);
        prop_assert!(is_structured(&structured));
        let object: Value = serde_json::from_slice(&structured.payload).unwrap();
        for (name, value) in &expected {
            prop_assert_eq!(object[name].as_str(), Some(value.as_str()));
        }
        prop_assert_eq!(structured.bytes, wire_bytes(&structured.headers) + structured.payload.len());

        // The same event is the same message, whatever the mode.
        for other in [&structured, &message(&event, "VOD", ContentMode::Binary)] {
            let id = |message: &Message| header(&message.headers, "Nats-Msg-Id").map(str::to_owned);
            prop_assert_eq!(id(&binary), id(other));
        }
    }
}

#[test]
fn the_trace_context_stands_under_its_own_names_too() {
    let mut event = event("NewFileUpload:1");
    let context = [("traceparent", "00-0af7-b7ad-01"), ("tracestate", "congo=t61")];
    event
        .extensions
        .extend(context.map(|(name, value)| Extension { name: name.into(), value: value.into() }));
    let without = id_of(&self::event("NewFileUpload:1"));
    for mode in [ContentMode::Binary, ContentMode::Structured] {
        let message = message(&event, "VOD", mode);
        for (name, value) in context {
            assert_eq!(header(&message.headers, name), Some(value), "{mode:?}");
        }
        assert_eq!(header(&message.headers, "Nats-Msg-Id"), Some(without.as_str()));
    }
    let binary = message(&event, "VOD", ContentMode::Binary);
    assert_eq!(header(&binary.headers, "ce-traceparent"), Some(context[0].1));
}
