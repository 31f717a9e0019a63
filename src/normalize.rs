//! From what came in to the event it means. Pure: the same message always becomes the same event,
//! id included.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use smol_str::{SmolStr, ToSmolStr};
use vodbridge_core::{ContentDigest, ContentType, Event, Extension, KnownBy, Timestamp};
use vodbridge_vod::{Content, NoEvent, catalogue, without_envelope};

use crate::telemetry::metrics::Mode;

/// The event type of what is no event.
const UNRECOGNIZED: &str = "Unrecognized";

/// How the messages of one application become events.
#[derive(Clone, Debug)]
pub struct Normalizer {
    application: SmolStr,
    sub_app_id: Option<SmolStr>,
    source: SmolStr,
    data: DataForm,
    type_prefix: SmolStr,
    /// The `type` of each entry of the catalogue, so that known types cost no allocation.
    types: Vec<SmolStr>,
}

/// What becomes an event's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataForm {
    /// The payload object, its original bytes.
    #[default]
    Payload,
    /// The whole EventContent, its original bytes without EventHandle, Sign and T.
    Content,
}

/// What the outside knows of one message.
#[derive(Clone, Debug)]
pub struct Reception {
    /// How it came in.
    pub mode: Mode,
    /// When it first came in.
    pub at: Timestamp,
    /// The W3C trace context that the event belongs to: the caller's, or that of the bridge's own
    /// span below it.
    pub trace: Trace,
}

/// A W3C trace context, as it is written into headers.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// `traceparent`.
    pub parent: Option<SmolStr>,
    /// `tracestate`.
    pub state: Option<SmolStr>,
}

// === impl Normalizer ===

impl Normalizer {
    /// For one application, whose events get types under `type_prefix`.
    pub fn new(
        application: &str,
        sub_app_id: Option<u64>,
        type_prefix: &str,
        data: DataForm,
    ) -> Self {
        let sub_app_id = sub_app_id.map(|id| id.to_smolstr());
        let name = sub_app_id.as_deref().unwrap_or(application);
        let entries = catalogue::ENTRIES.iter();
        Self {
            application: application.into(),
            source: format!("//vod.tencentcloudapi.com/applications/{name}").into(),
            sub_app_id,
            data,
            type_prefix: type_prefix.into(),
            types: entries.map(|e| format!("{type_prefix}.{}", e.event_type()).into()).collect(),
        }
    }

    /// The event that a message means.
    pub fn event(&self, content: Content, message: &Bytes, reception: &Reception) -> Event {
        let event_type = attribute(content.event_type);
        let known = content.entry.filter(|e| e.event_type() == event_type.as_str());
        let ty = match known {
            Some(entry) => self.types[entry.index()].clone(),
            None => SmolStr::from_iter([&self.type_prefix, ".", &event_type]),
        };
        let mut extensions = Vec::with_capacity(10);
        let mut extend = |name: &'static str, value: Option<SmolStr>| {
            if let Some(value) = value {
                extensions.push(Extension { name: name.into(), value });
            }
        };
        // In the order of their names.
        extend("traceparent", reception.trace.parent.clone());
        extend("tracestate", reception.trace.state.clone());
        extend("vodapplication", Some(self.application.clone()));
        extend("vodeventtype", Some(event_type));
        extend("vodfileid", content.file.map(attribute));
        extend("vodmode", Some(mode(reception.mode)));
        extend("vodstatus", content.status.map(attribute));
        extend("vodsubappid", self.sub_app_id.clone());
        extend("vodtaskid", content.task.map(attribute));
        Event {
            id: content.identity.id,
            source: self.source.clone(),
            ty,
            subject: content.subject.map(attribute),
            time: reception.at,
            extensions,
            content_type: ContentType::Json,
            data: match self.data {
                DataForm::Payload => content.payload,
                DataForm::Content => without_envelope(message),
            },
            message: message.clone(),
            content: ContentDigest(content.identity.digest),
            known_by: if content.identity.by_content { KnownBy::Content } else { KnownBy::Key },
        }
    }

    /// An empty event of each type of the catalogue: what routes lead where can be asked of these.
    pub fn examples(self) -> impl Iterator<Item = Event> {
        let reception =
            Reception { mode: Mode::callback, at: Timestamp::default(), trace: Trace::default() };
        catalogue::ENTRIES.iter().filter_map(move |entry| {
            let message =
                format!(r#"{{"EventType":"{}","{}":{{}}}}"#, entry.event_type(), entry.member);
            let message = Bytes::from(message);
            Some(self.event(Content::read(&message).ok()?, &message, &reception))
        })
    }

    /// The dead letter that a message becomes which is no event.
    pub fn unrecognized(&self, why: &NoEvent, message: &Bytes, reception: &Reception) -> Event {
        let mut digest = [0; 8];
        digest.copy_from_slice(&Sha256::digest(message)[..8]);
        let mut extensions = Vec::with_capacity(10);
        let mut extend = |name: &'static str, value: SmolStr| {
            extensions.push(Extension { name: name.into(), value });
        };
        if let Some(parent) = &reception.trace.parent {
            extend("traceparent", parent.clone());
        }
        if let Some(state) = &reception.trace.state {
            extend("tracestate", state.clone());
        }
        extend("vodapplication", self.application.clone());
        extend("vodeventtype", SmolStr::new_static(UNRECOGNIZED));
        extend("vodmode", mode(reception.mode));
        if let Some(sub_app_id) = &self.sub_app_id {
            extend("vodsubappid", sub_app_id.clone());
        }
        Event {
            id: format!("{UNRECOGNIZED}:{}", ContentDigest(digest)).into(),
            source: self.source.clone(),
            ty: SmolStr::from_iter([&self.type_prefix, ".", UNRECOGNIZED]),
            subject: None,
            time: reception.at,
            extensions,
            content_type: content_type(why),
            data: message.clone(),
            message: message.clone(),
            content: ContentDigest(digest),
            known_by: KnownBy::Content,
        }
    }
}

/// What is no event may still be JSON.
fn content_type(why: &NoEvent) -> ContentType {
    match why {
        NoEvent::NotObject { .. }
        | NoEvent::DuplicateMember { .. }
        | NoEvent::EventType { .. }
        | NoEvent::NoPayload { .. }
        | NoEvent::AmbiguousPayload { .. } => ContentType::Json,
        NoEvent::Empty
        | NoEvent::TooLarge { .. }
        | NoEvent::ByteOrderMark
        | NoEvent::NotUtf8 { .. }
        | NoEvent::TooDeep { .. }
        | NoEvent::TooManyMembers
        | NoEvent::NotJson { .. } => ContentType::OctetStream,
    }
}

fn mode(mode: Mode) -> SmolStr {
    SmolStr::new_static(match mode {
        Mode::callback => "callback",
        Mode::pull => "pull",
    })
}

/// CloudEvents 1.0.2, "Type System": "String: Sequence of allowable Unicode characters. The
/// following characters are disallowed: the "control characters" in the ranges U+0000-U+001F and
/// U+007F-U+009F (both ranges inclusive) [...]; code points identified as noncharacters by
/// Unicode [...]". They are percent-encoded; `data` keeps them as they came.
fn attribute(value: SmolStr) -> SmolStr {
    if !value.chars().any(is_forbidden) {
        return value;
    }
    let mut out = String::with_capacity(value.len() + 16);
    for c in value.chars() {
        if is_forbidden(c) {
            let mut utf8 = [0; 4];
            let bytes = c.encode_utf8(&mut utf8).bytes();
            out.extend(bytes.map(percent_encoding::percent_encode_byte));
        } else {
            out.push(c);
        }
    }
    out.into()
}

fn is_forbidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}
