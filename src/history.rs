//! The history: the last of what was delivered, to find an event and send it again.
//!
//! ```text
//! route --settle--> note -> gathered, so many at the most -> many times a second into the journal
//!                     |
//!                     no room: skipped and counted
//! ```
//!
//! Nothing waits for it and nothing fails of it: it begins after the event has settled, and what
//! cannot be written is left out. What a required leg brought into the journal is not written twice.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use smol_str::SmolStr;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};
use vodbridge_core::{Event, Timestamp, Topic};
use vodbridge_journal::{Delivered, Delivery, Store};

use crate::ingest::callback::Clock;
use crate::route::{Route, Then};

/// How long delivered events gather until they are written together.
const GATHER: Duration = Duration::from_millis(50);

/// Events that may be gathered, and bytes of their messages: a fifth of a second at the rate of the
/// fastest broker.
const EVENTS_MAX: usize = 4096;
const BYTES_MAX: usize = 8 << 20;

/// Rows of one transaction, and bytes of their messages unless a single one is larger: an append
/// may have to wait until it is through.
const STEP_ROWS: usize = 128;
const STEP_BYTES: usize = 512 << 10;

/// The history of this process.
pub struct History {
    store: Store,
    clock: Clock,
    /// By the names of the routes; those that require the journal are not there.
    routes: HashMap<SmolStr, Arc<Delivery>>,
    payloads: bool,
    gathered: Mutex<Gathered>,
    came: Notify,
    writing: tokio::sync::Mutex<()>,
    skipped: Counter,
    is_failing: AtomicBool,
}

#[derive(Default)]
struct Gathered {
    events: VecDeque<Delivered>,
    bytes: usize,
}

// === impl History ===

impl History {
    /// The history of events on these routes. `connectors` are the names by place, none where the
    /// connector is the journal itself; `payloads` says whether messages are kept as well.
    pub fn new(
        store: Store,
        routes: &[Route],
        connectors: Vec<Option<SmolStr>>,
        payloads: bool,
        skipped: Counter,
        clock: &Clock,
    ) -> Arc<Self> {
        let remembered = |route: &Route| {
            let Then::Publish { to, .. } = &route.then else { return None };
            let acknowledged = to.iter().map(|place| connectors[*place].clone());
            let acknowledged = acknowledged.collect::<Option<_>>()?;
            let delivery = Delivery { route: route.name.clone(), acknowledged };
            Some((route.name.clone(), Arc::new(delivery)))
        };
        Arc::new(Self {
            store,
            clock: Arc::clone(clock),
            routes: routes.iter().filter_map(remembered).collect(),
            payloads,
            gathered: Mutex::default(),
            came: Notify::new(),
            writing: tokio::sync::Mutex::default(),
            skipped,
            is_failing: AtomicBool::new(false),
        })
    }

    /// What time it is.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Takes an event that every required connector of its route has acknowledged by then. Waits
    /// for nothing: where there is no room, it is skipped and counted.
    pub(crate) fn note(&self, mut event: Event, topic: Topic, route: &Route, at: Timestamp) {
        let Some(delivery) = self.routes.get(&route.name) else { return };
        if !self.payloads {
            (event.data, event.message) = (Bytes::new(), Bytes::new());
        }
        let bytes = event.message.len();
        let delivery = Arc::clone(delivery);
        let delivered = Delivered { event, topic, delivery, at };
        let mut gathered = self.lock();
        if gathered.events.len() >= EVENTS_MAX || gathered.bytes + bytes > BYTES_MAX {
            drop(gathered);
            self.skipped.inc();
            return;
        }
        gathered.bytes += bytes;
        gathered.events.push_back(delivered);
        let is_first = gathered.events.len() == 1;
        drop(gathered);
        if is_first {
            self.came.notify_one();
        }
    }

    /// Writes what gathers, until told to stop.
    pub async fn write(self: Arc<Self>, stop: CancellationToken) {
        let writing = async {
            loop {
                self.came.notified().await;
                sleep(GATHER).await;
                self.flush().await;
            }
        };
        stop.run_until_cancelled(writing).await;
    }

    /// Writes what has gathered; what cannot be written is skipped and counted.
    pub async fn flush(&self) {
        // Who drains waits for what is being written.
        let _writing = self.writing.lock().await;
        loop {
            let step = self.lock().step();
            if step.is_empty() {
                return;
            }
            let written = self.store.remember(&step).await;
            let failure = written.as_ref().err();
            let is_failing = failure.is_some();
            if is_failing != self.is_failing.swap(is_failing, Ordering::Relaxed) {
                match failure {
                    Some(error) => info!(%error, "delivered events are left out of the history"),
                    None => info!("the history is written again"),
                }
            }
            let skipped = step.len() as u64 - written.unwrap_or_default().min(step.len() as u64);
            if skipped > 0 {
                debug!(skipped, "the history has no room");
                self.skipped.inc_by(skipped);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    /// Takes what makes one transaction, the oldest first.
    fn step(&mut self) -> Vec<Delivered> {
        let mut bytes = 0;
        let fitting = self.events.iter().take(STEP_ROWS).take_while(|delivered| {
            bytes += delivered.event.message.len();
            bytes <= STEP_BYTES
        });
        let rows = fitting.count().max(1).min(self.events.len());
        let step: Vec<_> = self.events.drain(..rows).collect();
        self.bytes -= step.iter().map(|delivered| delivered.event.message.len()).sum::<usize>();
        step
    }
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("store", &self.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use vodbridge_journal::{Settings, Table};

    use super::*;
    use crate::normalize::{DataForm, Normalizer};
    use crate::route::{Match, PartitionKey};

    #[tokio::test]
    async fn what_does_not_fit_is_skipped_and_counted_and_nobody_waits() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Settings::new(directory.path())).unwrap();
        let route = Route {
            name: "rest".into(),
            when: Match::default(),
            then: Then::Publish {
                to: vec![0],
                also: Vec::new(),
                topic: crate::config::TopicTemplate::new("vod.x").unwrap(),
                key: PartitionKey::Subject,
            },
        };
        let clock: Clock = Arc::new(Default::default);
        let (skipped, names) = (Counter::default(), vec![Some("out".into())]);
        let routes = std::slice::from_ref(&route);
        let history = History::new(store.clone(), routes, names, true, skipped.clone(), &clock);
        let normalizer = Normalizer::new("movies", None, "com.example", DataForm::Payload);
        let event = normalizer.examples().next().unwrap();
        for _ in 0..EVENTS_MAX + 3 {
            history.note(event.clone(), Topic::new("vod.x").unwrap(), &route, history.now());
        }
        assert_eq!(skipped.get(), 3);
        history.flush().await;
        assert_eq!(store.usage().table(Table::History).rows, EVENTS_MAX as u64);
        history.note(event, Topic::new("vod.x").unwrap(), &route, history.now());
        store.close().await;
        history.flush().await;
        assert_eq!(skipped.get(), 4, "what cannot be written is skipped, too");
    }
}
