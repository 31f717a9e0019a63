use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Says of a row that is to be written that it need not be any more: its event has settled.
#[derive(Clone, Debug, Default)]
pub struct Withdrawal(Arc<AtomicU8>);

/// The writer does not have it yet.
const COMING: u8 = 0;
/// The writer has it, and writes it sooner or later.
const QUEUED: u8 = 1;
const WITHDRAWN: u8 = 2;

// === impl Withdrawal ===

impl Withdrawal {
    /// Takes the row back. True if the writer never gets it: whoever waits for the row need not
    /// wait any more. Otherwise it may be written all the same, and the answer says whether it was.
    pub fn withdraw(&self) -> bool {
        self.0.swap(WITHDRAWN, Ordering::AcqRel) == COMING
    }

    /// The writer gets the row; false if it was taken back.
    pub(crate) fn queue(&self) -> bool {
        self.0.compare_exchange(COMING, QUEUED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(crate) fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire) == WITHDRAWN
    }
}
