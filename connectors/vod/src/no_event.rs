use std::str::Utf8Error;

use smol_str::SmolStr;

use crate::envelope::{MEMBERS_MAX, MESSAGE_BYTES_MAX};
use crate::nesting::NESTING_MAX;

/// Why a message is no event. Offsets are bytes from its beginning; names that came with it are
/// cut to a length that a log line bears.
#[derive(Debug, thiserror::Error)]
pub enum NoEvent {
    /// Nothing, or nothing but white space.
    #[error("the message is empty")]
    Empty,
    /// Longer than [`MESSAGE_BYTES_MAX`].
    #[error("the message has {bytes} bytes; the most that is read are {MESSAGE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It begins with the bytes EF BB BF, which JSON does not allow (RFC 8259, section 8.1).
    #[error("the message begins with a byte order mark, which JSON does not allow")]
    ByteOrderMark,
    /// Bytes that are no text.
    #[error("the message is not UTF-8 at byte {at}")]
    NotUtf8 {
        /// The first byte that is not.
        at: usize,
        /// The decoder's error.
        source: Utf8Error,
    },
    /// More than [`NESTING_MAX`] objects and arrays in one another.
    #[error("objects and arrays nest deeper than {NESTING_MAX} at byte {at}")]
    TooDeep {
        /// The bracket that is one too many.
        at: usize,
    },
    /// Text that is no JSON.
    #[error("the message is not JSON at byte {at}")]
    NotJson {
        /// Where the parser gave up.
        at: usize,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// JSON, but no object.
    #[error("the message is {found}; an event is an object")]
    NotObject {
        /// What it is.
        found: &'static str,
    },
    /// More than [`MEMBERS_MAX`] members on the top level.
    #[error("the top level has more than {MEMBERS_MAX} members")]
    TooManyMembers,
    /// Two members of the top level have one name: readers would not agree which one counts.
    #[error("member {name:?} stands twice on the top level, the second time at byte {at}")]
    DuplicateMember {
        /// The name.
        name: SmolStr,
        /// The second one.
        at: usize,
    },
    /// `EventType` is no string.
    #[error("EventType at byte {at} is {found}; an event's type is a string")]
    EventType {
        /// What it is.
        found: &'static str,
        /// The member.
        at: usize,
    },
    /// No member that could be the payload.
    #[error(
        "no member of the top level is the payload of {event_type}; a payload is an object in a \
         member such as FileUploadEvent"
    )]
    NoPayload {
        /// The event's type as sent, or what stands for it.
        event_type: SmolStr,
    },
    /// Several members that could be the payload.
    #[error(
        "members {first:?} and {second:?} could both be the payload of {event_type}, and neither \
         is the type's own"
    )]
    AmbiguousPayload {
        /// The event's type as sent, or what stands for it.
        event_type: SmolStr,
        /// One candidate.
        first: SmolStr,
        /// Another.
        second: SmolStr,
    },
}

/// Names from outside that are longer than this many bytes are cut in errors.
const EXCERPT_BYTES_MAX: usize = 64;

/// The beginning of a name that came with a message.
pub(crate) fn excerpt(name: &str) -> SmolStr {
    let fits = |&(at, c): &(usize, char)| at + c.len_utf8() <= EXCERPT_BYTES_MAX;
    name.char_indices().take_while(fits).map(|(_, c)| c).collect()
}

/// What a JSON value is, for a person.
pub(crate) fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

// === impl NoEvent ===

impl NoEvent {
    /// A short, stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge { .. } => "too_large",
            Self::ByteOrderMark => "byte_order_mark",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::TooDeep { .. } => "too_deep",
            Self::NotJson { .. } => "not_json",
            Self::NotObject { .. } => "not_object",
            Self::TooManyMembers => "too_many_members",
            Self::DuplicateMember { .. } => "duplicate_member",
            Self::EventType { .. } => "event_type",
            Self::NoPayload { .. } => "no_payload",
            Self::AmbiguousPayload { .. } => "ambiguous_payload",
        }
    }
}
