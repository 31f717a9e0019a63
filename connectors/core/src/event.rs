use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use smol_str::SmolStr;

use crate::Timestamp;

/// The version of CloudEvents that every [`Event`] follows.
pub const SPEC_VERSION: &str = "1.0";

/// What happened, as a CloudEvent 1.0.
///
/// `specversion` is always [`SPEC_VERSION`].
/// Cloning is cheap: long texts and bodies are shared.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// `id`: derived from the event itself, so that the same event always has the same.
    pub id: SmolStr,
    /// `source`: a URI reference that names the application.
    pub source: SmolStr,
    /// `type`: a reverse-DNS name that ends in VOD's event type.
    pub ty: SmolStr,
    /// `subject`: the file, task or cast that the event is about.
    pub subject: Option<SmolStr>,
    /// `time`: when the bridge first received the event.
    pub time: Timestamp,
    /// Extension attributes, sorted by name.
    pub extensions: Vec<Extension>,
    /// `datacontenttype`: JSON, save for dead letters of what is none.
    pub content_type: ContentType,
    /// `data`: the bytes as VOD sent them.
    pub data: Bytes,
    /// What came in, byte for byte; `data` is usually a slice of it.
    pub message: Bytes,
    /// A digest of the content, which tells two events apart that share an `id`.
    pub content: ContentDigest,
    /// Whether the `id` names the event, or only its content.
    pub known_by: KnownBy,
}

/// What the data of an [`Event`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// Valid JSON.
    #[default]
    Json,
    /// Bytes that nobody could read.
    OctetStream,
}

/// An extension attribute. Names are lower-case ASCII letters and digits, values are never empty
/// and hold no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The attribute's name.
    pub name: Cow<'static, str>,
    /// The attribute's value.
    pub value: SmolStr,
}

/// The first 8 bytes of SHA-256 over the canonical payload; printed as 16 hex digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContentDigest(pub [u8; 8]);

/// What an event's `id` is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KnownBy {
    /// A task or a file: another event with this `id` is the same event.
    Key,
    /// The content alone: the same may rightly happen again later.
    Content,
}

impl Event {
    /// The value of the extension attribute `name`.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extension_value(name).map(SmolStr::as_str)
    }

    /// The same, to share it.
    pub fn extension_value(&self, name: &str) -> Option<&SmolStr> {
        self.extensions.iter().find(|e| e.name == name).map(|e| &e.value)
    }

    /// The W3C trace context under its own names: beside the attributes in messages, readers that
    /// know nothing of CloudEvents go on with it. `tracestate` is of no use without `traceparent`.
    pub fn trace_context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let parent = self.extension("traceparent").map(|value| ("traceparent", value));
        let state = parent.and_then(|_| Some(("tracestate", self.extension("tracestate")?)));
        parent.into_iter().chain(state)
    }

    /// Every attribute that is present, the required ones first: what a binding writes.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let required = [
            ("specversion", Cow::Borrowed(SPEC_VERSION)),
            ("id", Cow::Borrowed(self.id.as_str())),
            ("source", Cow::Borrowed(self.source.as_str())),
            ("type", Cow::Borrowed(self.ty.as_str())),
        ];
        let subject = self.subject.as_ref().map(|s| ("subject", Cow::Borrowed(s.as_str())));
        let time = ("time", Cow::Owned(self.time.to_string()));
        let content_type = ("datacontenttype", Cow::Borrowed(self.content_type.as_str()));
        let extensions =
            self.extensions.iter().map(|e| (e.name.as_ref(), Cow::Borrowed(e.value.as_str())));
        required.into_iter().chain(subject).chain([time, content_type]).chain(extensions)
    }
}

// === impl ContentType ===

impl ContentType {
    /// The media type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::OctetStream => "application/octet-stream",
        }
    }
}

/// Attributes and sizes; bodies belong in no log.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("type", &self.ty)
            .field("source", &self.source)
            .field("data_bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
