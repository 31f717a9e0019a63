//! How an event lies in a record: the Kafka Protocol Binding for CloudEvents 1.0.2.

use bytes::Bytes;
use rdkafka::message::{Header, OwnedHeaders};
use smol_str::SmolStr;
use vodbridge_core::{ContentMode, Event, to_json};

/// Section 3.3.1: "the `content-type` header ... MUST be set to the media type of an event
/// format", here the JSON Event Format in UTF-8.
const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";

/// One record, before it has a topic.
#[derive(Debug)]
pub(crate) struct Record {
    /// Section 3.1: the key "MAY be mapped" from the extension `partitionkey`; null without one.
    pub(crate) key: Option<SmolStr>,
    pub(crate) headers: OwnedHeaders,
    pub(crate) value: Bytes,
}

/// Lays out an event.
pub(crate) fn record(event: &Event, mode: ContentMode) -> Record {
    let key = event.extensions.iter().find(|e| e.name == "partitionkey").map(|e| e.value.clone());
    match mode {
        ContentMode::Binary => {
            Record { key, headers: binary_headers(event), value: event.data.clone() }
        }
        ContentMode::Structured => {
            let headers = OwnedHeaders::new_with_capacity(3)
                .insert(Header { key: "content-type", value: Some(STRUCTURED) });
            Record { key, headers: traced(headers, event), value: to_json(event).into() }
        }
    }
}

/// Section 3.2.3: "All CloudEvents attributes ... MUST be individually mapped to and from Kafka
/// message header fields", named "`ce_`" and the attribute's name, their values UTF-8; section
/// 3.2.1: "the `content-type` header ... MUST be mapped directly" from `datacontenttype`.
///
/// A header value is any bytes: what HTTP would have to escape, line breaks and characters beyond
/// ASCII, is written as it is.
fn binary_headers(event: &Event) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(9 + event.extensions.len());
    let mut name = String::from("ce_");
    for (attribute, value) in event.attributes() {
        let key = if attribute == "datacontenttype" {
            "content-type"
        } else {
            name.truncate(3);
            name.push_str(attribute);
            name.as_str()
        };
        headers = headers.insert(Header { key, value: Some(value.as_ref()) });
    }
    traced(headers, event)
}

/// W3C Trace Context under its own names too, as instrumented consumers look for it. CloudEvents'
/// extension for distributed tracing: it "MUST carry the same trace information as protocol-specific
/// ... headers".
fn traced(headers: OwnedHeaders, event: &Event) -> OwnedHeaders {
    event
        .trace_context()
        .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

#[cfg(test)]
mod tests;
