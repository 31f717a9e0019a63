//! What the bridge makes of VOD's own samples is a CloudEvent to an implementation that is not
//! ours.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use cloudevents::{AttributesReader, Data};
use vodbridge::normalize::{DataForm, Normalizer, Reception, Trace};
use vodbridge::telemetry::metrics::Mode;
use vodbridge_core::{ContentType, Event, Timestamp, to_json};
use vodbridge_vod::Content;

const RECEIVED: &str = "2026-11-24T08:00:00.123+00:00";

/// Every callback body among the samples.
pub(crate) fn callbacks() -> Vec<(PathBuf, Bytes)> {
    let samples = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("connectors/vod/samples");
    let folders = [samples.clone(), samples.join("variants"), samples.join("legacy-v2")];
    let mut found: Vec<_> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".callback.json"))
        .map(|path| (path.clone(), Bytes::from(fs::read(path).unwrap())))
        .collect();
    found.sort();
    assert!(found.len() >= 37 + 8 + 9, "samples are missing: {}", found.len());
    found
}

fn normalizer(data: DataForm) -> Normalizer {
    Normalizer::new("movies", Some(1_500_012_345), "com.tencentcloud.vod", data)
}

fn reception() -> Reception {
    let trace = Trace {
        parent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        state: None,
    };
    Reception { mode: Mode::callback, at: Timestamp::from_millis(1_795_507_200_123), trace }
}

fn event(message: &Bytes, data: DataForm) -> Event {
    normalizer(data).event(Content::read(message).unwrap(), message, &reception())
}

#[test]
fn every_sample_is_the_same_event_to_the_official_sdk() {
    for (path, message) in callbacks() {
        let ours = event(&message, DataForm::Payload);
        let theirs: cloudevents::Event = serde_json::from_slice(&to_json(&ours))
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(theirs.id(), ours.id);
        assert_eq!(theirs.source(), ours.source);
        assert_eq!(theirs.ty(), ours.ty);
        assert_eq!(theirs.subject(), ours.subject.as_deref());
        assert_eq!(theirs.datacontenttype(), Some("application/json"));
        assert_eq!(theirs.time().map(|t| t.to_rfc3339()).as_deref(), Some(RECEIVED));
        for extension in &ours.extensions {
            let value = theirs.extension(&extension.name).map(ToString::to_string);
            assert_eq!(value.as_deref(), Some(extension.value.as_str()), "{}", extension.name);
        }
        let Some(Data::Json(data)) = theirs.data() else { panic!("data is no JSON") };
        assert_eq!(*data, serde_json::from_slice::<serde_json::Value>(&ours.data).unwrap());
    }
}

#[test]
fn the_dead_letter_of_what_is_no_event_is_an_event_to_the_official_sdk() {
    for message in [&b"\xff\xfe"[..], b"[1]", b"", b"{\"EventType\":\"X\"}"] {
        let message = Bytes::from_static(message);
        let why = Content::read(&message).unwrap_err();
        let ours = normalizer(DataForm::Payload).unrecognized(&why, &message, &reception());
        let theirs: cloudevents::Event = serde_json::from_slice(&to_json(&ours)).unwrap();
        assert_eq!(theirs.ty(), "com.tencentcloud.vod.Unrecognized");
        match (ours.content_type, theirs.data()) {
            (ContentType::Json, Some(Data::Json(_))) => {}
            (ContentType::OctetStream, Some(Data::Binary(bytes))) => assert_eq!(*bytes, message),
            // The SDK reads an empty `data_base64` as no data.
            (ContentType::OctetStream, None) => assert!(message.is_empty()),
            (kind, data) => panic!("{kind:?}: {data:?}"),
        }
    }
}

/// CloudEvents 1.0.2, "Attribute Naming Convention": "CloudEvents attribute names MUST consist of
/// lower-case letters ('a' to 'z') or digits ('0' to '9') from the ASCII character set [...]
/// SHOULD NOT exceed 20 characters in length." "REQUIRED Attributes": "MUST be a non-empty
/// string". "Type System": no control characters in a String.
#[test]
fn every_attribute_of_every_sample_keeps_the_specifications_rules() {
    for (path, message) in callbacks() {
        for (name, value) in event(&message, DataForm::Payload).attributes() {
            let at = path.display();
            assert!(!name.is_empty() && name.len() <= 20, "{at}: {name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{at}");
            assert!(!value.is_empty(), "{at}: {name} is empty");
            assert!(!value.chars().any(char::is_control), "{at}: {name}");
        }
    }
}

#[test]
fn what_cloud_events_forbids_in_attributes_is_percent_encoded_and_data_is_not_touched() {
    let message = Bytes::from_static(
        br#"{"EventType":"NewFileUpload","FileUploadEvent":{"FileId":"a\u0000\u007f\uffff\u89c6b"}}"#,
    );
    let event = event(&message, DataForm::Payload);
    assert_eq!(event.extension("vodfileid"), Some("a%00%7F%EF%BF%BF视b"));
    assert_eq!(event.subject.as_deref(), Some("a%00%7F%EF%BF%BF视b"));
    assert!(event.data.windows(6).any(|w| w == b"\\u0000"));
}

#[test]
fn data_is_the_payload_or_the_content_byte_for_byte() {
    for (path, message) in callbacks() {
        let payload = event(&message, DataForm::Payload).data;
        let found = message.windows(payload.len()).any(|w| w == payload);
        assert!(found, "{}: the payload is not a slice of the body", path.display());
        let content = event(&message, DataForm::Content).data;
        let mut whole: serde_json::Value = serde_json::from_slice(&message).unwrap();
        for envelope in ["EventHandle", "Sign", "T"] {
            whole.as_object_mut().unwrap().remove(envelope);
        }
        let content: serde_json::Value = serde_json::from_slice(&content).unwrap();
        assert_eq!(content, whole, "{}", path.display());
    }
}

#[test]
fn the_same_message_always_becomes_the_same_event() {
    for (_, message) in callbacks() {
        assert_eq!(event(&message, DataForm::Payload), event(&message, DataForm::Payload));
    }
}
