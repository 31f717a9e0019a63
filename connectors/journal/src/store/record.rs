use vodbridge_core::{Event, Timestamp, Topic};

use super::{Seq, Table};

/// An event as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it lies.
    pub table: Table,
    /// Its number there.
    pub seq: Seq,
    /// The topic it was published under.
    pub topic: Topic,
    /// When it was stored.
    pub stored: Timestamp,
    /// The event as it came, its message included.
    pub event: Event,
}

// === impl Record ===

impl Record {
    /// Why it is a dead letter, as a short code (`vodreason`).
    pub fn reason(&self) -> Option<&str> {
        self.event.extension("vodreason")
    }

    /// Why it is a dead letter, in words (`voddetail`).
    pub fn detail(&self) -> Option<&str> {
        self.event.extension("voddetail")
    }

    /// The connector that did not take it (`vodconnector`).
    pub fn connector(&self) -> Option<&str> {
        self.event.extension("vodconnector")
    }

    /// The topic it was meant for when it became a dead letter (`vodtopic`).
    pub fn intended_topic(&self) -> Option<&str> {
        self.event.extension("vodtopic")
    }
}
