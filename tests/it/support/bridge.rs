use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use vodbridge::config::{Pattern, TopicTemplate};
use vodbridge::delivery::{Outcome, Purpose};
use vodbridge::duplicates::{Duplicates, Receipt, Repeat};
use vodbridge::ingest::callback::Clock;
use vodbridge::outlet::{Admitted, Arrival, Outlet, Room};
use vodbridge::route::{
    Demand, Letters, Match, Overdue, PartitionKey, Progress, Route, Router, Target, Then,
};
use vodbridge::telemetry::metrics::{Intake, Metrics, Mode};
use vodbridge_core::{Connector, Event, Fault, Timestamp, Topic};

use super::{Fake, Scrape};

/// The connectors' `publish_timeout`.
pub(crate) const PUBLISH_TIMEOUT: Duration = Duration::from_secs(20);

/// The longest that any test waits for anything, on the paused clock.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Waits for a state, within bounds.
pub(crate) async fn soon<T>(state: impl Future<Output = T>) -> T {
    timeout(PATIENCE, state).await.expect("this should have come to pass by now")
}

/// What differs from one bridge to another.
pub(crate) struct Setup {
    pub(crate) connectors: usize,
    /// Places of the connectors that get events as best they can; the others are required.
    pub(crate) also: Vec<usize>,
    /// Event types that take the one route; others match no route.
    pub(crate) routed: &'static str,
    /// Event types that are dropped; none where this is empty.
    pub(crate) dropped: &'static str,
    pub(crate) room_events: usize,
    pub(crate) room_bytes: u32,
    pub(crate) window: Duration,
    pub(crate) entries_max: usize,
    /// What the connectors' acknowledgements must survive.
    pub(crate) require: Vec<Fault>,
    /// `dead_letter.after`.
    pub(crate) overdue_after: Duration,
    pub(crate) clock: Clock,
}

/// Metrics, duplicates, routes and an outlet over fake connectors, with a fake letter box and a
/// fake journal behind it.
pub(crate) struct Bridge {
    pub(crate) connectors: Vec<Arc<Fake>>,
    pub(crate) letter_box: Arc<Fake>,
    pub(crate) journal: Arc<Fake>,
    pub(crate) targets: Vec<Arc<Target>>,
    pub(crate) tracker: TaskTracker,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) router: Arc<Router>,
    pub(crate) outlet: Outlet,
    pub(crate) intake: Arc<Intake>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            connectors: 1,
            also: Vec::new(),
            routed: "*",
            dropped: "Dropped*",
            room_events: 1024,
            room_bytes: 64 << 20,
            window: Duration::from_secs(600),
            entries_max: 1000,
            require: Vec::new(),
            overdue_after: Duration::from_secs(24 * 3600),
            clock: Arc::new(|| Timestamp::from_millis(1_767_226_200_123)),
        }
    }
}

impl Setup {
    pub(crate) fn build(self) -> Bridge {
        let metrics = Arc::new(Metrics::new());
        let target = |name: &str, fake: &Arc<Fake>| {
            let connector = Arc::clone(fake) as Arc<dyn Connector>;
            let demand = Demand::new(self.require.clone(), Vec::new());
            Target::new(name, connector, PUBLISH_TIMEOUT, demand, metrics.publishing(name))
        };
        let connectors: Vec<_> = (0..self.connectors).map(|_| Fake::new()).collect();
        let targets: Vec<_> =
            connectors.iter().enumerate().map(|(n, fake)| target(&format!("c{n}"), fake)).collect();
        let (letter_box, journal) = (Fake::new(), Fake::new());
        let letters = Letters {
            target: target("letters", &letter_box),
            topic: Topic::new("vod.dead-letter").unwrap(),
            last_resort: Some(target("journal", &journal)),
            overdue: Overdue { after: self.overdue_after, clock: self.clock },
        };
        let route = |events: &str, then| Route {
            name: "test".into(),
            when: Match { events: vec![Pattern::new(events)], ..Match::default() },
            then,
        };
        let published = Then::Publish {
            to: (0..self.connectors).filter(|n| !self.also.contains(n)).collect(),
            also: self.also,
            topic: TopicTemplate::new("vod.{event_type}").unwrap(),
            key: PartitionKey::Subject,
        };
        let mut routes = vec![route(self.routed, published)];
        if !self.dropped.is_empty() {
            routes.insert(0, route(self.dropped, Then::Drop));
        }
        let tracker = TaskTracker::new();
        let router = Router::new(
            routes,
            targets.clone(),
            letters,
            Arc::clone(&metrics),
            tracker.clone(),
            None,
        );
        let duplicates = Duplicates::new(self.window, self.entries_max);
        let room = Room::new(self.room_events, self.room_bytes);
        let outlet = Outlet::new(duplicates, Arc::clone(&router), tracker.clone(), room);
        let intake = metrics.intake("movies", Mode::callback, &["other"]);
        Bridge {
            connectors,
            letter_box,
            journal,
            targets,
            tracker,
            metrics,
            router,
            outlet,
            intake,
        }
    }
}

impl Bridge {
    /// So many connectors, all of them required.
    pub(crate) fn to(connectors: usize) -> Self {
        Setup { connectors, ..Setup::default() }.build()
    }

    /// The same, without a route that takes events whatever the connector does.
    pub(crate) fn without_drops() -> Self {
        Setup { dropped: "", ..Setup::default() }.build()
    }

    /// The first connector.
    pub(crate) fn connector(&self) -> &Fake {
        &self.connectors[0]
    }

    /// Offers an event for judgement.
    pub(crate) fn offer(&self, event: Event) -> Admitted {
        self.outlet.admit(self.arrival(event, Purpose::Publish))
    }

    /// Offers an event whose message holds some of the process's bytes.
    pub(crate) fn offer_counted(&self, event: Event, bytes: OwnedSemaphorePermit) -> Admitted {
        let arrival = self.arrival(event, Purpose::Publish);
        self.outlet.admit(Arrival { bytes: Some(bytes), ..arrival })
    }

    /// Offers an event that was kept when it was deferred.
    pub(crate) fn offer_again(&self, event: Event, progress: Progress) -> Admitted {
        let resumed = self.outlet.resume(self.arrival(event, Purpose::Publish), progress);
        resumed.expect("without a row it waits for nobody")
    }

    /// Offers what is no event.
    pub(crate) fn offer_unrecognized(&self, event: Event) -> Admitted {
        let purpose =
            Purpose::DeadLetter { reason: "unrecognized".into(), detail: "no\nJSON".to_owned() };
        self.outlet.admit(self.arrival(event, purpose))
    }

    /// Sends an event that is new, or joins the same one; the receipt says how it ends.
    pub(crate) async fn send(&self, event: Event) -> Receipt {
        begin(self.offer(event)).await
    }

    /// Sends an event and waits for its end.
    pub(crate) async fn outcome(&self, event: Event) -> Outcome {
        soon(self.send(event).await.outcome()).await
    }

    /// Sends an event again that was kept, and waits for its end.
    pub(crate) async fn outcome_again(&self, event: Event, progress: Progress) -> Outcome {
        soon(begin(self.offer_again(event, progress)).await.outcome()).await
    }

    /// Whether an event is suppressed as the duplicate of a settled one.
    pub(crate) fn suppresses(&self, event: Event) -> Option<Repeat> {
        match self.offer(event) {
            Admitted::Duplicate(repeat) => Some(repeat),
            Admitted::New(..) | Admitted::Joined(..) => None,
        }
    }

    pub(crate) fn scrape(&self) -> Scrape {
        Scrape::new(&self.metrics)
    }

    /// Events under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.outlet.in_flight().0
    }

    /// Waits until every delivery and every best-effort publish has ended.
    pub(crate) async fn rest(&self) {
        self.tracker.close();
        soon(self.tracker.wait()).await;
        self.tracker.reopen();
    }

    fn arrival(&self, event: Event, purpose: Purpose) -> Arrival {
        Arrival { event, purpose, obligation: self.intake.begin(0), bytes: None, row: None }
    }
}

async fn begin(admitted: Admitted) -> Receipt {
    match admitted {
        Admitted::New(departure, receipt) => {
            soon(departure.depart()).await;
            receipt
        }
        Admitted::Joined(receipt, _) => receipt,
        Admitted::Duplicate(_) => panic!("this event is suppressed"),
    }
}
