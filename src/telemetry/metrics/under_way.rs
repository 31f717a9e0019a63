use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::labels::ApplicationLabels;

/// The events of every application that have not ended: in flight, or waiting in the spool.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<Mutex<BTreeMap<Arc<str>, Arc<Tally>>>>);

/// Those of one application. Both numbers lie in one word, as events go to and fro between them:
/// read one after the other they would show some twice.
#[derive(Debug, Default)]
pub(super) struct Tally(AtomicU64);

/// In flight in the low half, waiting in the high one.
const FLYING: u64 = 1;
const WAITING: u64 = 1 << 32;

// === impl UnderWay ===

impl UnderWay {
    /// The tally of an application, the same for all its ways in.
    pub(super) fn of(&self, application: &Arc<str>) -> Arc<Tally> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(Arc::clone(application)).or_default())
    }
}

impl Collector for UnderWay {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |(application, tally): (&Arc<str>, &Arc<Tally>)| {
            (ApplicationLabels { application: Arc::clone(application) }, tally.read())
        };
        let read: Vec<_> = all.iter().map(read).collect();
        drop(all);
        let mut family = |name, help, number: fn(&(u64, u64)) -> u64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, numbers) in &read {
                let gauge = ConstGauge::new(i64::try_from(number(numbers)).unwrap_or(i64::MAX));
                gauge.encode(family.encode_family(labels)?)?;
            }
            Ok(())
        };
        family("in_flight", "Events begun and not settled", |(flying, _)| *flying)?;
        family("waiting", "Events in the spool with no delivery under way", |(_, waiting)| *waiting)
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn begin(&self) {
        self.0.fetch_add(FLYING, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.0.fetch_sub(FLYING, Ordering::Relaxed);
    }

    /// From in flight to waiting.
    pub(super) fn wait(&self) {
        self.0.fetch_add(WAITING - FLYING, Ordering::Relaxed);
    }

    /// From waiting to in flight.
    pub(super) fn resume(&self) {
        self.0.fetch_sub(WAITING - FLYING, Ordering::Relaxed);
    }

    /// So many rows more, found in the spool.
    pub(super) fn find(&self, rows: u64) {
        self.0.fetch_add(rows * WAITING, Ordering::Relaxed);
    }

    /// In flight, waiting.
    pub(super) fn read(&self) -> (u64, u64) {
        let both = self.0.load(Ordering::Relaxed);
        (both % WAITING, both / WAITING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_and_fro_is_counted_once() {
        let tally = Tally::default();
        tally.find(1_000_000);
        tally.begin();
        tally.resume();
        assert_eq!(tally.read(), (2, 999_999));
        tally.wait();
        tally.wait();
        assert_eq!(tally.read(), (0, 1_000_001));
        tally.resume();
        tally.end();
        assert_eq!(tally.read(), (0, 1_000_000));
    }
}
