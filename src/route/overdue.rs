use std::time::Duration;

use vodbridge_core::Event;

use crate::ingest::callback::Clock;

/// How long something must have been missing before an old event is given up on: a broker that was
/// just made anew gets its topics a moment later.
const MISSING_FOR_AT_LEAST: Duration = Duration::from_secs(60);

/// When an event has been owed for so long, only because topology or rights are missing at its
/// broker, that it goes to the dead letters: VOD keeps what is pulled for four days.
#[derive(Clone)]
pub struct Overdue {
    /// How long it may be owed.
    pub after: Duration,
    /// What its age is reckoned by.
    pub clock: Clock,
}

// === impl Overdue ===

impl Overdue {
    /// Whether an event is overdue at a topic at which something has been `missing_for` so long.
    ///
    /// A callback's age counts from its receipt, also in an earlier process. How long a pulled
    /// event has waited in VOD's queue is not known: it counts from when the lack was seen.
    pub(super) fn is_due(&self, event: &Event, missing_for: Duration) -> bool {
        if event.extension("vodmode") == Some("pull") {
            return self.is_over(missing_for);
        }
        let age = (self.clock)().as_millis().saturating_sub(event.time.as_millis());
        missing_for >= MISSING_FOR_AT_LEAST.min(self.after)
            && Duration::from_millis(age) >= self.after
    }

    /// Whether all that comes now would be overdue.
    pub(super) fn is_over(&self, missing_for: Duration) -> bool {
        missing_for >= self.after
    }
}

impl std::fmt::Debug for Overdue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overdue").field("after", &self.after).finish_non_exhaustive()
    }
}
