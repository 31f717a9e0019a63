//! The bridge: builds everything, owns every task, runs, and drains in order.
//!
//! ```text
//! Config --build--> App --run(signals)--> Drained
//!
//! stop at a signal, or when a task has ended that nobody told to:
//!        readiness red, answers close their connections -> drain_delay -> sources take in nothing
//!        new -> routes settle what they hold -> connectors close -> journal closes
//!                                                            all of it inside `grace`
//! ```

mod core;
mod drain;
mod sources;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use vodbridge_core::Topic;
use vodbridge_journal::{OpenError, Store, dies_with_its_container};

use self::core::Core;
use self::sources::Sources;
use crate::admin::{Admin, Desk, View};
use crate::certificates::{self, CertificateError};
use crate::config::{Application, Config, Data, Name, is_in_pod};
use crate::http::{self, BindError, Ending, Listener, TlsError};
use crate::ingest::callback::Clock;
use crate::normalize::{DataForm, Normalizer};
use crate::registry::{self, Built, ConnectorError};
use crate::route::Routes;
use crate::vod::VodError;

pub use drain::Drain;

/// Connections to the admin port at a time.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// A bridge whose ports are bound and which does nothing yet.
#[derive(Debug)]
pub struct App {
    core: Core,
    sources: Sources,
    admin: (Listener, Admin),
    drain_delay: Duration,
    grace: Duration,
}

/// Why no bridge could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The journal cannot be used.
    #[error("the journal cannot be opened")]
    Journal(#[from] OpenError),
    /// What is to outlive the pod would not.
    #[error(
        "the journal in {0:?} is gone with this pod, and dead letters or a required connector lie \
         there; mount a volume at journal.path, or name a broker in dead_letter.to and in routes"
    )]
    Volatile(PathBuf),
    /// A connector cannot be built as it is configured.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// VOD's API cannot be called as it is configured.
    #[error(transparent)]
    Vod(#[from] VodError),
    /// A port cannot be bound.
    #[error(
        "{key} cannot be opened; end what listens there (another vodbridge?), or set {key} \
         ({variable}) to another address"
    )]
    Bind {
        /// Of the configuration.
        key: &'static str,
        /// What sets it in the environment.
        variable: &'static str,
        /// Which address, and what the system said.
        source: BindError,
    },
    /// The listener's certificate cannot be used.
    #[error("http.tls cannot be used")]
    Certificate(#[from] CertificateError),
    /// The listener cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl BuildError {
    fn bind(key: &'static str, variable: &'static str) -> impl FnOnce(BindError) -> Self {
        move |source| Self::Bind { key, variable, source }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Events that were owed an answer at the end and are kept nowhere; what was pulled is still
    /// in VOD's queue.
    pub owed: usize,
    /// A task had ended that nobody told to, and that was why.
    pub failed: bool,
}

// === impl App ===

impl App {
    /// Opens the journal, builds the connectors, binds the ports.
    ///
    /// # Errors
    ///
    /// See [`BuildError`]. A broker that is away is none: it may come.
    pub async fn build(config: &Config, clock: Clock) -> Result<Self, BuildError> {
        let store = open(config)?;
        let connectors = registry::connectors(config, &store)?;
        Self::with_connectors(config, store, connectors, clock).await
    }

    /// As [`build`](Self::build), with connectors of the caller's: those of the configuration, in
    /// the order of their names.
    ///
    /// # Errors
    ///
    /// When a port cannot be bound.
    pub async fn with_connectors(
        config: &Config,
        store: Store,
        connectors: Vec<Built>,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let core = Core::build(config, store, connectors, &clock);
        let sources = Sources::build(config, &core, &clock).await?;
        let limits = http::Limits {
            connections_max: ADMIN_CONNECTIONS_MAX,
            header_timeout: config.http.header_timeout,
            idle_timeout: config.http.idle_timeout,
        };
        let admin_listener = Listener::bind(config.admin.listen, None, limits)
            .await
            .map_err(BuildError::bind("admin.listen", "VODBRIDGE__ADMIN__LISTEN"))?;
        let desk = Desk::new(config, &core.store, core.router.targets(), &core.tracker);
        let view = View {
            metrics: Arc::clone(&core.metrics),
            health: core.health.clone(),
            outlets: core.outlets.clone(),
            pullers: sources.pullers.clone(),
            certificates: certificates::of_connectors(config)
                .into_iter()
                .chain(sources.certificate.clone())
                .collect(),
            takes_callbacks: sources.callbacks.is_some(),
            keeps_callbacks: sources.keeps_callbacks,
            spool: Arc::clone(&core.spool),
            clock,
            was_ready: AtomicBool::new(false),
            store: core.store.clone(),
            draining: AtomicBool::new(false),
            intakes: core.intakes.clone(),
            desk,
        };
        Ok(Self {
            core,
            sources,
            admin: (admin_listener, Admin(Arc::new(view))),
            drain_delay: config.drain_delay,
            grace: config.grace,
        })
    }

    /// Where callbacks come in, if any do.
    pub fn callback_address(&self) -> Option<SocketAddr> {
        self.sources.callbacks.as_ref().map(|(listener, _)| listener.address())
    }

    /// Where the operator's port is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.0.address()
    }

    /// Runs until the first signal, then drains; a second signal, or the end of `grace`, ends it
    /// with whatever is owed. A task that ends by itself is as good as a signal: without it the
    /// bridge would go on as if all were well.
    pub async fn run(self, signals: impl Stream<Item = ()>) -> Drained {
        let Self { mut core, sources: Sources { callbacks, pullers, .. }, .. } = self;
        let (admin_listener, admin) = self.admin;
        let view = Arc::clone(&admin.0);
        let (take_in, work) = (CancellationToken::new(), CancellationToken::new());
        let leave = CancellationToken::new();
        let mut sources = JoinSet::new();
        let mut workers = JoinSet::new();
        if let Some((listener, callbacks)) = callbacks {
            info!(address = %listener.address(), "callbacks are taken in");
            let ending = Ending { leave: leave.clone(), stop: take_in.clone() };
            sources.spawn(listener.serve(callbacks, ending));
        }
        for puller in pullers {
            sources.spawn(puller.run(take_in.clone()));
        }
        info!(address = %admin_listener.address(), "/livez, /readyz, /metrics and the page are served");
        let ending = Ending { leave: leave.clone(), stop: work.clone() };
        workers.spawn(admin_listener.serve(admin, ending));
        core.start(&mut sources, &take_in, &mut workers, &work);

        let mut signals = pin!(signals);
        let failed = until_stop(&mut signals, &mut sources, &mut workers).await;
        view.draining.store(true, Ordering::Relaxed);
        leave.cancel();
        info!(grace = %humantime::format_duration(self.grace), "draining");
        let drain = async {
            sleep(self.drain_delay).await;
            take_in.cancel();
            let within = self.grace.saturating_sub(self.drain_delay) * 5 / 6;
            if timeout(within, join(&mut sources)).await.is_err() {
                // A caller who sends his body byte by byte must not take the time that is needed to
                // write and close what is settled. Nobody is told that this one has come.
                warn!("what has come only in part is dropped");
                sources.shutdown().await;
            }
            core.close().await;
        };
        tokio::select! {
            biased;
            ended = timeout(self.grace, drain) => if ended.is_err() {
                warn!("grace is over");
            },
            () = second(signals) => warn!("a second signal"),
        }
        work.cancel();
        Drained { owed: core.owed(), failed }
    }
}

/// Opens the journal.
///
/// # Errors
///
/// When it cannot be opened, or is to outlive the pod and will not.
fn open(config: &Config) -> Result<Store, BuildError> {
    let store = Store::open(registry::journal(config))?;
    if is_in_pod() && dies_with_its_container(store.path()) {
        if registry::stores_for_good(config) {
            return Err(BuildError::Volatile(store.path().to_owned()));
        }
        warn!(path = %store.path().display(), "the journal is gone with this pod");
    }
    Ok(store)
}

/// For each connector, in the order of their names, the topics that events of the known types
/// have there.
pub fn topics(config: &Config, routes: &Routes) -> Vec<Vec<Topic>> {
    let examples = config
        .applications
        .iter()
        .flat_map(|(name, application)| normalizer(config, name, application).examples());
    routes.topics(config.connectors.len(), examples)
}

/// How the messages of an application become events.
pub fn normalizer(config: &Config, name: &Name, application: &Application) -> Normalizer {
    let data = match config.cloudevents.data {
        Data::Payload => DataForm::Payload,
        Data::Content => DataForm::Content,
    };
    let sub_app_id = application.sub_app_id.map(NonZeroU64::get);
    Normalizer::new(name.as_str(), sub_app_id, &config.cloudevents.type_prefix, data)
}

/// Waits for a signal, or for the end of a task that nobody told to end; true if it was that.
async fn until_stop(
    mut signals: impl Stream<Item = ()> + Unpin,
    sources: &mut JoinSet<()>,
    workers: &mut JoinSet<()>,
) -> bool {
    let ended = tokio::select! {
        biased;
        _ = signals.next() => return false,
        ended = next_end(sources) => ended,
        ended = next_end(workers) => ended,
    };
    match ended {
        Ok(()) => error!("a task has ended that nobody told to: the bridge stops"),
        Err(error) => error!(%error, "a task has ended badly: the bridge stops"),
    }
    true
}

/// How the next task ends; never where there is none. Cancel safe.
async fn next_end(tasks: &mut JoinSet<()>) -> Result<(), JoinError> {
    match tasks.join_next().await {
        Some(ended) => ended,
        None => std::future::pending().await,
    }
}

/// Resolves at a signal; never when there can be none any more.
async fn second(mut signals: impl Stream<Item = ()> + Unpin) {
    if signals.next().await.is_none() {
        std::future::pending().await
    }
}

/// Waits for tasks to end; a panic of one is seen.
async fn join(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            error!(%error, "a task ended badly");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::stream;
    use vodbridge_core::Timestamp;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn tasks(task: impl Future<Output = ()> + Send + 'static) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(pending());
        tasks.spawn(task);
        tasks
    }

    async fn panics() {
        std::panic::resume_unwind(Box::new("scripted"))
    }

    #[tokio::test]
    async fn a_signal_stops_it_and_so_does_a_task_that_ends() {
        let cases = [
            (tasks(pending()), tasks(pending()), None),
            (tasks(ready(())), tasks(pending()), Some(true)),
            (tasks(panics()), tasks(pending()), Some(true)),
            (tasks(pending()), tasks(ready(())), Some(true)),
            (tasks(pending()), tasks(panics()), Some(true)),
            (JoinSet::new(), JoinSet::new(), None),
        ];
        for (n, (mut sources, mut workers, expected)) in cases.into_iter().enumerate() {
            let mut stop = pin!(until_stop(stream::pending(), &mut sources, &mut workers));
            let within = if expected.is_some() { PATIENCE } else { Duration::from_millis(20) };
            assert_eq!(timeout(within, &mut stop).await.ok(), expected, "case {n}");
        }
        let (mut sources, mut workers) = (tasks(pending()), tasks(pending()));
        let signals = stream::iter([()]);
        assert!(!until_stop(signals, &mut sources, &mut workers).await);
    }

    #[tokio::test]
    async fn a_bridge_without_one_of_its_tasks_ends_in_order_and_says_so() {
        let home = tempfile::tempdir().unwrap();
        let listen = "{ listen: \"127.0.0.1:0\" }";
        let journal = home.path().join("journal");
        let yaml = format!("http: {listen}\nadmin: {listen}\njournal: {{ path: {journal:?} }}\n");
        let config = Config::from_yaml(&yaml).unwrap();
        let clock = Arc::new(|| Timestamp::from_millis(1_767_226_200_123));
        let mut app = App::build(&config, clock).await.unwrap();
        // It has no place in the spool, and panics when it looks for it.
        app.core.resenders[0].application = "nobody".into();
        let ended = timeout(PATIENCE, app.run(stream::pending())).await;
        assert_eq!(ended, Ok(Drained { owed: 0, failed: true }));
    }
}
