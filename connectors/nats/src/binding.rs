//! An event as a NATS message, by the NATS Protocol Binding for CloudEvents (1.0.3-wip, the first
//! that has headers), and the id by which a stream knows it again.

use std::borrow::Cow;
use std::fmt::Write;

use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use vodbridge_core::{ContentMode, Event, KnownBy, to_json};

#[cfg(test)]
mod tests;

/// Headers and body; the subject is the topic.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    /// What the server compares with its `max_payload`: headers as they are written, and body.
    pub(crate) bytes: usize,
}

/// The media type of structured mode, which the section "NATS Message Mapping" (3) tells it by.
const STRUCTURED: &str = "application/cloudevents+json";

const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");

/// The event as it goes to `stream`.
pub(crate) fn message(event: &Event, stream: &str, mode: ContentMode) -> Message {
    let mut headers = Headers::default();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, message_id(event));
    // The server answers with an error when another stream has the subject.
    headers.insert(async_nats::header::NATS_EXPECTED_STREAM, stream.to_owned());
    // W3C Trace Context under its own names too, as instrumented consumers look for it: the
    // CloudEvents extension "MUST carry the same trace information as protocol-specific headers".
    for (name, value) in event.trace_context() {
        headers.insert(HeaderName::from_static(name), encoded(value).into_owned());
    }
    let payload = match mode {
        ContentMode::Binary => {
            // 3.1.2: "All CloudEvents attributes, including extensions, MUST be individually
            // mapped to and from distinct NATS message header."
            for (name, value) in event.attributes() {
                headers.insert(header_name(name), encoded(&value).into_owned());
            }
            // 3.1.3.1 maps `datacontenttype` to `ce-datacontenttype`; the official SDK for Go,
            // written to an earlier draft, looks for it here. 3: a message is structured only if
            // this says `application/cloudevents`.
            headers.insert(CONTENT_TYPE, event.content_type.as_str().to_owned());
            // 3.1.1: "The data byte-sequence is used as the message body."
            event.data.clone()
        }
        ContentMode::Structured => {
            headers.insert(CONTENT_TYPE, STRUCTURED.to_owned());
            // 3: "the NATS message payload MUST be the JSON event format"
            Bytes::from(to_json(event))
        }
    };
    let bytes = headers.bytes + payload.len();
    Message { headers: headers.map, payload, bytes }
}

/// `Nats-Msg-Id`: `<application>:<id>~<8 hex digits of the content's digest>`, so that the same
/// id with other content is another message; `@<milliseconds>` of the event's time where the id
/// names the content alone, which may rightly come again; `#dead-letter:<connector>` for a dead
/// letter, which is not the event that it speaks of; `#replay:<its id>` for an event that somebody
/// wants to be there once more.
///
/// A stream suppresses what it has seen whatever the subject. One event goes to one topic of a
/// connector, so the same id means the same subject as well; were one event published to two
/// subjects of one stream within its duplicate window, the second would be answered `duplicate`
/// and be there under the first alone.
fn message_id(event: &Event) -> String {
    let application = event.extension("vodapplication").unwrap_or_default();
    let mut id = String::with_capacity(application.len() + event.id.len() + 40);
    id.push_str(&encoded(application));
    id.push(':');
    // An id is made of characters that need no encoding, or is percent-encoded already.
    if event.id.bytes().all(|byte| byte.is_ascii_graphic()) {
        id.push_str(&event.id);
    } else {
        id.push_str(&encoded(&event.id));
    }
    id.push('~');
    for byte in &event.content.0[..4] {
        write!(id, "{byte:02x}").expect("a String takes what is written");
    }
    if event.known_by == KnownBy::Content {
        write!(id, "@{}", event.time.as_millis()).expect("a String takes what is written");
    }
    if event.extension("vodreason").is_some() {
        id.push_str("#dead-letter:");
        id.push_str(&encoded(event.extension("vodconnector").unwrap_or_default()));
    }
    if let Some(replay) = event.extension("vodreplay") {
        id.push_str("#replay:");
        id.push_str(&encoded(replay));
    }
    id
}

/// A map of headers with the bytes that it takes on the wire.
struct Headers {
    map: HeaderMap,
    bytes: usize,
}

impl Default for Headers {
    fn default() -> Self {
        Self { map: HeaderMap::new(), bytes: "NATS/1.0\r\n\r\n".len() }
    }
}

impl Headers {
    fn insert(&mut self, name: HeaderName, value: String) {
        let name_bytes: &[u8] = name.as_ref();
        self.bytes += name_bytes.len() + ": ".len() + value.len() + "\r\n".len();
        self.map.insert(name, value);
    }
}

/// 3.1.3.1: attributes are "mapped to NATS headers with the same name as the attribute name but
/// prefixed with `ce-`".
fn header_name(attribute: &str) -> HeaderName {
    // Those of every event need no allocation.
    let known = match attribute {
        "specversion" => "ce-specversion",
        "id" => "ce-id",
        "source" => "ce-source",
        "type" => "ce-type",
        "subject" => "ce-subject",
        "time" => "ce-time",
        "datacontenttype" => "ce-datacontenttype",
        "partitionkey" => "ce-partitionkey",
        "vodapplication" => "ce-vodapplication",
        "vodeventtype" => "ce-vodeventtype",
        "vodfileid" => "ce-vodfileid",
        "vodmode" => "ce-vodmode",
        "vodstatus" => "ce-vodstatus",
        "vodsubappid" => "ce-vodsubappid",
        "vodtaskid" => "ce-vodtaskid",
        other => {
            let name = format!("ce-{other}");
            return name.parse().expect("attribute names are lower-case letters and digits");
        }
    };
    HeaderName::from_static(known)
}

/// 3.1.3.2: "The following characters MUST be percent-encoded: Space (U+0020), Double-quote
/// (U+0022), Percent (U+0025), Any characters outside the printable ASCII range of U+0021-U+007E
/// inclusive", each byte of their UTF-8 "as `%xy`", "using upper-case for values A-F". It is the
/// rule of the HTTP binding.
fn encoded(value: &str) -> Cow<'_, str> {
    let as_it_is = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'%';
    if value.bytes().all(as_it_is) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        if as_it_is(byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes what is written");
        }
    }
    Cow::Owned(out)
}
