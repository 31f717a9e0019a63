use std::sync::Arc;

use smol_str::SmolStr;
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
    /// The event as it came, its message included; in the history without message and data where
    /// payloads are not kept.
    pub event: Event,
    /// How it was delivered; known of rows of the history.
    pub delivery: Option<Delivery>,
}

/// How an event was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The route it took.
    pub route: SmolStr,
    /// The connectors that acknowledged it: all that the route requires, by their names.
    pub acknowledged: Vec<SmolStr>,
}

/// A row of the history that is to be written.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The event.
    pub event: Event,
    /// The topic it was published under.
    pub topic: Topic,
    /// How it was delivered: the same for all events of a route.
    pub delivery: Arc<Delivery>,
    /// When.
    pub at: Timestamp,
}

// === impl Record ===

impl Record {
    /// Whether it holds what came in, so that the event can be sent again.
    pub fn has_payload(&self) -> bool {
        !self.event.message.is_empty()
    }

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
