use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The part of the rate that is left after VOD has refused a call for its rate.
const SLOWED_TO: f64 = 0.5;

/// The part of the full rate that comes back with each good call.
const REGAINED: f64 = 0.01;

/// The rate is never slowed below this, in calls a second.
const SLOWEST: f64 = 1.0;

/// Spaces calls evenly, at a rate that is halved when VOD finds it too high and regained bit by
/// bit: other programs of the account may use up the same limit.
#[derive(Debug)]
pub struct Limiter {
    full: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rate: f64,
    next: Option<Instant>,
    slowed: Option<Instant>,
}

// === impl Limiter ===

impl Limiter {
    /// At most so many calls a second; zero is one.
    pub fn new(calls_per_second: u32) -> Self {
        let full = f64::from(calls_per_second.max(1));
        Self { full, state: Mutex::new(State { rate: full, next: None, slowed: None }) }
    }

    /// Waits for its turn.
    ///
    /// # Cancel safety
    ///
    /// A turn that was not waited for is lost, which delays the next by one.
    pub async fn acquire(&self) {
        if let Some(turn) = self.reserve(None) {
            sleep_until(turn).await;
        }
    }

    /// Waits for its turn, unless that would not come before `by`: false at once then, and the
    /// turn is left to others.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](Self::acquire).
    pub async fn acquire_before(&self, by: Instant) -> bool {
        let Some(turn) = self.reserve(Some(by)) else { return false };
        sleep_until(turn).await;
        true
    }

    fn reserve(&self, by: Option<Instant>) -> Option<Instant> {
        let mut state = self.lock();
        let now = Instant::now();
        let turn = state.next.map_or(now, |next| next.max(now));
        if by.is_some_and(|by| turn >= by) {
            return None;
        }
        state.next = Some(turn + Duration::from_secs_f64(1.0 / state.rate));
        Some(turn)
    }

    /// VOD refused a call for its rate: half of it from now on. Calls that were under way when it
    /// did say nothing new.
    pub fn slow_down(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        let is_news = |slowed: Instant| now.duration_since(slowed) >= Duration::from_secs(1);
        if state.slowed.is_none_or(is_news) {
            state.rate = (state.rate * SLOWED_TO).max(SLOWEST);
            state.slowed = Some(now);
        }
    }

    /// A call was good: a little faster again.
    pub fn speed_up(&self) {
        let mut state = self.lock();
        state.rate = (state.rate + self.full * REGAINED).min(self.full);
    }

    /// Calls a second at the moment.
    pub fn rate(&self) -> f64 {
        self.lock().rate
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_are_spaced_and_an_idle_time_is_not_made_up_for() {
        let limiter = Limiter::new(100);
        tokio::time::advance(Duration::from_secs(60)).await;
        let began = Instant::now();
        for _ in 0..101 {
            limiter.acquire().await;
        }
        assert_eq!(began.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_comes_too_late_is_left_to_others() {
        let limiter = Limiter::new(1);
        let by = Instant::now() + Duration::from_secs(3);
        let mut turns = 0;
        for _ in 0..10 {
            turns += u32::from(limiter.acquire_before(by).await);
        }
        assert_eq!(turns, 3);
        limiter.acquire().await;
        assert_eq!(Instant::now(), by);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_the_rate_once_a_second_and_good_calls_bring_it_back() {
        let limiter = Limiter::new(100);
        for _ in 0..8 {
            limiter.slow_down();
        }
        assert!((limiter.rate() - 50.0).abs() < 0.01);
        for _ in 0..20 {
            tokio::time::advance(Duration::from_secs(1)).await;
            limiter.slow_down();
        }
        assert!((limiter.rate() - 1.0).abs() < 0.01);
        for _ in 0..99 {
            limiter.speed_up();
        }
        assert!((limiter.rate() - 100.0).abs() < 0.01);
    }
}
