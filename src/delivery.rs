//! One event under way, and its one answer.
//!
//! ```text
//! source --Outlet::send--> Delivery { event, ack } --route--> every leg
//!    ^                                  |
//!    +------- Receipt <-- settle -------+        (dropped: Deferred)
//! ```
//!
//! The acknowledgement is a value: settling consumes it, so twice does not compile, and never
//! reads as [`Outcome::Deferred`], because dropping it says so. A panic unwinds into the same.

use std::sync::Arc;

use smol_str::SmolStr;
use vodbridge_core::Event;

use crate::duplicates::{Flight, Repeat};
use crate::route::Progress;
use crate::telemetry::metrics::Ending;

/// How a delivery ended, best to worst, so that the outcome of several legs is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Every leg has the event.
    Delivered,
    /// Every leg has it or its dead letter, and at least one is lettered.
    Rejected,
    /// Nobody knows: send it again.
    Deferred,
}

/// One event under way, with the handle that settles it. Dropping it unsettled defers it.
#[derive(Debug)]
pub struct Delivery {
    /// What happened.
    pub event: Event,
    /// What is to become of it.
    pub purpose: Purpose,
    /// The handle that settles it.
    pub ack: Ack,
}

/// What is to become of an event.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// It is published where its route says.
    Publish,
    /// It is VOD's own, but no event that can be routed: it goes to the dead letters at once.
    DeadLetter {
        /// A short code, the attribute `vodreason`.
        reason: SmolStr,
        /// What is wrong with it, the attribute `voddetail`.
        detail: String,
    },
}

/// The handle that settles a delivery.
#[derive(Debug)]
pub struct Ack {
    repeat: Repeat,
    flight: Arc<Flight>,
    by_content: bool,
    settled: bool,
}

// === impl Ack ===

impl Ack {
    pub(crate) fn new(repeat: Repeat, flight: Arc<Flight>, by_content: bool) -> Self {
        Self { repeat, flight, by_content, settled: false }
    }

    /// Settles the delivery. Called in one place, the route.
    pub(crate) fn settle(mut self, outcome: Outcome, ending: Ending) {
        self.settled = true;
        self.repeat.end(&self.flight, self.by_content, outcome, ending);
    }

    /// What need not be done again, by this delivery or a later one of the same event.
    pub fn progress(&self) -> Progress {
        self.flight.progress()
    }

    /// Remembers that the leg of a connector has the event.
    pub(crate) fn acknowledge(&self, connector: usize) {
        self.flight.note(|progress| progress.acknowledge(connector));
    }

    /// Remembers that the leg of a connector has its dead letter.
    pub(crate) fn letter(&self, connector: usize) {
        self.flight.note(|progress| progress.letter(connector));
    }

    /// Remembers that a leg panicked.
    pub(crate) fn note_panic(&self) {
        self.flight.note_panic();
    }

    pub(crate) fn flight(&self) -> Arc<Flight> {
        Arc::clone(&self.flight)
    }

    /// Whether anybody still waits for the outcome; when nobody does, no new attempt begins.
    pub fn is_awaited(&self) -> bool {
        self.flight.is_awaited()
    }

    /// Resolves when nobody waits any more. Cancel safe.
    pub async fn abandoned(&self) {
        self.flight.abandoned().await;
    }

    /// The name under which the source can say that VOD may repeat the event.
    pub fn repeat(&self) -> Repeat {
        self.repeat.clone()
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if !self.settled {
            if std::thread::panicking() {
                self.flight.note_panic();
            }
            let Self { repeat, flight, by_content, .. } = self;
            repeat.end(flight, *by_content, Outcome::Deferred, Ending::deferred);
        }
    }
}
