//! How an event lies in an AMQP 0.9.1 message. Pure.
//!
//! CloudEvents has a binding to AMQP 1.0 only ("AMQP Protocol Binding for CloudEvents", 1.0.2);
//! for 0.9.1 the same rules are written into `basic.properties`, as Knative's eventing-rabbitmq
//! does and RabbitMQ's own conversion between the two protocols expects.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use vodbridge_core::{BoxError, ContentMode, Event, to_json};

use crate::HeaderPrefix;

/// Section 3.2.1: "The content-type property field MUST be set to the media type of an event
/// format"; JSON event format: "application/cloudevents+json".
const STRUCTURED: &str = "application/cloudevents+json";

/// "delivery-mode: non-persistent (1) or persistent (2)", AMQP 0.9.1, class basic.
const PERSISTENT: u8 = 2;

/// The longest that a message id can be: a short string has one byte of length.
const MESSAGE_ID_BYTES_MAX: usize = 255;

/// A message as it is handed to the client library.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) properties: BasicProperties,
    pub(crate) body: Bytes,
    /// About what the properties take in their frame, a little more rather than less.
    pub(crate) header_bytes: usize,
}

/// The message of an event.
///
/// # Errors
///
/// An attribute whose name no header can have.
pub(crate) fn message(
    event: &Event,
    mode: ContentMode,
    prefix: HeaderPrefix,
) -> Result<Message, BoxError> {
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_timestamp(event.time.as_secs());
    // Readers find duplicates by it without knowing CloudEvents. One that is too long is left to
    // the attribute `id` alone.
    if event.id.len() <= MESSAGE_ID_BYTES_MAX {
        properties = properties.with_message_id(event.id.as_str().into());
    }
    match mode {
        ContentMode::Binary => {
            let (headers, header_bytes) = headers(event, prefix)?;
            // Section 3.1.1: "the AMQP content-type property field value maps directly to the
            // CloudEvents datacontenttype attribute".
            let properties = properties
                .with_content_type(event.content_type.as_str().into())
                .with_headers(headers);
            // Section 3.1.2: "the data byte-sequence MUST be used as the value of the
            // application-data section".
            Ok(Message { properties, body: event.data.clone(), header_bytes })
        }
        ContentMode::Structured => {
            let mut properties = properties.with_content_type(STRUCTURED.into());
            let mut headers = FieldTable::default();
            let header_bytes = OTHER_PROPERTIES_BYTES + trace(event, &mut headers);
            if header_bytes > OTHER_PROPERTIES_BYTES {
                properties = properties.with_headers(headers);
            }
            Ok(Message { properties, body: to_json(event).into(), header_bytes })
        }
    }
}

/// More than all properties but the headers can take.
const OTHER_PROPERTIES_BYTES: usize = 512;

/// Section 3.1.3: "All CloudEvents context attributes ... MUST be individually mapped to and from
/// the AMQP application-properties section", with the name's prefix of section 3.1.3.1; the
/// content type is "exempt from this rule".
///
/// Section 3.1.3.2: a value is "an AMQP string"; in 0.9.1 that is a long string, UTF-8.
fn headers(event: &Event, prefix: HeaderPrefix) -> Result<(FieldTable, usize), BoxError> {
    let mut headers = FieldTable::default();
    let mut bytes = OTHER_PROPERTIES_BYTES;
    for (name, value) in event.attributes() {
        if name == "datacontenttype" {
            continue;
        }
        let name = ShortString::try_new(format!("{}{name}", prefix.as_str()))?;
        // One byte of length, one of type, four of length.
        bytes += name.as_str().len() + value.len() + 6;
        headers.insert(name, AMQPValue::LongString(value.as_bytes().into()));
    }
    bytes += trace(event, &mut headers);
    Ok((headers, bytes))
}

/// W3C Trace Context under its own names too, as instrumented consumers look for it: CloudEvents'
/// extension "MUST carry the same trace information as protocol-specific headers". The bytes that
/// it takes.
fn trace(event: &Event, headers: &mut FieldTable) -> usize {
    let mut bytes = 0;
    for (name, value) in event.trace_context() {
        bytes += name.len() + value.len() + 6;
        headers.insert(name.into(), AMQPValue::LongString(value.as_bytes().into()));
    }
    bytes
}

// === impl HeaderPrefix ===

impl HeaderPrefix {
    /// Section 3.1.3.1: "CloudEvent attributes MUST be prefixed with either "cloudEvents_" or
    /// "cloudEvents:" for use in the application-properties section".
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ce => "ce-",
            Self::CloudEventsUnderscore => "cloudEvents_",
            Self::CloudEventsColon => "cloudEvents:",
        }
    }
}

#[cfg(test)]
mod tests;
