use std::sync::Arc;

use vodbridge_journal::{Done, Seq};

use super::Spool;
use crate::route::Progress;

/// The row of an event that is under way. Dropping it leaves the event waiting in the spool.
#[derive(Debug)]
pub struct Row {
    spool: Arc<Spool>,
    /// The place of its application.
    application: usize,
    seq: Seq,
    done: Done,
    is_over: bool,
}

// === impl Row ===

impl Row {
    pub(super) fn new(spool: Arc<Spool>, application: usize, seq: Seq, done: Done) -> Self {
        Self { spool, application, seq, done, is_over: false }
    }

    /// The event has settled: the row goes, soon.
    pub fn settled(mut self) {
        self.is_over = true;
        self.spool.note_settled(self.seq);
    }

    /// The event waits, with what its delivery has done.
    pub fn put_back(mut self, progress: Progress, panicked: bool) {
        let mut done = self.spool.done(progress);
        done.panics = self.done.panics.saturating_add(u32::from(panicked));
        // What is dropped waits as it is.
        if done != self.done {
            self.is_over = true;
            self.spool.put_back_with(self.application, self.seq, done);
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if !self.is_over {
            self.spool.put_back(self.application, self.seq);
        }
    }
}
