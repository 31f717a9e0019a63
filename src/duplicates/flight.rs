use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smol_str::SmolStr;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Repeat;
use crate::delivery::Outcome;
use crate::ingest::spool::Row;
use crate::route::Progress;
use crate::telemetry::metrics::{Ending, Mode, Obligation};

/// One event under way and everybody who waits for its outcome.
///
/// Receipts and the acknowledgement share it: one allocation for a delivery, however many joined.
#[derive(Debug)]
pub(crate) struct Flight {
    began: Instant,
    /// The lead's trace, which others point to.
    traceparent: Option<SmolStr>,
    outcome: AtomicU8,
    settled: Notify,
    receipts: AtomicUsize,
    abandoned: Notify,
    /// Until when the same event is expected again, see [`Duplicates`](super::Duplicates); 0: not.
    repeat_until: AtomicU32,
    panicked: AtomicBool,
    /// Kept here and not on the stack of the delivery, so that a panic cannot take it along.
    progress: Mutex<Progress>,
    /// Whether the event waits in the spool if it is deferred.
    is_kept: AtomicBool,
    parties: Mutex<Parties>,
}

#[derive(Debug)]
struct Parties {
    /// The lead first, then those who joined.
    all: Vec<Party>,
    /// Whether the event is being written to the spool.
    is_being_kept: bool,
    /// The delivery was deferred before that was done: it ends when it is.
    parked: Option<Parked>,
}

/// A deferral that waits until it is known whether the event is kept.
#[derive(Debug)]
struct Parked {
    repeat: Repeat,
    by_content: bool,
    lead: Ending,
}

/// An event that is being written to the spool while it is sent on. Dropped, it is not kept.
#[derive(Debug)]
pub(crate) struct Keeping(Arc<Flight>);

/// One who brought the event.
#[derive(Debug)]
pub(crate) struct Party {
    /// That it is owed an end.
    pub(crate) obligation: Obligation,
    /// Where it is kept, if it is.
    pub(crate) row: Option<Row>,
}

const UNSETTLED: u8 = u8::MAX;

/// The future of one waiter's outcome. Dropping it says that nobody waits here any more.
#[derive(Debug)]
pub struct Receipt(Arc<Flight>);

// === impl Flight ===

impl Flight {
    /// Begins with one party, one receipt and what is done already.
    pub(super) fn begin(
        lead: Party,
        progress: Progress,
        traceparent: Option<SmolStr>,
    ) -> (Arc<Self>, Receipt) {
        let flight = Arc::new(Self {
            began: Instant::now(),
            traceparent,
            outcome: AtomicU8::new(UNSETTLED),
            settled: Notify::new(),
            receipts: AtomicUsize::new(0),
            abandoned: Notify::new(),
            repeat_until: AtomicU32::new(0),
            panicked: AtomicBool::new(false),
            progress: Mutex::new(progress),
            is_kept: AtomicBool::new(lead.row.is_some()),
            parties: Mutex::new(Parties { all: vec![lead], is_being_kept: false, parked: None }),
        });
        let receipt = Receipt::new(&flight);
        (flight, receipt)
    }

    /// Adds a waiter. The caller holds the lock under which flights are settled.
    pub(super) fn join(self: &Arc<Self>, party: Party) -> Receipt {
        self.is_kept.fetch_or(party.row.is_some(), Ordering::Relaxed);
        self.parties().all.push(party);
        Receipt::new(self)
    }

    /// The event is being written to the spool: until that is done or given up, it is not deferred.
    pub(crate) fn keep(self: &Arc<Self>) -> Keeping {
        self.parties().is_being_kept = true;
        Keeping(Arc::clone(self))
    }

    /// Leaves a deferral to the end of the writing to the spool, if that is under way: whether the
    /// event is kept is known only then.
    pub(super) fn park(&self, repeat: &Repeat, by_content: bool, lead: Ending) -> bool {
        let mut parties = self.parties();
        if parties.is_being_kept {
            parties.parked = Some(Parked { repeat: repeat.clone(), by_content, lead });
        }
        parties.is_being_kept
    }

    /// Ends what every party is owed, and then tells every receipt.
    pub(super) fn end(&self, outcome: Outcome, lead: Ending) {
        let mut parties = self.parties();
        let all = std::mem::take(&mut parties.all);
        drop(parties);
        let is_kept = self.is_kept.load(Ordering::Relaxed);
        let mut ending = lead;
        for Party { obligation, row } in all {
            match (outcome, row) {
                (Outcome::Deferred, Some(row)) => {
                    // Counted first: once it is put back, another may take it out again.
                    obligation.wait();
                    row.put_back(self.progress(), self.panicked.load(Ordering::Relaxed));
                }
                (Outcome::Deferred, None) if is_kept && obligation.mode() == Mode::callback => {
                    obligation.end(Ending::duplicate);
                }
                (Outcome::Deferred, None) => obligation.end(Ending::deferred),
                (Outcome::Delivered | Outcome::Rejected, row) => {
                    obligation.end(ending);
                    // Who joined an event that is now stored was its duplicate.
                    ending = Ending::duplicate;
                    if let Some(row) = row {
                        row.settled();
                    }
                }
            }
        }
        self.outcome.store(outcome as u8, Ordering::Release);
        self.settled.notify_waiters();
    }

    /// Whether the event came by a way that keeps nothing, and is not in the spool either.
    pub(super) fn is_kept_nowhere(&self) -> bool {
        !self.is_kept.load(Ordering::Relaxed)
            && self.parties().all.iter().any(|party| party.obligation.mode() == Mode::callback)
    }

    fn parties(&self) -> MutexGuard<'_, Parties> {
        self.parties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn expect_repeat(&self, until: u32) {
        self.repeat_until.fetch_max(until, Ordering::Relaxed);
    }

    pub(super) fn repeat_until(&self) -> u32 {
        self.repeat_until.load(Ordering::Relaxed)
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

    /// Whether the event is stored, or its dead letter is.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self.outcome(), Some(Outcome::Delivered | Outcome::Rejected))
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

// === impl Keeping ===

impl Keeping {
    /// The event is in the spool: from here on it waits there if it is deferred.
    pub(crate) fn kept(self, row: Row) {
        let mut parties = self.0.parties();
        match parties.all.first_mut() {
            Some(lead) => {
                lead.row = Some(row);
                self.0.is_kept.store(true, Ordering::Relaxed);
            }
            None => {
                // It is stored: what was deferred would have waited for this.
                drop(parties);
                row.settled();
            }
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        let mut parties = self.0.parties();
        parties.is_being_kept = false;
        let parked = parties.parked.take();
        drop(parties);
        if let Some(Parked { repeat, by_content, lead }) = parked {
            repeat.end(&self.0, by_content, Outcome::Deferred, lead);
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

    /// The `traceparent` that the event goes under, if it has one.
    pub fn traceparent(&self) -> Option<&SmolStr> {
        self.0.traceparent.as_ref()
    }

    /// Whether the event is in the spool: deferred, it is sent on again by itself.
    pub fn is_kept(&self) -> bool {
        self.0.is_kept.load(Ordering::Relaxed)
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
