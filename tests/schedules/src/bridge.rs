//! The bridge's core over fakes, as the app builds it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use vodbridge::config::{Pattern, TopicTemplate};
use vodbridge::duplicates::Duplicates;
use vodbridge::outlet::{Outlet, Room};
use vodbridge::route::{
    Demand, Letters, Match, Overdue, PartitionKey, Route, Router, Target, Then,
};
use vodbridge::telemetry::metrics::{Intake, Metrics, Mode};
use vodbridge_core::{Fault, Timestamp, Topic};

use crate::fake::Fake;
use crate::pool::{APPLICATIONS, EVENT_TYPES};
use crate::schedule::{
    CONNECTORS_MAX, JOURNAL, LETTER_BOX, Legs, LettersAt, Routed, Schedule, name,
};
use crate::weather::PUBLISH_TIMEOUT;
use crate::world::{LETTERS_TOPIC, ONE_TOPIC, World};

/// One life of the bridge.
pub(crate) struct Bridge {
    metrics: Arc<Metrics>,
    /// What was unaccounted for, and in flight, when this life began.
    before: (i64, i64),
    /// Every target, those of the letters too.
    pub(crate) targets: Vec<Arc<Target>>,
    pub(crate) applications: Vec<Application>,
    pub(crate) tracker: TaskTracker,
    process_room: Arc<Semaphore>,
    process_bytes: usize,
}

/// The way in of one application.
pub(crate) struct Application {
    pub(crate) outlet: Outlet,
    pub(crate) intake: Arc<Intake>,
}

// === impl Bridge ===

impl Bridge {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        let schedule = &world.schedule;
        // Registering takes longer than most schedules; what others left in the numbers is taken off.
        thread_local! {
            static METRICS: Arc<Metrics> = Arc::new(Metrics::new());
        }
        let metrics = METRICS.with(Arc::clone);
        let before = if schedule.is_scraped { unaccounted(&metrics) } else { (0, 0) };
        let target = |place: usize| {
            let fake = Fake { world: Arc::clone(world), place };
            let demands = place < CONNECTORS_MAX && schedule.demanding[place];
            let require = if demands { vec![Fault::Machine] } else { Vec::new() };
            let demand = Demand::new(require, Vec::new());
            let publishing = metrics.publishing(name(place));
            Target::new(name(place), Arc::new(fake), PUBLISH_TIMEOUT, demand, publishing)
        };
        let connectors: Vec<_> = (0..schedule.connectors).map(target).collect();
        let (letters_to, last_resort) = match schedule.letters {
            LettersAt::Journal => (target(JOURNAL), None),
            LettersAt::Box => (target(LETTER_BOX), Some(target(JOURNAL))),
            LettersAt::Connector(place) => (Arc::clone(&connectors[place]), Some(target(JOURNAL))),
        };
        let letters = Letters {
            target: letters_to,
            topic: Topic::new(LETTERS_TOPIC).expect("a topic"),
            last_resort,
            // No schedule takes a day.
            overdue: Overdue { after: Duration::MAX, clock: Arc::new(Timestamp::default) },
        };
        let mut targets = connectors.clone();
        targets.extend(
            letters.targets().filter(|t| !connectors.iter().any(|c| Arc::ptr_eq(c, t))).cloned(),
        );
        let tracker = TaskTracker::new();
        let routes = schedule.routes.iter().map(route).collect();
        let router =
            Router::new(routes, connectors, letters, Arc::clone(&metrics), tracker.clone(), None);
        let applications = APPLICATIONS[..schedule.applications].iter().map(|application| {
            let window = Duration::from_secs(schedule.window_secs);
            Application {
                outlet: Outlet::new(
                    Duplicates::new(window, schedule.entries_max),
                    Arc::clone(&router),
                    tracker.clone(),
                    Room::new(schedule.room_events, schedule.room_bytes),
                ),
                intake: metrics.intake(application, Mode::callback, &["other"]),
            }
        });
        Self {
            applications: applications.collect(),
            metrics,
            before,
            targets,
            tracker,
            process_room: Arc::new(Semaphore::new(schedule.process_bytes)),
            process_bytes: schedule.process_bytes,
        }
    }

    /// Waits for a message's share of the process's bytes. Cancel safe.
    pub(crate) async fn process_room(&self, bytes: usize) -> OwnedSemaphorePermit {
        let bytes = u32::try_from(bytes.min(self.process_bytes)).expect("messages are small");
        let room = Arc::clone(&self.process_room);
        room.acquire_many_owned(bytes).await.expect("this semaphore is never closed")
    }

    /// Whether all of the process's bytes have come back.
    pub(crate) fn is_process_room_whole(&self) -> bool {
        self.process_room.available_permits() == self.process_bytes
    }

    /// Events under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.applications.iter().map(|a| a.outlet.in_flight().0).sum()
    }

    /// Received, less settled and in flight; and in flight.
    pub(crate) fn unaccounted(&self) -> (i64, i64) {
        let now = unaccounted(&self.metrics);
        (now.0 - self.before.0, now.1 - self.before.1)
    }
}

fn unaccounted(metrics: &Metrics) -> (i64, i64) {
    let text = metrics.encode();
    let sum = |metric: &str| {
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("vodbridge_")?.strip_prefix(metric)?;
            let value = rest.starts_with(['{', ' ']).then(|| rest.rsplit(' ').next())??;
            value.parse::<i64>().ok()
        });
        values.sum::<i64>()
    };
    let in_flight = sum("in_flight");
    let begun = sum("received_total") + sum("recovered_total");
    (begun - sum("settled_total") - in_flight - sum("waiting"), in_flight)
}

fn route(routed: &Routed) -> Route {
    let types = routed.types.iter().flat_map(|types| {
        let taken = EVENT_TYPES.iter().zip(types).filter(|(_, takes)| **takes);
        // No pattern at all would take everything.
        taken.map(|(name, _)| *name).chain(["none of these"])
    });
    let applications = routed.application.map(|a| Pattern::new(APPLICATIONS[a]));
    Route {
        name: "drawn".into(),
        when: Match {
            applications: applications.into_iter().collect(),
            events: types.map(Pattern::new).collect(),
            ..Match::default()
        },
        then: match routed.then {
            None => Then::Drop,
            Some(Legs { to, also }) => Then::Publish {
                to: places(to),
                also: places(also),
                topic: TopicTemplate::new(if routed.one_topic {
                    ONE_TOPIC
                } else {
                    "vod.{event_type}"
                })
                .expect("a template"),
                key: PartitionKey::Subject,
            },
        },
    }
}

fn places(set: u8) -> Vec<usize> {
    (0..CONNECTORS_MAX).filter(|c| set & 1 << c != 0).collect()
}

/// The number of events for which a schedule has room.
pub(crate) fn room_of(schedule: &Schedule) -> (usize, usize) {
    (schedule.room_events, schedule.room_bytes as usize)
}
