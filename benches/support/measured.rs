//! Numbers of rounds, and their medians.

use std::env;
use std::time::Duration;

use hdrhistogram::Histogram;

/// What one column reached in one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Processor time of the driven process for each event.
    pub(crate) cpu: Duration,
}

// === impl Measured ===

impl Measured {
    /// Of so many answers within `elapsed`, in microseconds.
    pub(crate) fn of(micros: &Histogram<u64>, elapsed: Duration) -> Self {
        let quantile = |share| Duration::from_micros(micros.value_at_quantile(share));
        let rate = micros.len() as f64 / elapsed.as_secs_f64();
        Self { rate, p50: quantile(0.5), p99: quantile(0.99), cpu: Duration::ZERO }
    }

    /// The median of each number by itself.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let time = |of: fn(&Self) -> Duration| {
            Duration::from_secs_f64(middle(rounds.iter().map(|m| of(m).as_secs_f64()).collect()))
        };
        Self {
            rate: middle(rounds.iter().map(|m| m.rate).collect()),
            p50: time(|m| m.p50),
            p99: time(|m| m.p99),
            cpu: time(|m| m.cpu),
        }
    }
}

pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).unwrap()
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The number after the argument `name`.
pub(crate) fn argument(name: &str, default: u64) -> u64 {
    let arguments: Vec<String> = env::args().collect();
    let at = arguments.iter().position(|a| a == name);
    at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
}
