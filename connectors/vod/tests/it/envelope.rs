use bytes::Bytes;
use vodbridge_vod::{Envelope, without_envelope};

use crate::support::{read, sample};

#[test]
fn the_content_without_its_envelope_keeps_every_other_byte() {
    for (message, bare) in [
        (r#"{"EventHandle":"h","EventType":"X"}"#, r#"{"EventType":"X"}"#),
        (r#"{ "EventHandle" : "h" , "EventType" : "X" }"#, r#"{ "EventType" : "X" }"#),
        (r#"{"EventType":"X","Sign":"s","T":1}"#, r#"{"EventType":"X"}"#),
        (r#"{"EventType":"X" , "Sign":"s" , "T":1 }"#, r#"{"EventType":"X" }"#),
        (r#"{"Sign":"s","A":1,"T":1,"B":[ 2 ],"EventHandle":"h"}"#, r#"{"A":1,"B":[ 2 ]}"#),
        (r#"{"Sign":"s","T":1}"#, "{}"),
        (r#" {"T":1,"T":2,"A":{"T":3}} "#, r#" {"A":{"T":3}} "#),
        (r#"{"\u0054":1,"A":18446744073709551616}"#, r#"{"A":18446744073709551616}"#),
        (r#"{"A":1}"#, r#"{"A":1}"#),
        ("[1]", "[1]"),
        ("not json", "not json"),
    ] {
        assert_eq!(without_envelope(&Bytes::from(message)), bare, "{message}");
    }
}

#[test]
fn a_content_without_an_envelope_is_not_copied() {
    let message = sample("NewFileUpload.callback.json");
    assert_eq!(without_envelope(&message).as_ptr(), message.as_ptr());
}

#[test]
fn the_payload_is_a_part_of_the_message_and_no_copy() {
    let message = sample("variants/NewFileUpload.signed.callback.json");
    let payload = read(message.clone()).payload;
    assert!(message.as_ptr_range().contains(&payload.as_ptr()));
    assert!(payload.starts_with(b"{\n") && payload.ends_with(b"}"));
    assert!(message.windows(payload.len()).any(|part| part == payload));
}

#[test]
fn no_debug_output_shows_bodies_or_signatures() {
    let content = read(sample("variants/NewFileUpload.signed.callback.json"));
    let shown = format!("{content:?} {:?}", content.signature);
    assert!(!shown.contains("Animal World") && !shown.contains("7ac575"), "{shown}");
}

#[test]
fn the_handle_of_what_is_no_json_is_found_by_brackets_and_quotes() {
    for (message, handle) in [
        (&br#"{"EventHandle":"h","A":01}"#[..], Some("h")),
        (br#"{"A":{"b":tru},"EventHandle" : 8078360634045903972 }"#, Some("8078360634045903972")),
        (b"{\"Name\":\"cut \xe5\x8a\",\"EventHandle\":\"h\",\"A\":01}", Some("h")),
        (br#"{"EventHandle":"\q","A":01}"#, None),
        (br#"{"EventHandle":"","A":01}"#, None),
        (br#"{"EventHandle":"a","EventHandle":"b","A":01}"#, None),
        (br#"{"A":{"EventHandle":"h"},"B":01}"#, None),
        (br#"{"EventHandle":"h","A":"#, None),
        (b"", None),
    ] {
        let text = String::from_utf8_lossy(message);
        assert_eq!(Envelope::find(message).handle.as_deref(), handle, "{text}");
    }
}
