use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many workers there are and should be: one more with every full reply, one less with every
/// empty one, never none.
#[derive(Debug)]
pub(super) struct Crew {
    active: AtomicUsize,
    max: usize,
    wanted: Notify,
}

// === impl Crew ===

impl Crew {
    /// Of one worker, and at most `max`.
    pub(super) fn new(max: usize) -> Self {
        Self { active: AtomicUsize::new(1), max: max.max(1), wanted: Notify::new() }
    }

    /// Asks for one more.
    pub(super) fn grow(&self) {
        let more = |active| (active < self.max).then_some(active + 1);
        if self.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok() {
            self.wanted.notify_one();
        }
    }

    /// Asks to leave; false for the last one, who stays.
    pub(super) fn leave(&self) -> bool {
        let less = |active| (active > 1).then(|| active - 1);
        self.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
    }

    /// How many there should be.
    pub(super) fn size(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Resolves when more were asked for. Cancel safe.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_crew_grows_to_its_limit_and_keeps_one() {
        let crew = Crew::new(3);
        assert!(!crew.leave());
        for _ in 0..5 {
            crew.grow();
        }
        crew.wanted().await;
        assert_eq!(crew.size(), 3);
        assert!(crew.leave() && crew.leave() && !crew.leave());
    }
}
