use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::delivery::Outcome;
use crate::route::Progress;
use crate::telemetry::metrics::{Ending, Obligation};

/// One event under way and everybody who waits for its outcome.
///
/// Receipts and the acknowledgement share it: one allocation for a delivery, however many joined.
#[derive(Debug)]
pub(crate) struct Flight {
    began: Instant,
    outcome: AtomicU8,
    settled: Notify,
    receipts: AtomicUsize,
    abandoned: Notify,
    repeat_expected: AtomicBool,
    panicked: AtomicBool,
    /// Kept here and not on the stack of the delivery, so that a panic cannot take it along.
    progress: Mutex<Progress>,
    /// The lead's obligation first, then those of who joined.
    obligations: Mutex<Vec<Obligation>>,
}

const UNSETTLED: u8 = u8::MAX;

/// The future of one waiter's outcome. Dropping it says that nobody waits here any more.
#[derive(Debug)]
pub struct Receipt(Arc<Flight>);

// === impl Flight ===

impl Flight {
    /// Begins with one obligation, one receipt and what is done already.
    pub(super) fn begin(obligation: Obligation, progress: Progress) -> (Arc<Self>, Receipt) {
        let flight = Arc::new(Self {
            began: Instant::now(),
            outcome: AtomicU8::new(UNSETTLED),
            settled: Notify::new(),
            receipts: AtomicUsize::new(0),
            abandoned: Notify::new(),
            repeat_expected: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
            progress: Mutex::new(progress),
            obligations: Mutex::new(vec![obligation]),
        });
        let receipt = Receipt::new(&flight);
        (flight, receipt)
    }

    /// Adds a waiter. The caller holds the lock under which flights are settled.
    pub(super) fn join(self: &Arc<Self>, obligation: Obligation) -> Receipt {
        self.obligations.lock().unwrap_or_else(PoisonError::into_inner).push(obligation);
        Receipt::new(self)
    }

    /// Ends every obligation, and then tells every receipt.
    pub(super) fn end(&self, outcome: Outcome, lead: Ending) {
        let parties =
            std::mem::take(&mut *self.obligations.lock().unwrap_or_else(PoisonError::into_inner));
        let mut ending = lead;
        for obligation in parties {
            obligation.end(ending);
            // Who joined an event that is now stored was its duplicate.
            if outcome != Outcome::Deferred {
                ending = Ending::duplicate;
            }
        }
        self.outcome.store(outcome as u8, Ordering::Release);
        self.settled.notify_waiters();
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn expect_repeat(&self) {
        self.repeat_expected.store(true, Ordering::Relaxed);
    }

    pub(super) fn repeat_expected(&self) -> bool {
        self.repeat_expected.load(Ordering::Relaxed)
    }

    pub(crate) fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn note_panic(&self) {
        self.panicked.store(true, Ordering::Relaxed);
    }

    /// Whether anybody waits for the outcome.
    pub(crate) fn is_awaited(&self) -> bool {
        self.receipts.load(Ordering::Acquire) > 0
    }

    /// Resolves when nobody waits for the outcome. Cancel safe.
    pub(crate) async fn abandoned(&self) {
        loop {
            let left = self.abandoned.notified();
            if !self.is_awaited() {
                return;
            }
            left.await;
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.outcome.load(Ordering::Acquire) {
            0 => Some(Outcome::Delivered),
            1 => Some(Outcome::Rejected),
            2 => Some(Outcome::Deferred),
            _ => None,
        }
    }
}

// === impl Receipt ===

impl Receipt {
    fn new(flight: &Arc<Flight>) -> Self {
        flight.receipts.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(flight))
    }

    /// How the delivery ended.
    ///
    /// # Cancel safety
    ///
    /// The outcome stays; ask again.
    pub async fn outcome(&self) -> Outcome {
        loop {
            let settled = self.0.settled.notified();
            if let Some(outcome) = self.0.outcome() {
                return outcome;
            }
            settled.await;
        }
    }

    /// Which legs have the event, or its dead letter: after a deferral, what a source that keeps
    /// the event hands to [`Outlet::resume`](crate::outlet::Outlet::resume).
    pub fn progress(&self) -> Progress {
        self.0.progress()
    }

    /// Whether the delivery panicked, in one of its legs or as a whole.
    pub fn panicked(&self) -> bool {
        self.0.panicked.load(Ordering::Relaxed)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.0.receipts.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.abandoned.notify_waiters();
        }
    }
}
