use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

use super::labels::PublishResult;

/// What is counted for one connector.
#[derive(Clone, Debug)]
pub struct Publishing {
    pub(super) results: [Counter; 4],
    pub(super) seconds: Histogram,
    pub(super) up: Gauge,
}

// === impl Publishing ===

impl Publishing {
    /// Counts one answer of the broker, or its absence.
    pub fn answered(&self, result: PublishResult, since: Instant) {
        self.results[result as usize].inc();
        self.seconds.observe(since.elapsed().as_secs_f64());
    }

    /// Counts a best-effort publish that did not begin.
    pub fn skipped(&self) {
        self.results[PublishResult::skipped as usize].inc();
    }

    /// How many publishes ended, in the order of [`PublishResult`].
    pub fn counts(&self) -> [u64; 4] {
        self.results.each_ref().map(Counter::get)
    }

    /// Says whether the broker answers.
    pub fn set_up(&self, up: bool) {
        self.up.set(i64::from(up));
    }
}
