use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::{Ending, Mode};

/// What is counted for one application and one mode, with its counters looked up once.
#[derive(Debug)]
pub struct Intake {
    pub(super) mode: Mode,
    pub(super) in_flight: Gauge,
    pub(super) settled: [Counter; 5],
    pub(super) received: Vec<Counter>,
}

/// One event that came in and has not ended. Dropping it counts it as deferred.
#[derive(Debug)]
pub struct Obligation {
    intake: Arc<Intake>,
    open: bool,
}

// === impl Intake ===

impl Intake {
    /// Counts an event in.
    pub fn begin(self: &Arc<Self>, event_type: usize) -> Obligation {
        self.received[event_type].inc();
        self.in_flight.inc();
        Obligation { intake: Arc::clone(self), open: true }
    }

    /// How the events of this intake come in.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    fn end(&self, ending: Ending) {
        self.in_flight.dec();
        self.settled[ending as usize].inc();
    }
}

// === impl Obligation ===

impl Obligation {
    /// Counts the event's end.
    pub fn end(mut self, ending: Ending) {
        self.open = false;
        self.intake.end(ending);
    }
}

impl Drop for Obligation {
    fn drop(&mut self) {
        if self.open {
            self.intake.end(Ending::deferred);
        }
    }
}
