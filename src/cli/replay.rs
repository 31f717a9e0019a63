//! Sending events again from the command line, through connectors of its own: those of a bridge
//! that runs beside are that one's.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use tokio::runtime;
use tokio_util::task::TaskTracker;
use vodbridge_core::{Connector, Durability, Event, PublishError, Topic, Unavailable};
use vodbridge_journal::{Owner, Reader, Seq, Store};

use super::chosen::Chosen;
use super::exit::{complain, failed, print};
use crate::config::{self, Config};
use crate::delivery::Outcome;
use crate::outlet::Room;
use crate::records::{Of, Place};
use crate::registry::{self, Built};
use crate::replay::{Originals, Replayer, Run, Way};
use crate::route::{Demand, Routes, Target};
use crate::telemetry::logs;
use crate::telemetry::metrics::Metrics;

/// Events under way at a time, and their bytes.
const IN_FLIGHT: usize = 64;
const IN_FLIGHT_BYTES: u32 = 64 << 20;

/// How long one event is tried.
const TRIED_FOR: Duration = Duration::from_secs(30);

/// What became of rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) replayed: usize,
    /// Some connector did not take it.
    pub(super) kept: usize,
    /// It is nothing that could be sent.
    pub(super) unusable: usize,
}

/// The way out, and what it was built of.
struct Bridge {
    replayer: Replayer,
    targets: Vec<Arc<Target>>,
    store: Option<Store>,
}

/// Sends the chosen rows again, and calls with those that every required connector has
/// acknowledged.
pub(super) fn replay(
    config: &Config,
    chosen: &Chosen,
    of: Of,
    acknowledged: impl FnMut(&[Seq]) -> io::Result<()>,
) -> Result<Tally, ExitCode> {
    // What connectors have to say is said, but not that all is well.
    let log = config::Log { level: "warn".to_owned(), ..config.log.clone() };
    logs::init(&log, registry::QUIET, registry::SILENT).map_err(|error| failed(&error))?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    let tally = runtime.block_on(send(config, chosen, of, acknowledged));
    runtime.shutdown_timeout(Duration::from_secs(1));
    tally.map_err(|error| {
        complain(&format_args!("{error}"));
        ExitCode::FAILURE
    })
}

/// Says where each of the chosen rows would go; `unusable` is said of one that is no event.
pub(super) fn explain(config: &Config, chosen: &Chosen, of: Of, unusable: &str) -> ExitCode {
    let mut reader = match chosen.rows.journal() {
        Ok(reader) => reader,
        Err(code) => return code,
    };
    let routes = Routes::new(registry::routes(config));
    let originals = Originals::new(config);
    let names: Vec<_> = config.connectors.keys().map(|name| name.as_str()).collect();
    print(|out| {
        chosen.each_page(&mut reader, of, |records| {
            for record in records {
                let place = Place::of(&record);
                let Some(mut event) = originals.event(&record) else {
                    writeln!(out, "{place}  {unusable}")?;
                    continue;
                };
                match Way::of(routes.plan(&mut event)) {
                    Way::Dropped(_) => writeln!(out, "{place}  {}  dropped", event.id)?,
                    Way::Stays(why) => writeln!(out, "{place}  {}  stays: {why}", event.id)?,
                    Way::Goes { to, topic } => {
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
    mut acknowledged: impl FnMut(&[Seq]) -> io::Result<()>,
) -> io::Result<Tally> {
    let mut reader = Reader::open(&config.journal.path).map_err(io::Error::other)?;
    let bridge = Bridge::build(config)?;
    let originals = Originals::new(config);
    let run = bridge.replayer.run();
    let mut tally = Tally::default();
    let handle = runtime::Handle::current();
    let result = chosen.each_page(&mut reader, of, |records| {
        let found = records.len();
        let usable =
            records.iter().filter_map(|record| Some((record.seq, originals.event(record)?)));
        let usable: Vec<_> = usable.collect();
        tally.unusable += found - usable.len();
        let taken =
            tokio::task::block_in_place(|| handle.block_on(send_all(&run, usable, &mut tally)));
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
        let replayer = Replayer::new(
            registry::routes(config),
            targets.clone(),
            config.dead_letter.topic.clone(),
            TaskTracker::new(),
            Room::new(IN_FLIGHT, IN_FLIGHT_BYTES),
            TRIED_FOR,
        );
        Ok(Self { replayer, targets, store })
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

/// Sends events side by side, and returns those that every required connector has acknowledged.
async fn send_all(run: &Run<'_>, events: Vec<(Seq, Event)>, tally: &mut Tally) -> Vec<Seq> {
    let each = stream::iter(events).map(|(seq, event)| async move { (seq, run.send(event).await) });
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
