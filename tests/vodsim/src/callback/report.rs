use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;

/// What became of the callbacks of a run.
pub struct Report {
    numbers: Range<u64>,
    elapsed: Duration,
    answers: BTreeMap<u16, u64>,
    confirmed: Vec<u64>,
    micros: Histogram<u64>,
}

/// What one connection saw.
pub(super) struct Shard {
    answers: BTreeMap<u16, u64>,
    confirmed: Vec<u64>,
    micros: Histogram<u64>,
}

// === impl Report ===

impl Report {
    pub(super) fn new(numbers: Range<u64>, elapsed: Duration, shards: Vec<Shard>) -> Self {
        let mut all = Shard::default();
        for shard in shards {
            for (status, count) in shard.answers {
                *all.answers.entry(status).or_default() += count;
            }
            all.confirmed.extend(shard.confirmed);
            all.micros.add(shard.micros).expect("all have the same bounds");
        }
        all.confirmed.sort_unstable();
        let Shard { answers, confirmed, micros } = all;
        Self { numbers, elapsed, answers, confirmed, micros }
    }

    /// The numbers that were answered 200, ascending.
    pub fn confirmed(&self) -> impl Iterator<Item = u64> {
        self.confirmed.iter().copied()
    }

    /// How many were answered with this status.
    pub fn answered(&self, status: u16) -> u64 {
        self.answers.get(&status).copied().unwrap_or_default()
    }

    /// How many were sent and had no whole answer.
    pub fn unanswered(&self) -> u64 {
        (self.numbers.end - self.numbers.start).saturating_sub(self.answers.values().sum())
    }

    /// How long the run took.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Answers a second, of any status.
    pub fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which this share of the answers came: 0.5 is the median.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.micros.value_at_quantile(share))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("numbers", &self.numbers)
            .field("elapsed", &self.elapsed)
            .field("answers", &self.answers)
            .field("unanswered", &self.unanswered())
            .finish_non_exhaustive()
    }
}

// === impl Shard ===

impl Shard {
    pub(super) fn answered(&mut self, number: u64, status: u16, after: Duration) {
        *self.answers.entry(status).or_default() += 1;
        if status == 200 {
            self.confirmed.push(number);
        }
        self.micros.saturating_record(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
    }
}

impl Default for Shard {
    fn default() -> Self {
        // One microsecond to a minute, three digits: 60 KB.
        let micros = Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds");
        Self { answers: BTreeMap::new(), confirmed: Vec::new(), micros }
    }
}
