use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long the first wait is.
const FIRST: Duration = Duration::from_millis(50);

/// How long the longest wait is.
const LONGEST: Duration = Duration::from_secs(5);

/// Waits that double up to a limit, each shortened by up to half at random, so that those who
/// failed together do not try again together.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Backoff ===

impl Backoff {
    /// Begins with 50 ms and never waits longer than 5 s.
    pub fn new() -> Self {
        Self::between(FIRST, LONGEST)
    }

    /// Begins with the `first` wait and never waits longer than the `longest`.
    pub fn between(first: Duration, longest: Duration) -> Self {
        Self { next: first.min(longest), longest }
    }

    /// The next wait, at most the longest.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        let random = random() % 1024;
        wait - wait.mul_f64(random as f64 / 2048.0)
    }
}

thread_local! {
    static JITTER: Cell<u64> = Cell::new(RandomState::new().hash_one(()));
}

/// Makes all jitter of this thread follow from `seed`, so that what happens in simulated time
/// happens again. Without it every thread has a seed of its own.
pub fn seed_jitter(seed: u64) {
    JITTER.set(seed);
}

/// The next number of this thread: SplitMix64, of which jitter needs no more.
fn random() -> u64 {
    let state = JITTER.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    JITTER.set(state);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
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
