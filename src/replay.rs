//! Sending events again, by the routes as they are now and past every memory of duplicates.
//!
//! ```text
//! row of the journal -> Originals: the event that it was -> Run: marked, by its route -> connectors
//! ```
//!
//! What goes out has its old `id` and the attribute `vodreplay`, which names the replay. Nobody is
//! owed its end, so it is counted in no application's numbers, and what is refused again becomes no
//! second letter.

mod nowhere;
mod originals;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smol_str::{SmolStr, format_smolstr};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use vodbridge_core::{Event, Extension, Timestamp, Topic};

use crate::delivery::{Outcome, Purpose};
use crate::duplicates::Duplicates;
use crate::ingest::{event_types, type_index};
use crate::outlet::{Admitted, Arrival, Outlet, Room};
use crate::registry;
use crate::route::{Demand, Letters, Overdue, Plan, Route, Router, Target};
use crate::telemetry::metrics::{Metrics, Mode};
use nowhere::Nowhere;

pub use originals::Originals;

/// The attribute that names the replay.
const ATTRIBUTE: &str = "vodreplay";

/// How long, and of how many events, one run remembers what it sent: an event that is chosen twice
/// goes out once.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);
const REMEMBERED_MAX: usize = 200_000;

/// The way out of events that are sent again.
#[derive(Debug)]
pub struct Replayer {
    router: Arc<Router>,
    tracker: TaskTracker,
    room: Room,
    metrics: Arc<Metrics>,
    /// How long one event is tried.
    tried_for: Duration,
}

/// One replay: what it sends carries its name, and each event once.
#[derive(Debug)]
pub struct Run<'a> {
    replayer: &'a Replayer,
    name: SmolStr,
    /// By application: what is equal in two of them is not the same.
    outlets: Mutex<BTreeMap<String, Outlet>>,
}

/// Where an event would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nowhere: this route drops it.
    Dropped(SmolStr),
    /// Nowhere, and why.
    Stays(String),
    /// To these connectors, by their places, under this topic.
    Goes {
        /// Those that must acknowledge.
        to: Vec<usize>,
        /// The topic.
        topic: Topic,
    },
}

// === impl Replayer ===

impl Replayer {
    /// Sends by these routes to these connectors, which the routes name by their places, in
    /// deliveries that are tasks of `tracker`. Each event is tried for `tried_for`.
    pub fn new(
        routes: Vec<Route>,
        targets: Vec<Arc<Target>>,
        letter_topic: Topic,
        tracker: TaskTracker,
        room: Room,
        tried_for: Duration,
    ) -> Self {
        let metrics = Arc::new(Metrics::new());
        let nowhere = Target::new(
            registry::DEAD_LETTERS,
            Arc::new(Nowhere),
            tried_for,
            Demand::default(),
            metrics.publishing(registry::DEAD_LETTERS),
        );
        // What waits here is given up sooner.
        let overdue = Overdue { after: Duration::MAX, clock: Arc::new(Timestamp::default) };
        let letters = Letters { target: nowhere, topic: letter_topic, last_resort: None, overdue };
        let router =
            Router::new(routes, targets, letters, Arc::clone(&metrics), tracker.clone(), None);
        Self { router, tracker, room, metrics, tried_for }
    }

    /// Begins a replay.
    pub fn run(&self) -> Run<'_> {
        let name = name(std::time::SystemTime::now().into());
        Run { replayer: self, name, outlets: Mutex::default() }
    }

    /// Where an event would go.
    pub fn way(&self, event: &Event) -> Way {
        Way::of(self.router.routes().plan(&mut event.clone()))
    }
}

// === impl Way ===

impl Way {
    /// What a plan says.
    pub fn of(plan: Plan<'_>) -> Self {
        match plan {
            Plan::Drop(route) => Self::Dropped(route.name.clone()),
            Plan::Letter { detail, .. } => Self::Stays(detail),
            Plan::Publish { to, topic, .. } => Self::Goes { to: to.to_vec(), topic },
        }
    }
}

// === impl Run ===

impl Run<'_> {
    /// The value of `vodreplay` in what it sends.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends one event: delivered once every required connector of its route has acknowledged it.
    /// What is refused, has no route or is not acknowledged in time is deferred.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future begins no further attempt; one under way may still arrive.
    pub async fn send(&self, mut event: Event) -> Outcome {
        mark(&mut event, &self.name);
        let application = event.extension("vodapplication").unwrap_or_default().to_owned();
        let intake = self.replayer.metrics.intake(&application, Mode::callback, &event_types());
        let arrival = Arrival {
            event,
            purpose: Purpose::Publish,
            obligation: intake.begin(type_index(None)),
            bytes: None,
            row: None,
        };
        let receipt = match self.outlet(application).admit(arrival) {
            Admitted::New(departure, receipt) => {
                // Waiting for room is not trying.
                departure.depart().await;
                receipt
            }
            Admitted::Joined(receipt, _) => receipt,
            // Another row of the same event, and that one has been delivered everywhere.
            Admitted::Duplicate(_) => return Outcome::Delivered,
        };
        let outcome = timeout(self.replayer.tried_for, receipt.outcome()).await;
        outcome.unwrap_or(Outcome::Deferred)
    }

    fn outlet(&self, application: String) -> Outlet {
        let Replayer { router, tracker, room, .. } = self.replayer;
        let mut outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        let outlet = outlets.entry(application).or_insert_with(|| {
            // Every row is an occurrence of its own, also where only its content tells what it is.
            let duplicates = Duplicates::by_time(REMEMBERED_FOR, REMEMBERED_MAX);
            Outlet::new(duplicates, Arc::clone(router), tracker.clone(), room.clone())
        });
        outlet.clone()
    }
}

/// No two replays have one name: a stream of NATS would take the second for the first.
fn name(now: Timestamp) -> SmolStr {
    format_smolstr!("{:016x}", RandomState::new().hash_one(now.as_millis()))
}

/// Gives the event the attribute that names the replay, in the place of an earlier one's.
fn mark(event: &mut Event, name: &SmolStr) {
    event.extensions.retain(|extension| extension.name != ATTRIBUTE);
    let at = event.extensions.partition_point(|extension| extension.name.as_ref() < ATTRIBUTE);
    event.extensions.insert(at, Extension { name: ATTRIBUTE.into(), value: name.clone() });
}
