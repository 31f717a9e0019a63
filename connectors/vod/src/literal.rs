//! JSON's strings and numbers as they are written. All text here has passed a JSON parser.

use std::borrow::Cow;
use std::fmt::Write as _;

use memchr::memchr2;

/// A part of a string literal, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Stands for itself.
    Text(&'a str),
    /// Was written as an escape.
    Char(char),
    /// An escaped surrogate without its other half, which JSON allows and Unicode does not.
    Surrogate(u16),
}

/// The decoded text between a literal's quotes; a lone surrogate as `%ED%A0%80`.
pub(crate) fn decode(inner: &str) -> Cow<'_, str> {
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut decoded = String::with_capacity(inner.len());
    for piece in pieces(inner) {
        match piece {
            Piece::Text(text) => decoded.push_str(text),
            Piece::Char(c) => decoded.push(c),
            Piece::Surrogate(unit) => {
                for byte in surrogate_bytes(unit) {
                    write!(decoded, "%{byte:02X}").expect("a String takes everything");
                }
            }
        }
    }
    Cow::Owned(decoded)
}

/// A string's text or a number as written; nothing for an empty string and for other values.
pub(crate) fn scalar(value: &str) -> Option<Cow<'_, str>> {
    let text = match value.as_bytes().first()? {
        b'"' => decode(&value[1..value.len() - 1]),
        b'-' | b'0'..=b'9' => Cow::Borrowed(value),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The bytes by which names are sorted: UTF-8, and its generalization for lone surrogates.
pub(crate) fn sort_bytes(inner: &str) -> Cow<'_, [u8]> {
    if !inner.contains('\\') {
        return Cow::Borrowed(inner.as_bytes());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    for piece in pieces(inner) {
        match piece {
            Piece::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Surrogate(unit) => bytes.extend_from_slice(&surrogate_bytes(unit)),
        }
    }
    Cow::Owned(bytes)
}

/// The parts of the text between a literal's quotes.
pub(crate) fn pieces(inner: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = inner;
    std::iter::from_fn(move || {
        let (piece, len) = match rest.find('\\') {
            None if rest.is_empty() => return None,
            None => (Piece::Text(rest), rest.len()),
            Some(0) => escape(rest),
            Some(len) => (Piece::Text(&rest[..len]), len),
        };
        rest = &rest[len..];
        Some(piece)
    })
}

/// The offset of the quote that ends the string whose text begins at `at`; the end of `bytes` if
/// there is none.
pub(crate) fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// The offset behind a number, `true`, `false` or `null`.
pub(crate) fn word_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The offset of the first byte from `at` on that is no white space.
pub(crate) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The escape that `text` begins with, and its length.
fn escape(text: &str) -> (Piece<'_>, usize) {
    let c = match text.as_bytes()[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(text),
        itself => char::from(itself),
    };
    (Piece::Char(c), 2)
}

fn unicode_escape(text: &str) -> (Piece<'_>, usize) {
    let unit = hex(&text[2..6]);
    let low = text[6..].strip_prefix("\\u").map(|low| hex(&low[..4]));
    match (char::from_u32(u32::from(unit)), low) {
        (Some(c), _) => (Piece::Char(c), 6),
        (None, Some(low)) => match char::decode_utf16([unit, low]).next() {
            Some(Ok(c)) => (Piece::Char(c), 12),
            _ => (Piece::Surrogate(unit), 6),
        },
        (None, None) => (Piece::Surrogate(unit), 6),
    }
}

fn hex(digits: &str) -> u16 {
    u16::from_str_radix(digits, 16).expect("the parser lets only hex digits follow \\u")
}

/// What UTF-8 would make of a surrogate if it could.
fn surrogate_bytes(unit: u16) -> [u8; 3] {
    let [high, low] = unit.to_be_bytes();
    [0xE0 | high >> 4, 0x80 | (high & 0x0F) << 2 | low >> 6, 0x80 | low & 0x3F]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_text_decodes_to_it() {
        for (inner, decoded) in [
            ("", ""),
            ("plain 视频", "plain 视频"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"\u0041\u00e9\u89C6", "Aé视"),
            (r"\ud83d\uDE00!", "😀!"),
            (r"\ud800", "%ED%A0%80"),
            (r"\udfffx", "%ED%BF%BFx"),
            (r"\ud800\ud83d\ude00", "%ED%A0%80😀"),
            (r"\ud83d\u0041", "%ED%A0%BDA"),
        ] {
            assert_eq!(decode(inner), decoded, "{inner}");
        }
    }

    #[test]
    fn only_texts_and_numbers_are_scalars() {
        for (value, text) in [
            (r#""a""#, Some("a")),
            ("18446744073709551616", Some("18446744073709551616")),
            ("-1.50e+2", Some("-1.50e+2")),
            (r#""""#, None),
            ("null", None),
            ("true", None),
            ("{}", None),
            ("[1]", None),
        ] {
            assert_eq!(scalar(value).as_deref(), text, "{value}");
        }
    }
}
