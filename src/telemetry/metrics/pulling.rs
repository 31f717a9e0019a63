use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use vodbridge_vod::api::Action;
use vodbridge_vod::client::CallError;

use super::labels::{ApplicationLabels, CallLabels};

/// The code of a call that went well.
const OK: &str = "ok";

/// What is counted of one application's calls to VOD.
#[derive(Debug)]
pub struct Pulling {
    pub(super) application: Arc<str>,
    pub(super) calls: Family<CallLabels, Counter>,
    pub(super) confirm_age: Histogram,
    pub(super) handles_dropped: Counter,
    pub(super) queue_events: Family<ApplicationLabels, Gauge>,
}

// === impl Pulling ===

impl Pulling {
    /// Counts a call.
    pub fn count(&self, action: Action, answer: Result<(), &CallError>) {
        let labels = CallLabels {
            application: Arc::clone(&self.application),
            action: action.name(),
            code: answer.map_or_else(CallError::code, |()| OK),
        };
        self.calls.get_or_create(&labels).inc();
    }

    /// Notes how old a handle was when it was confirmed.
    pub fn observe_confirm_age(&self, age: Duration) {
        self.confirm_age.observe(age.as_secs_f64());
    }

    /// Counts a handle that was not confirmed although its event has settled.
    pub fn count_dropped(&self) {
        self.handles_dropped.inc();
    }

    /// Says how many events wait in VOD's queue.
    /// `None`: nobody knows, and there is no number then.
    pub fn set_queue_events(&self, count: Option<u64>) {
        let labels = ApplicationLabels { application: Arc::clone(&self.application) };
        match count {
            Some(count) => {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                self.queue_events.get_or_create(&labels).set(count);
            }
            None => drop(self.queue_events.remove(&labels)),
        }
    }
}
