use std::error::Error as _;

use bytes::Bytes;
use vodbridge_vod::{
    Content, Envelope, MEMBERS_MAX, MESSAGE_BYTES_MAX, NESTING_MAX, without_envelope,
};

use crate::support::{code, read};

#[test]
fn what_is_no_event_is_told_by_a_code() {
    let deep = "[".repeat(100_000);
    let closed = format!("{{\"XEvent\":{{\"a\":{deep}{}}}}}", "]".repeat(100_000));
    for (message, expected) in [
        (&b""[..], "empty"),
        (b" \r\n\t", "empty"),
        (b"\xEF\xBB\xBF{}", "byte_order_mark"),
        (b"not json", "not_json"),
        (b"{", "not_json"),
        (b"{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":{\"FileId\":\"1\"}", "not_json"),
        (b"{\"XEvent\":{}} x", "not_json"),
        (b"{\"XEvent\":{}}{}", "not_json"),
        (b"{\"XEvent\":{\"a\":NaN}}", "not_json"),
        (b"{\"XEvent\":{\"a\":01}}", "not_json"),
        (b"{\"XEvent\":{\"a\":\"\n\"}}", "not_json"),
        (b"{\"XEvent\":{\"a\":\"\\u12G4\"}}", "not_json"),
        (b"{XEvent:{}}", "not_json"),
        (b"{\"XEvent\":{},}", "not_json"),
        (b"NaN", "not_json"),
        (b"[1,", "not_json"),
        (b"{\"XEvent\":{\"a\":\"\xFF\"}}", "not_utf8"),
        (b"\xF0\x9F\x98", "not_utf8"),
        (b"[]", "not_object"),
        (b"[{\"XEvent\":{}}]", "not_object"),
        (b"\"NewFileUpload\"", "not_object"),
        (b"1", "not_object"),
        (b" true ", "not_object"),
        (b"null", "not_object"),
        (deep.as_bytes(), "too_deep"),
        (closed.as_bytes(), "too_deep"),
        (b"{\"XEvent\":{},\"XEvent\":{}}", "duplicate_member"),
        (b"{\"XEvent\":{},\"YEvent\":null,\"YEvent\":null}", "duplicate_member"),
        (b"{\"XEvent\":{},\"T\":1,\"\\u0054\":2}", "duplicate_member"),
        (b"{\"EventType\":5,\"XEvent\":{}}", "event_type"),
        (b"{\"EventType\":{\"a\":1},\"XEvent\":{}}", "event_type"),
        (b"{}", "no_payload"),
        (b"{\"EventType\":\"NewFileUpload\"}", "no_payload"),
        (b"{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":null}", "no_payload"),
        (b"{\"EventType\":\"NewFileUpload\",\"FileUploadEvent\":[]}", "no_payload"),
        (b"{\"EventType\":\"X\",\"Sign\":{},\"T\":{},\"EventHandle\":{}}", "no_payload"),
        (b"{\"foo\":{\"bar\":1}}", "no_payload"),
        (b"{\"Event\":{\"bar\":1}}", "no_payload"),
        (b"{\"EventType\":\"\",\"foo\":{\"bar\":1}}", "no_payload"),
        (b"{\"eventType\":\"NewFileUpload\",\"FileUploadEvent\":{}}", "no_payload"),
        (b"{\"EventType\":\"X\",\"AEvent\":{\"a\":1},\"BEvent\":{\"b\":1}}", "ambiguous_payload"),
        (b"{\"EventType\":\"X\",\"AEvent\":{},\"BEvent\":{}}", "ambiguous_payload"),
        (b"{\"AEvent\":{\"a\":1},\"FileUploadEvent\":{\"b\":1}}", "ambiguous_payload"),
    ] {
        let shown = message[..message.len().min(80)].escape_ascii();
        assert_eq!(code(Bytes::copy_from_slice(message)), expected, "{shown}");
    }
}

#[test]
fn an_error_tells_what_and_where_and_leaves_the_cause_to_its_source() {
    for (message, text, has_source) in [
        ("{\"XEvent\":\n {\"a\":x}}", "the message is not JSON at byte 17", true),
        (
            "{\"A\":1,\"A\":2}",
            "member \"A\" stands twice on the top level, the second time at byte 7",
            false,
        ),
        (
            "{\"EventType\":5}",
            "EventType at byte 1 is a number; an event's type is a string",
            false,
        ),
        ("[]", "the message is an array; an event is an object", false),
        (
            "{\"EventType\":\"X\",\"AEvent\":{\"a\":1},\"BEvent\":{\"a\":1}}",
            "members \"AEvent\" and \"BEvent\" could both be the payload of X, and neither is the \
             type's own",
            false,
        ),
    ] {
        let error = Content::read(&Bytes::from(message)).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!(error.source().is_some(), has_source, "{message}");
    }
    let name = "é".repeat(1_000_000);
    let long = format!("{{\"EventType\":\"{name}\"}}");
    assert!(Content::read(&Bytes::from(long)).unwrap_err().to_string().len() < 300);
}

#[test]
fn a_message_larger_than_the_limit_is_not_looked_at() {
    let message = vec![b' '; MESSAGE_BYTES_MAX + 1];
    assert_eq!(code(message), "too_large");
}

#[test]
fn the_top_level_has_room_for_every_type_and_not_for_everything() {
    let message = |others: usize| {
        let others: String = (0..others).map(|i| format!("\"m{i}\":null,")).collect();
        format!("{{{others}\"EventHandle\":\"h\",\"XEvent\":{{}}}}")
    };
    read(message(MEMBERS_MAX - 2));
    assert_eq!(code(message(MEMBERS_MAX - 1)), "too_many_members");
    let many = Bytes::from(message(MEMBERS_MAX));
    assert_eq!(without_envelope(&many), many);
    assert_eq!(code(message(1_000_000).replace("null,\"E", "nul,\"E")), "not_json");
}

#[test]
fn nesting_is_borne_to_its_limit() {
    // The outermost object and the payload are two levels.
    let nested = |levels: usize| {
        let arrays = levels - 2;
        format!("{{\"XEvent\":{{\"a\":{}1{}}}}}", "[".repeat(arrays), "]".repeat(arrays))
    };
    read(nested(NESTING_MAX));
    assert_eq!(code(nested(NESTING_MAX + 1)), "too_deep");
    let objects = format!("{{\"XEvent\":{}1{}}}", "{\"a\":".repeat(127), "}".repeat(127));
    read(objects);
}

#[test]
fn nothing_inside_the_payload_is_judged() {
    let digits = "9".repeat(1_000_000);
    for payload in [
        r#"{"a":1,"a":2,"a":{"b":1,"b":1}}"#,
        r#"{"FileId":"\ud800\u0000","TaskId":["x"],"Status":{}}"#,
        r#"{"a":1e999999,"b":-0.0e-0,"c":123456789012345678901234567890}"#,
        &format!("{{\"FileId\":{digits},\"TaskId\":\"{digits}\",\"Status\":{digits}}}"),
        r#"{"":{"":[{"":""}]},"\u0000":"\u0000"}"#,
    ] {
        for event_type in ["NewFileUpload", "PullComplete", "FileDeleted", "Unknown"] {
            let message = format!("{{\"EventType\":\"{event_type}\",\"XEvent\": {payload} }}");
            let content = read(message);
            assert_eq!(content.payload, payload);
            assert!(content.identity.id.len() <= 200);
        }
    }
}

#[test]
fn many_members_and_elements_take_linear_time() {
    // Each of these takes minutes if something is quadratic or exponential in it.
    let members: String = (0..200_000).map(|i| format!("\"m{i}\":{{}},")).collect();
    let nested = format!("{}{}", "[[],".repeat(60), "1".to_owned() + &"]".repeat(60));
    let arrays = format!("[{}1]", format!("{nested},").repeat(2_000));
    for message in [
        format!("{{\"XEvent\":{{{members}\"FileId\":\"1\"}}}}"),
        format!("{{\"EventType\":\"FileDeleted\",\"X\":{{\"FileIdSet\":{arrays}}}}}"),
        format!("{{\"XEvent\":{{\"a\":[{}]}}}}", "0,".repeat(1_000_000) + "0"),
        format!("{{\"XEvent\":{{\"a\":\"{}\"}}}}", "\\\\".repeat(1_000_000)),
    ] {
        read(message);
    }
}

#[test]
fn whatever_it_is_its_envelope_can_be_looked_for() {
    for (message, handle) in [
        (&b"{\"EventHandle\":\"h\",\"XEvent\":null}"[..], Some("h")),
        (b"{\"EventHandle\":\"h\",\"XEvent\":{\"Name\":\"\xE8\xA7\"}}", Some("h")),
        (b"{\"EventHandle\":8078360634045903972}", Some("8078360634045903972")),
        (b"{\"EventHandle\":\"h\",\"A\":1,\"A\":2}", Some("h")),
        (b"{\"EventHandle\":\"h\",\"EventHandle\":\"i\"}", None),
        (b"{\"EventHandle\":\"\xFF\"}", None),
        ("{\"EventHandle\":\"\u{FFFD}\"}".as_bytes(), Some("\u{FFFD}")),
        (b"{\"EventHandle\":\"\"}", None),
        (b"{\"EventHandle\":null}", None),
        (b"{\"EventHandle\":\"h\"", None),
        (b"", None),
    ] {
        let shown = message.escape_ascii();
        assert_eq!(Envelope::find(message).handle.as_deref(), handle, "{shown}");
        let bare = without_envelope(&Bytes::copy_from_slice(message));
        assert!(!bare.is_empty() || message.is_empty());
    }
    let deep = format!("{{\"EventHandle\":\"h\",\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert_eq!(Envelope::find(deep.as_bytes()).handle.as_deref(), Some("h"));
}
