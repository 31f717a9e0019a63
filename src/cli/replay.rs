//! Sending events again, by the routes of the configuration as it is now and through connectors of
//! its own: those of a bridge that runs beside are that one's.
//!
//! What goes out has its old `id` and the attribute `vodreplay`, which names the replay.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use smol_str::{SmolStr, format_smolstr};
use tokio::runtime;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use vodbridge_core::{
    Connector, Durability, Event, Extension, PublishError, Timestamp, Topic, Unavailable,
};
use vodbridge_journal::{Owner, Reader, Record, Seq, Store};

use super::chosen::Chosen;
use super::exit::{complain, failed, print};
use super::place::{Of, Place};
use crate::config::{self, Config};
use crate::delivery::{Outcome, Purpose};
use crate::duplicates::Duplicates;
use crate::ingest::{event_types, type_index};
use crate::outlet::{Admitted, Arrival, Outlet, Room};
use crate::registry::{self, Built};
use crate::route::{Demand, Letters, Overdue, Plan, Router, Routes, Target};
use crate::telemetry::logs;
use crate::telemetry::metrics::{Metrics, Mode};

/// Events under way at a time, and their bytes.
const IN_FLIGHT: usize = 64;
const IN_FLIGHT_BYTES: u32 = 64 << 20;

/// How long one event is tried.
const TRIED_FOR: Duration = Duration::from_secs(30);

/// How long, and of how many events, is remembered what was sent: an event that is chosen twice
/// goes out once.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);
const REMEMBERED_MAX: usize = 200_000;

/// The attribute that names the replay.
const ATTRIBUTE: &str = "vodreplay";

/// What became of rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) replayed: usize,
    /// Some connector did not take it.
    pub(super) kept: usize,
    /// It is nothing that could be sent.
    pub(super) unusable: usize,
}

/// Everything that an event goes through.
struct Bridge {
    router: Arc<Router>,
    /// By application: what is equal in two of them is not the same.
    outlets: Mutex<BTreeMap<String, Outlet>>,
    room: Room,
    tracker: TaskTracker,
    metrics: Metrics,
    targets: Vec<Arc<Target>>,
    store: Option<Store>,
    name: SmolStr,
}

/// Sends the chosen rows again, as the events that `event` makes of them, and calls with those that
/// every required connector has acknowledged.
pub(super) fn replay(
    config: &Config,
    chosen: &Chosen,
    of: Of,
    event: impl Fn(&Record) -> Option<Event>,
    acknowledged: impl FnMut(&[Seq]) -> io::Result<()>,
) -> Result<Tally, ExitCode> {
    // What connectors have to say is said, but not that all is well.
    let log = config::Log { level: "warn".to_owned(), ..config.log.clone() };
    logs::init(&log, registry::QUIET, registry::SILENT).map_err(|error| failed(&error))?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    let tally = runtime.block_on(send(config, chosen, of, event, acknowledged));
    runtime.shutdown_timeout(Duration::from_secs(1));
    tally.map_err(|error| {
        complain(&format_args!("{error}"));
        ExitCode::FAILURE
    })
}

/// Says where each of the chosen rows would go; `unusable` is said of one that is no event.
pub(super) fn explain(
    config: &Config,
    chosen: &Chosen,
    of: Of,
    event: impl Fn(&Record) -> Option<Event>,
    unusable: &str,
) -> ExitCode {
    let mut reader = match chosen.rows.journal() {
        Ok(reader) => reader,
        Err(code) => return code,
    };
    let routes = Routes::new(registry::routes(config));
    let names: Vec<_> = config.connectors.keys().map(|name| name.as_str()).collect();
    print(|out| {
        chosen.each_page(&mut reader, of, |records| {
            for record in records {
                let place = Place::of(&record);
                let Some(mut event) = event(&record) else {
                    writeln!(out, "{place}  {unusable}")?;
                    continue;
                };
                match routes.plan(&mut event) {
                    Plan::Drop(_) => writeln!(out, "{place}  {}  dropped", event.id)?,
                    Plan::Letter { detail, .. } => {
                        writeln!(out, "{place}  {}  stays: {detail}", event.id)?;
                    }
                    Plan::Publish { to, topic, .. } => {
                        let to: Vec<_> = to.iter().map(|place| names[*place]).collect();
                        writeln!(out, "{place}  {}  {topic} to {}", event.id, to.join(", "))?;
                    }
                }
            }
            Ok(())
        })
    })
}

async fn send(
    config: &Config,
    chosen: &Chosen,
    of: Of,
    event: impl Fn(&Record) -> Option<Event>,
    mut acknowledged: impl FnMut(&[Seq]) -> io::Result<()>,
) -> io::Result<Tally> {
    let mut reader = Reader::open(&config.journal.path).map_err(io::Error::other)?;
    let bridge = Bridge::build(config)?;
    let mut tally = Tally::default();
    let handle = runtime::Handle::current();
    let result = chosen.each_page(&mut reader, of, |records| {
        let found = records.len();
        let usable = records.iter().filter_map(|record| Some((record.seq, event(record)?)));
        let usable: Vec<_> = usable.collect();
        tally.unusable += found - usable.len();
        let taken =
            tokio::task::block_in_place(|| handle.block_on(bridge.send_all(usable, &mut tally)));
        acknowledged(&taken)?;
        tally.report();
        Ok(())
    });
    bridge.close().await;
    result.map(|()| tally)
}

// === impl Bridge ===

impl Bridge {
    fn build(config: &Config) -> io::Result<Self> {
        let metrics = Metrics::new();
        let has_journal =
            config.connectors.values().any(|c| matches!(c, config::Connector::Journal(_)));
        let store = match Owner::of(&config.journal.path) {
            Owner::Nobody if has_journal => {
                Some(Store::open(registry::journal(config)).map_err(io::Error::other)?)
            }
            Owner::Nobody | Owner::Bridge | Owner::Missing => None,
        };
        let mut built = match &store {
            Some(store) => registry::connectors(config, store).map_err(io::Error::other)?,
            None => Vec::new(),
        };
        if store.is_none() {
            for (name, connector) in &config.connectors {
                built.push(match connector {
                    config::Connector::Journal(journal) => Built {
                        name: name.clone(),
                        connector: Arc::new(Occupied),
                        publish_timeout: journal.publish_timeout,
                        demand: Demand::default(),
                    },
                    config::Connector::Kafka(_)
                    | config::Connector::RabbitMq(_)
                    | config::Connector::Nats(_) => {
                        registry::broker(name, connector).map_err(io::Error::other)?
                    }
                });
            }
        }
        let target = |Built { name, connector, publish_timeout, demand }| {
            let name: config::Name = name;
            let publishing = metrics.publishing(name.as_str());
            Target::new(name.as_str(), connector, publish_timeout, demand, publishing)
        };
        let targets: Vec<_> = built.into_iter().map(target).collect();
        let nowhere = Target::new(
            registry::DEAD_LETTERS,
            Arc::new(Nowhere),
            TRIED_FOR,
            Demand::default(),
            metrics.publishing(registry::DEAD_LETTERS),
        );
        let topic = config.dead_letter.topic.clone();
        // What waits here is given up sooner.
        let overdue = Overdue { after: Duration::MAX, clock: Arc::new(Timestamp::default) };
        let letters = Letters { target: nowhere, topic, last_resort: None, overdue };
        let tracker = TaskTracker::new();
        let router = Router::new(
            registry::routes(config),
            targets.clone(),
            letters,
            Arc::new(Metrics::new()),
            tracker.clone(),
            None,
        );
        Ok(Self {
            router,
            outlets: Mutex::default(),
            room: Room::new(IN_FLIGHT, IN_FLIGHT_BYTES),
            tracker,
            metrics,
            targets,
            store,
            name: name(std::time::SystemTime::now().into()),
        })
    }

    /// Sends events side by side, and returns those that every required connector has acknowledged.
    async fn send_all(&self, events: Vec<(Seq, Event)>, tally: &mut Tally) -> Vec<Seq> {
        let each =
            stream::iter(events).map(|(seq, event)| async move { (seq, self.send(event).await) });
        let mut acknowledged = Vec::new();
        let mut each = std::pin::pin!(each.buffer_unordered(IN_FLIGHT));
        while let Some((seq, outcome)) = each.next().await {
            match outcome {
                Outcome::Delivered => acknowledged.push(seq),
                Outcome::Rejected | Outcome::Deferred => tally.kept += 1,
            }
        }
        tally.replayed += acknowledged.len();
        acknowledged
    }

    async fn send(&self, mut event: Event) -> Outcome {
        mark(&mut event, &self.name);
        let application = event.extension("vodapplication").unwrap_or_default().to_owned();
        let intake = self.metrics.intake(&application, Mode::callback, &event_types());
        let arrival = Arrival {
            event,
            purpose: Purpose::Publish,
            obligation: intake.begin(type_index(None)),
            bytes: None,
            row: None,
        };
        let receipt = match self.outlet(application).admit(arrival) {
            Admitted::New(departure, receipt) => {
                departure.depart().await;
                receipt
            }
            Admitted::Joined(receipt, _) => receipt,
            // Another row of the same event, and that one has been delivered everywhere.
            Admitted::Duplicate(_) => return Outcome::Delivered,
        };
        timeout(TRIED_FOR, receipt.outcome()).await.unwrap_or(Outcome::Deferred)
    }

    fn outlet(&self, application: String) -> Outlet {
        let mut outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        let outlet = outlets.entry(application).or_insert_with(|| {
            let duplicates = Duplicates::new(REMEMBERED_FOR, REMEMBERED_MAX);
            let (router, tracker) = (Arc::clone(&self.router), self.tracker.clone());
            Outlet::new(duplicates, router, tracker, self.room.clone())
        });
        outlet.clone()
    }

    async fn close(self) {
        for target in &self.targets {
            target.close().await;
        }
        if let Some(store) = self.store {
            store.close().await;
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Whether everything went out.
    pub(super) fn is_all(&self) -> bool {
        self.kept + self.unusable == 0
    }

    /// Says how far it is, where somebody looks.
    fn report(&self) {
        let mut err = io::stderr();
        if err.is_terminal() {
            let Self { replayed, kept, unusable } = self;
            // Where standard error cannot be written to, nobody is there to be told.
            write!(err, "\r{replayed} replayed, {} not", kept + unusable).ok();
            err.flush().ok();
        }
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

/// Stands where the journal would be that a running bridge has.
struct Occupied;

#[async_trait]
impl Connector for Occupied {
    async fn publish(&self, _: &Event, _: &Topic) -> Result<(), PublishError> {
        // That will not change while this runs: it is not worth a second attempt.
        Err(PublishError::Refused(occupied().into()))
    }

    async fn check(
        &self,
        _: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        Err(occupied())
    }

    async fn provide(&self, _: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        Err(occupied())
    }

    async fn close(&self) {}
}

fn occupied() -> Unavailable {
    Unavailable::topology("the journal belongs to the bridge that runs")
        .advise("stop the bridge to replay into its journal")
}

/// Takes no letters: what is refused again stays the letter that it is.
struct Nowhere;

#[async_trait]
impl Connector for Nowhere {
    async fn publish(&self, _: &Event, _: &Topic) -> Result<(), PublishError> {
        Err(PublishError::Refused("it stays the dead letter that it is".into()))
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        Ok(topics.iter().map(|_| Err(Unavailable::topology("nowhere"))).collect())
    }

    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        Ok(topics.iter().map(|_| Ok(())).collect())
    }

    async fn close(&self) {}
}
