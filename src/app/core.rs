//! What every run has, whether or not anything comes in: the way out, and the spool.

use std::collections::BTreeSet;
use std::sync::Arc;

use smol_str::SmolStr;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use vodbridge_core::Topic;
use vodbridge_journal::Store;

use super::topics;
use crate::config::{ApplicationLimits, Config, Name};
use crate::duplicates::Duplicates;
use crate::health::Health;
use crate::history::History;
use crate::ingest::callback::Clock;
use crate::ingest::event_types;
use crate::ingest::spool::{Resender, Spool};
use crate::outlet::{Outlet, Room};
use crate::registry::{self, Built};
use crate::route::{Router, Target};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::{Intake, Metrics, Mode};
use crate::telemetry::traces::{Exporter, Traces};

#[derive(Debug)]
pub(super) struct Core {
    pub(super) metrics: Arc<Metrics>,
    pub(super) traces: Traces,
    exporter: Option<Arc<Exporter>>,
    pub(super) router: Arc<Router>,
    pub(super) store: Store,
    pub(super) spool: Arc<Spool>,
    history: Option<Arc<History>>,
    pub(super) health: Vec<Arc<Health>>,
    /// By the applications' names.
    pub(super) outlets: Vec<(SmolStr, Outlet)>,
    /// What is counted of their callbacks.
    pub(super) intakes: Vec<(SmolStr, Arc<Intake>)>,
    pub(super) tracker: TaskTracker,
    /// The bytes that the whole process may hold, and how many they are.
    pub(super) process_room: Arc<Semaphore>,
    pub(super) process_bytes: usize,
    pub(super) resenders: Vec<Resender>,
}

// === impl Core ===

impl Core {
    /// Wires the connectors up: those of the configuration, in the order of their names.
    pub(super) fn build(
        config: &Config,
        store: Store,
        connectors: Vec<Built>,
        clock: &Clock,
    ) -> Self {
        let metrics = Arc::new(Metrics::new());
        let (traces, exporter) = traces(config, &metrics);
        let tracker = TaskTracker::new();
        let targets: Vec<_> = connectors
            .into_iter()
            .map(|Built { name, connector, publish_timeout, demand }| {
                let publishing = metrics.publishing(name.as_str());
                let destination = registry::destination(&config.connectors[&name]);
                let connector = traces.over(name.as_str(), destination, connector);
                Target::new(name.as_str(), connector, publish_timeout, demand, publishing)
            })
            .collect();
        let letters =
            registry::letters(config, &store, &targets, &metrics, &traces, Arc::clone(clock));
        let routes = registry::routes(config);
        let history = registry::history(config, &store, &metrics, clock);
        let router = Router::new(
            routes,
            targets,
            letters,
            Arc::clone(&metrics),
            tracker.clone(),
            history.clone(),
        );
        let process_bytes = usize::try_from(config.limits.in_flight_bytes.bytes());
        let process_bytes = process_bytes.unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let mut core = Self {
            spool: spool(config, &store, &router, clock),
            history,
            health: health(&router, config),
            process_room: Arc::new(Semaphore::new(process_bytes)),
            process_bytes,
            outlets: Vec::new(),
            intakes: Vec::new(),
            resenders: Vec::new(),
            metrics,
            traces,
            exporter,
            router,
            store,
            tracker,
        };
        for (name, application) in &config.applications {
            core.add(config, name.as_str(), &application.limits);
        }
        // What an application has left behind that is configured no more goes where routes lead now.
        for (name, _) in core.store.recovered().applications.clone() {
            if config.applications.keys().all(|known| known.as_str() != name) {
                core.add(config, &name, &ApplicationLimits::default());
            }
        }
        core
    }

    /// The way in of an application of the configuration.
    pub(super) fn outlet(&self, name: &Name) -> &Outlet {
        let found = self.outlets.iter().find(|(found, _)| found == name.as_str());
        &found.expect("every application of the configuration has one").1
    }

    /// Starts what sends on what waits, until `take_in` ends it, and what looks after connectors
    /// and spool, until `work` does.
    pub(super) fn start(
        &mut self,
        sources: &mut JoinSet<()>,
        take_in: &CancellationToken,
        workers: &mut JoinSet<()>,
        work: &CancellationToken,
    ) {
        for resender in self.resenders.drain(..) {
            sources.spawn(resender.run(take_in.clone()));
        }
        workers.spawn(Arc::clone(&self.spool).write(work.clone()));
        if let Some(history) = &self.history {
            workers.spawn(Arc::clone(history).write(work.clone()));
        }
        if let Some(exporter) = &self.exporter {
            workers.spawn(Arc::clone(exporter).run(work.clone()));
        }
        // A connector that is also the letters' has one prober more, which does no harm: there is
        // one seat for each topic.
        for target in self.router.targets().iter().chain(self.router.letters().targets()) {
            workers.spawn(Arc::clone(target).probe(work.clone()));
        }
        for health in &self.health {
            workers.spawn(Arc::clone(health).watch(Arc::clone(&self.metrics), work.clone()));
        }
    }

    /// Waits for every delivery, then closes connectors and journal.
    pub(super) async fn close(&self) {
        self.tracker.close();
        self.tracker.wait().await;
        self.spool.flush().await;
        if let Some(history) = &self.history {
            history.flush().await;
        }
        for target in self.router.targets() {
            target.close().await;
        }
        if let Some(exporter) = &self.exporter {
            exporter.flush().await;
        }
        self.store.close().await;
    }

    /// Events that are owed an answer and kept nowhere.
    pub(super) fn owed(&self) -> usize {
        self.outlets.iter().map(|(_, outlet)| outlet.owed()).sum()
    }

    /// Adds the outlet of an application and what sends its rows on.
    fn add(&mut self, config: &Config, application: &str, limits: &ApplicationLimits) {
        let duplicates =
            Duplicates::new(config.duplicates.window, config.duplicates.entries_max.get());
        let room = Room::new(
            limits.in_flight.get(),
            u32::try_from(limits.in_flight_bytes.bytes()).unwrap_or(u32::MAX),
        );
        let outlet = Outlet::new(duplicates, Arc::clone(&self.router), self.tracker.clone(), room);
        let intake = self.metrics.intake(application, Mode::callback, &event_types());
        let found =
            self.store.recovered().applications.iter().find(|(name, _)| name == application);
        if let Some((_, rows)) = found {
            info!(application, rows, "events of an earlier run wait in the spool");
            intake.find(*rows);
        }
        self.intakes.push((application.into(), Arc::clone(&intake)));
        self.resenders.push(Resender {
            application: application.into(),
            spool: Arc::clone(&self.spool),
            outlet: outlet.clone(),
            router: Arc::clone(&self.router),
            intake,
            traces: self.traces.clone(),
            process_room: Arc::clone(&self.process_room),
            process_bytes: self.process_bytes,
            first: Arc::new(Semaphore::new((limits.in_flight.get() / 4).max(1))),
        });
        self.outlets.push((application.into(), outlet));
    }
}

/// Traces, if they are configured. That they cannot be sent is no reason not to start.
fn traces(config: &Config, metrics: &Metrics) -> (Traces, Option<Arc<Exporter>>) {
    match config.traces.as_ref().map(|traces| Traces::new(traces, metrics)) {
        None => (Traces::default(), None),
        Some(Ok((traces, exporter))) => (traces, Some(exporter)),
        Some(Err(error)) => {
            warn!(error = %Chain(&error), "there are no traces: the collector cannot be called");
            (Traces::default(), None)
        }
    }
}

/// The spool of every application that is configured or has rows.
fn spool(config: &Config, store: &Store, router: &Router, clock: &Clock) -> Arc<Spool> {
    let configured = config.applications.keys().map(Name::as_str);
    let left = store.recovered().applications.iter().map(|(name, _)| name.as_str());
    let applications: BTreeSet<_> = configured.chain(left).collect();
    let connectors = router.targets().iter().map(|target| target.name().into()).collect();
    Spool::new(store.clone(), Arc::clone(clock), applications, connectors)
}

/// A look at each connector, with the topics that routes lead to there, and at the journal where it
/// takes dead letters, which nothing else waits for.
fn health(router: &Router, config: &Config) -> Vec<Arc<Health>> {
    let routes = router.routes();
    let targets = router.targets().iter().zip(topics(config, routes)).enumerate();
    let look = |(n, (target, topics)): (usize, (&Arc<Target>, Vec<Topic>))| {
        Health::new(Arc::clone(target), topics, routes.waits_for(n))
    };
    let letters = router.letters();
    let is_connector =
        |t: &&Arc<Target>| router.targets().iter().any(|other| Arc::ptr_eq(t, other));
    let journal = letters.targets().filter(|target| !is_connector(target));
    let journal = journal.map(|t| Health::new(Arc::clone(t), vec![letters.topic.clone()], false));
    targets.map(look).chain(journal).collect()
}
