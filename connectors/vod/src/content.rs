use std::fmt;

use bytes::Bytes;
use smol_str::SmolStr;

use crate::catalogue::Entry;
use crate::envelope::{self, Envelope, Signature};
use crate::facts::Facts;
use crate::identity::Identity;
use crate::no_event::NoEvent;
use crate::outline::Outline;
use crate::payload;

/// One event as VOD sent it, read whole: an EventContent of a callback, or an element of a pull
/// reply's EventSet.
///
/// Texts are decoded; numbers are as written. Null, absent and empty are alike: `None`. A lone
/// surrogate, which no `str` can hold, is percent-encoded (`%ED%A0%80`).
#[derive(Clone)]
pub struct Content {
    /// `EventType` as sent; inferred from the payload's member where it is missing; `v2.` and
    /// `eventType` for [`Format::V2`].
    pub event_type: SmolStr,
    /// The type's line in the catalogue, by the type's name in either format; `None` for a type
    /// that the catalogue does not know.
    pub entry: Option<&'static Entry>,
    /// The callback format.
    pub format: Format,
    /// The payload object: the message's own bytes, not a copy.
    pub payload: Bytes,
    /// What names the event.
    pub identity: Identity,
    /// The file, else the task, else the cast.
    pub subject: Option<SmolStr>,
    /// The first file, in the order of the catalogue's paths.
    pub file: Option<SmolStr>,
    /// The task.
    pub task: Option<SmolStr>,
    /// The cast, of MediaCastStatusChanged.
    pub cast: Option<SmolStr>,
    /// The status of the whole event. `FINISH` does not mean success.
    pub status: Option<SmolStr>,
    /// `Sign` and `T`, if both stand on the top level.
    pub signature: Option<Signature>,
    /// `EventHandle`, by which a pulled event is confirmed. Never part of the identity.
    pub handle: Option<String>,
}

/// The format of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 3.0: `EventType` and one member of its own for each type.
    V3,
    /// 2.0, of accounts from before 2019: `eventType` and `data`.
    V2,
}

/// The label that metrics give the event: its name in the catalogue, in either format, or
/// `other`. What comes from outside must not make label values.
pub fn metric_type(content: &Content) -> &'static str {
    content.entry.map_or("other", Entry::event_type)
}

// === impl Content ===

impl Content {
    /// Reads one event.
    ///
    /// # Errors
    ///
    /// What is no event, see [`NoEvent`]. Inside the payload nothing is judged but nesting and
    /// size.
    pub fn read(message: &Bytes) -> Result<Self, NoEvent> {
        let text = envelope::checked(message)?;
        let members = envelope::members(text)?;
        let found = payload::find(&members)?;
        let outline = Outline::of(found.payload);
        let facts = Facts::of(&outline, found.format, found.entry);
        let identity = Identity::of(&outline, &found, &facts);
        let Envelope { handle, signature } = Envelope::of(&members);
        Ok(Self {
            event_type: found.event_type(),
            entry: found.entry,
            format: found.format,
            payload: message.slice_ref(found.payload.as_bytes()),
            identity,
            subject: facts.subject().cloned(),
            file: facts.file,
            task: facts.task,
            cast: facts.cast,
            status: facts.status,
            signature,
            handle,
        })
    }
}

/// Names and sizes; bodies and signatures belong in no log.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("event_type", &self.event_type)
            .field("format", &self.format)
            .field("identity", &self.identity)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}
