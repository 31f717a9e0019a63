//! The digest does not depend on how a payload is written: another JSON library reads it and
//! writes it again, with its members in another order, without what is null, and with every
//! character escaped.
#![no_main]

use std::fmt::Write as _;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use vodbridge_vod::Content;

fuzz_target!(|bytes: &[u8]| {
    let Ok(payload) = std::str::from_utf8(bytes) else { return };
    // The library takes an object with a name of its own for a number, and writes exponents as
    // `e` with a sign.
    let exponent =
        |w: &[u8]| matches!(w, [b'0'..=b'9', b'E', _] | [b'0'..=b'9', b'e', b'0'..=b'9']);
    if payload.contains("$serde_json") || bytes.windows(3).any(exponent) {
        return;
    }
    let Ok(object) = serde_json::from_str::<Map<String, Value>>(payload) else { return };
    let object = Value::Object(object);
    // It keeps the last of members that share a name.
    if names(&object) != colons(payload) {
        return;
    }

    let mut other = String::new();
    write(&mut other, &object);
    assert_eq!(digest(payload), digest(&other), "{payload}\n{other}");
});

fn digest(payload: &str) -> [u8; 8] {
    let message = Bytes::from(format!("{{\"EventType\":\"FileDeleted\",\"E\":{payload}}}"));
    Content::read(&message).expect("the library has read it").identity.digest
}

/// How many members there are in all.
fn names(value: &Value) -> usize {
    match value {
        Value::Object(members) => members.values().map(|value| 1 + names(value)).sum(),
        Value::Array(elements) => elements.iter().map(names).sum(),
        _ => 0,
    }
}

/// How many members are written: each has a colon outside of strings.
fn colons(text: &str) -> usize {
    let (mut colons, mut in_string, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => colons += 1,
            _ => {}
        }
    }
    colons
}

/// Writes a value with its members in the reverse of their order.
fn write(out: &mut String, value: &Value) {
    match value {
        Value::Object(members) => {
            out.push_str("{ \"null\" : null");
            for (name, value) in members.iter().rev().filter(|(_, value)| !value.is_null()) {
                out.push_str(" ,\n");
                escape(out, name);
                out.push_str(" :\t");
                write(out, value);
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                out.push_str(if i > 0 { " , " } else { "" });
                write(out, element);
            }
            out.push_str(" ]");
        }
        Value::String(text) => escape(out, text),
        scalar => write!(out, "{scalar}").expect("a String takes everything"),
    }
}

fn escape(out: &mut String, text: &str) {
    out.push('"');
    for unit in text.encode_utf16() {
        write!(out, "\\u{unit:04x}").expect("a String takes everything");
    }
    out.push('"');
}
