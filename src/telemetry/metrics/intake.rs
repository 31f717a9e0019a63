use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;

use super::labels::{Ending, Mode};
use super::under_way::Tally;

/// What is counted for one application and one mode, with its counters looked up once.
#[derive(Debug)]
pub struct Intake {
    pub(super) mode: Mode,
    pub(super) under_way: Arc<Tally>,
    pub(super) settled: [Counter; 5],
    pub(super) received: Vec<Counter>,
    pub(super) recovered: Counter,
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
        self.under_way.begin();
        Obligation { intake: Arc::clone(self), open: true }
    }

    /// Counts rows that are found in the spool: they wait.
    pub fn find(&self, rows: u64) {
        self.recovered.inc_by(rows);
        self.under_way.find(rows);
    }

    /// An event that waited in the spool is in flight again.
    pub fn resume(self: &Arc<Self>) -> Obligation {
        self.under_way.resume();
        Obligation { intake: Arc::clone(self), open: true }
    }

    /// How many ended, in the order of [`Ending`]. Who reckons with it reads the ends of every
    /// intake first, then what is under way, then what came in: see the module.
    pub fn settled(&self) -> [u64; 5] {
        self.settled.each_ref().map(Counter::get)
    }

    /// How many are in flight and how many wait, by all ways into the application.
    pub fn under_way(&self) -> (u64, u64) {
        self.under_way.read()
    }

    /// How many came in.
    pub fn received(&self) -> u64 {
        self.received.iter().map(Counter::get).sum()
    }

    fn end(&self, ending: Ending) {
        self.under_way.end();
        self.settled[ending as usize].inc();
    }
}

// === impl Obligation ===

impl Obligation {
    /// How the event came in.
    pub fn mode(&self) -> Mode {
        self.intake.mode
    }

    /// Counts the event's end.
    pub fn end(mut self, ending: Ending) {
        self.open = false;
        self.intake.end(ending);
    }

    /// The event has not ended: it waits in the spool, and [`Intake::resume`] goes on with it.
    pub fn wait(mut self) {
        self.open = false;
        self.intake.under_way.wait();
    }
}

impl Drop for Obligation {
    fn drop(&mut self) {
        if self.open {
            self.intake.end(Ending::deferred);
        }
    }
}
