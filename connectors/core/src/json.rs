//! The JSON Event Format of CloudEvents 1.0.2: what structured mode sends and listings print.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{ContentType, Event};

/// The event as one JSON object, attributes first, `data` last and as it came.
///
/// JSON Event Format, section 3.1: "Each CloudEvents attribute MUST be represented as a member of
/// the JSON object"; section 3.1.1: data that is JSON is the member `data` itself, bytes are
/// "the Base64 encoded binary value" of `data_base64`.
///
/// Line breaks between the tokens of `data` become blanks, so that the object is one line; inside
/// strings JSON has none.
pub fn to_json(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.data.len() + 768);
    out.push(b'{');
    for (name, value) in event.attributes() {
        string(&mut out, name);
        out.push(b':');
        string(&mut out, &value);
        out.push(b',');
    }
    match event.content_type {
        // Without data there is no member for it: nothing is no JSON.
        ContentType::Json if event.data.is_empty() => {
            out.pop();
        }
        ContentType::Json => {
            out.extend_from_slice(b"\"data\":");
            let from = out.len();
            out.extend_from_slice(event.data.trim_ascii());
            for byte in &mut out[from..] {
                if matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
        ContentType::OctetStream => {
            out.extend_from_slice(b"\"data_base64\":\"");
            out.extend_from_slice(STANDARD.encode(&event.data).as_bytes());
            out.push(b'"');
        }
    }
    out.push(b'}');
    out
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is valid JSON, and a Vec takes it");
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::{ContentDigest, Extension, KnownBy, Timestamp};

    fn event(content_type: ContentType, data: &'static [u8]) -> Event {
        Event {
            id: "NewFileUpload:1".into(),
            source: "//vod.tencentcloudapi.com/applications/1".into(),
            ty: "com.tencentcloud.vod.NewFileUpload".into(),
            subject: Some("a \"b\" 视频".into()),
            time: Timestamp::from_millis(0),
            extensions: vec![Extension { name: "vodmode".into(), value: "callback".into() }],
            content_type,
            data: Bytes::from_static(data),
            message: Bytes::from_static(data),
            content: ContentDigest::default(),
            known_by: KnownBy::Key,
        }
    }

    #[test]
    fn json_data_is_a_member_and_numbers_are_as_written() {
        let json =
            to_json(&event(ContentType::Json, b" {\"FileId\":\n 18446744073709551617.10}\n"));
        let text = std::str::from_utf8(&json).unwrap();
        assert!(text.ends_with(r#","data":{"FileId":  18446744073709551617.10}}"#), "{text}");
        assert!(!text.contains('\n'));
        let value: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["subject"], "a \"b\" 视频");
        assert_eq!(value["specversion"], "1.0");
        assert_eq!(value["time"], "1970-01-01T00:00:00.000Z");
        assert_eq!(value["datacontenttype"], "application/json");
    }

    #[test]
    fn without_data_there_is_no_member_for_it() {
        let value: Value =
            serde_json::from_slice(&to_json(&event(ContentType::Json, b""))).unwrap();
        assert_eq!(value["id"], "NewFileUpload:1");
        assert_eq!(value.get("data"), None);
    }

    #[test]
    fn what_is_no_json_is_base64() {
        let json = to_json(&event(ContentType::OctetStream, b"\xff\x00"));
        let value: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["data_base64"], json!("/wA="));
        assert_eq!(value.get("data"), None);
    }
}
