use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long the first wait is.
const FIRST: Duration = Duration::from_millis(50);

/// How long the longest wait is.
const LONGEST: Duration = Duration::from_secs(5);

/// Waits that double up to a limit, each shortened by up to half at random, so that those who
/// failed together do not try again together.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    pub(crate) fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        // A fresh `RandomState` hashes the same input differently each time: jitter needs no more.
        let random = RandomState::new().hash_one(wait) % 1024;
        wait - wait.mul_f64(random as f64 / 2048.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_five_seconds_and_lose_at_most_half() {
        let mut backoff = Backoff::new();
        let mut full = FIRST;
        for _ in 0..12 {
            let wait = backoff.next_wait();
            assert!(wait <= full && wait >= full / 2, "{wait:?} of {full:?}");
            full = (full * 2).min(LONGEST);
        }
        assert_eq!(full, LONGEST);
    }
}
