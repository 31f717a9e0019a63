//! What came back.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies are kept in microseconds, to three digits.
const SIGNIFICANT_DIGITS: u8 = 3;

/// A longer latency counts as this one, in microseconds: ten minutes.
const LATENCY_US_MAX: u64 = 600_000_000;

/// The status that confirms a callback.
const CONFIRMED: u16 = 200;

/// What became of the callbacks of one run. Its `Debug` is a summary.
#[derive(Clone)]
pub struct Report {
    confirmed: Vec<u64>,
    answered: BTreeMap<u16, u64>,
    unanswered: u64,
    elapsed: Duration,
    latencies_us: Histogram<u64>,
}

impl Report {
    pub(super) fn new() -> Self {
        // With bounds, because one without cuts what it records instead of growing.
        let latencies_us = Histogram::new_with_bounds(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS)
            .expect("these bounds are in order");
        Self {
            confirmed: Vec::new(),
            answered: BTreeMap::new(),
            unanswered: 0,
            elapsed: Duration::ZERO,
            latencies_us,
        }
    }

    /// The numbers that were answered 200, in ascending order.
    pub fn confirmed(&self) -> impl Iterator<Item = u64> {
        self.confirmed.iter().copied()
    }

    /// How many callbacks were answered with `status`.
    pub fn answered(&self, status: u16) -> u64 {
        self.answered.get(&status).copied().unwrap_or(0)
    }

    /// How many callbacks were begun and got no whole answer, because the connection broke, the
    /// answer was no HTTP, or none came in time.
    pub fn unanswered(&self) -> u64 {
        self.unanswered
    }

    /// From the beginning to the last answer.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Confirmed callbacks per second.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.answered(CONFIRMED) as f64 / seconds } else { 0.0 }
    }

    /// The time within which this share (0 to 1) of the answers came whole, of whatever status:
    /// 0.5 is the median.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.latencies_us.value_at_quantile(share))
    }

    pub(super) fn answer(&mut self, n: u64, status: u16, latency: Duration) {
        *self.answered.entry(status).or_default() += 1;
        if status == CONFIRMED {
            self.confirmed.push(n);
        }
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies_us.saturating_record(latency_us);
    }

    pub(super) fn no_answer(&mut self) {
        self.unanswered += 1;
    }

    /// Takes in what another connection counted.
    pub(super) fn add(&mut self, other: Self) {
        self.confirmed.extend(other.confirmed);
        for (status, count) in other.answered {
            *self.answered.entry(status).or_default() += count;
        }
        self.unanswered += other.unanswered;
        self.latencies_us.add(&other.latencies_us).expect("a resizing histogram takes any value");
    }

    pub(super) fn end(mut self, elapsed: Duration) -> Self {
        self.confirmed.sort_unstable();
        self.elapsed = elapsed;
        self
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("answered", &self.answered)
            .field("unanswered", &self.unanswered)
            .field("elapsed", &self.elapsed)
            .field("rate", &self.rate().round())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_latencies_are_told_as_they_are() {
        let mut all = Report::new();
        for millis in [1, 5, 5000] {
            let mut one = Report::new();
            one.answer(millis, CONFIRMED, Duration::from_millis(millis));
            all.add(one);
        }
        assert_eq!(all.quantile(0.5).as_millis(), 5);
        assert!(all.quantile(1.0) >= Duration::from_millis(5000));
    }
}
