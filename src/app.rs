//! The bridge: builds everything, owns every task, runs, and drains in order.
//!
//! ```text
//! Config --build--> App --run(signals)--> Drained
//!
//! stop:  readiness red -> drain_delay -> sources take in nothing new -> routes settle what they
//!        hold -> connectors close -> journal closes          all of it inside `grace`
//! ```

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};
use vodbridge_core::Topic;
use vodbridge_journal::{OpenError, Store};

use crate::admin::{Admin, View};
use crate::config::{Application, Config, Data, Name};
use crate::duplicates::Duplicates;
use crate::health::Health;
use crate::http::{self, BindError, Listener, Tls, TlsError, body};
use crate::ingest::callback::{Answers, Callbacks, Clock, Endpoint, event_types};
use crate::normalize::{DataForm, Normalizer};
use crate::outlet::{Outlet, Room};
use crate::registry::{self, Built};
use crate::route::{Router, Target};
use crate::telemetry::metrics::{Metrics, Mode};

/// Connections to the admin port at a time.
const ADMIN_CONNECTIONS_MAX: usize = 64;

/// A bridge whose ports are bound and which does nothing yet.
#[derive(Debug)]
pub struct App {
    callbacks: Option<(Listener, Callbacks)>,
    admin: (Listener, Admin),
    router: Arc<Router>,
    store: Store,
    tracker: TaskTracker,
    drain_delay: Duration,
    grace: Duration,
}

/// Why no bridge could be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The journal cannot be used.
    #[error("the journal cannot be opened")]
    Journal(#[from] OpenError),
    /// A port cannot be bound.
    #[error("a port cannot be opened")]
    Bind(#[from] BindError),
    /// The listener's certificate cannot be used.
    #[error("http.tls cannot be used")]
    Tls(#[from] TlsError),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Events that were owed an answer at the end and are kept nowhere.
    pub owed: usize,
}

// === impl App ===

impl App {
    /// Opens the journal, builds the connectors, binds the ports.
    ///
    /// # Errors
    ///
    /// See [`BuildError`]. A broker that is away is none: it may come.
    pub async fn build(config: &Config, clock: Clock) -> Result<Self, BuildError> {
        let store = Store::open(registry::journal(config))?;
        let connectors = registry::connectors(config, &store);
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
        let metrics = Arc::new(Metrics::new());
        let tracker = TaskTracker::new();
        let targets: Vec<_> = connectors
            .into_iter()
            .map(|Built { name, connector, publish_timeout }| {
                let publishing = metrics.publishing(name.as_str());
                Target::new(name.as_str(), connector, publish_timeout, publishing)
            })
            .collect();
        let letters = registry::letters(config, &store, &targets, &metrics);
        let routes = registry::routes(config);
        let router = Router::new(routes, targets, letters, Arc::clone(&metrics), tracker.clone());

        let process_bytes = usize::try_from(config.limits.in_flight_bytes.bytes());
        let process_bytes = process_bytes.unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let process_room = Arc::new(Semaphore::new(process_bytes));
        let mut endpoints = Vec::new();
        let mut outlets = Vec::new();
        for (name, application) in &config.applications {
            let duplicates =
                Duplicates::new(config.duplicates.window, config.duplicates.entries_max.get());
            let room = Room::new(
                application.limits.in_flight.get(),
                u32::try_from(application.limits.in_flight_bytes.bytes()).unwrap_or(u32::MAX),
            );
            let outlet = Outlet::new(duplicates, Arc::clone(&router), tracker.clone(), room);
            outlets.push((name.to_string(), outlet.clone()));
            let Some(callback) = &application.callback else { continue };
            let endpoint = Endpoint {
                tokens: callback.token.clone(),
                sign_keys: callback.sign_key.clone(),
                sign_window: callback.sign_window,
                answer_within: callback.answer_within,
                body: body::Limits {
                    bytes_max: u32::try_from(callback.body_max.bytes()).unwrap_or(u32::MAX),
                    timeout: config.http.body_timeout,
                    room_timeout: callback.answer_within,
                    room: Arc::clone(&process_room),
                },
                normalizer: normalizer(config, name, application),
                outlet,
                intake: metrics.intake(name.as_str(), Mode::callback, &event_types()),
                answers: Answers::new(&metrics, name.as_str()),
                clock: Arc::clone(&clock),
            };
            endpoints.push((callback.path.clone(), endpoint));
        }

        let callbacks = if endpoints.is_empty() {
            None
        } else {
            let tls = config.http.tls.as_ref();
            let tls = tls.map(|t| Tls::new(&t.cert_file, &t.key_file)).transpose()?;
            let limits = http::Limits {
                connections_max: config.limits.connections.get(),
                header_timeout: config.http.header_timeout,
                idle_timeout: config.http.idle_timeout,
            };
            let listener = Listener::bind(config.http.listen, tls, limits).await?;
            Some((listener, Callbacks::new(endpoints)))
        };
        let limits = http::Limits {
            connections_max: ADMIN_CONNECTIONS_MAX,
            header_timeout: config.http.header_timeout,
            idle_timeout: config.http.idle_timeout,
        };
        let admin_listener = Listener::bind(config.admin.listen, None, limits).await?;
        let health = health(&router, config);
        let draining = AtomicBool::new(false);
        let view = View { metrics, health, outlets, store: store.clone(), draining };
        Ok(Self {
            callbacks,
            admin: (admin_listener, Admin(Arc::new(view))),
            router,
            store,
            tracker,
            drain_delay: config.drain_delay,
            grace: config.grace,
        })
    }

    /// Where callbacks come in, if any do.
    pub fn callback_address(&self) -> Option<SocketAddr> {
        self.callbacks.as_ref().map(|(listener, _)| listener.address())
    }

    /// Where the operator's port is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.0.address()
    }

    /// Runs until the first signal, then drains; a second signal, or the end of `grace`, ends it
    /// with whatever is owed.
    pub async fn run(self, signals: impl Stream<Item = ()>) -> Drained {
        let Self { callbacks, admin: (admin_listener, admin), router, store, tracker, .. } = self;
        let view = Arc::clone(&admin.0);
        let (take_in, work) = (CancellationToken::new(), CancellationToken::new());
        let mut sources = JoinSet::new();
        let mut workers = JoinSet::new();
        if let Some((listener, callbacks)) = callbacks {
            info!(address = %listener.address(), "callbacks are taken in");
            sources.spawn(listener.serve(callbacks, take_in.clone()));
        }
        info!(address = %admin_listener.address(), "/livez, /readyz and /metrics are served");
        workers.spawn(admin_listener.serve(admin, work.clone()));
        // A connector that is also the letters' has one prober more, which does no harm: there is
        // one seat for each topic.
        for target in router.targets().iter().chain(router.letters().targets()) {
            workers.spawn(Arc::clone(target).probe(work.clone()));
        }
        for health in &view.health {
            workers.spawn(Arc::clone(health).watch(Arc::clone(&view.metrics), work.clone()));
        }

        let mut signals = pin!(signals);
        signals.next().await;
        view.draining.store(true, Ordering::Relaxed);
        info!(grace = %humantime::format_duration(self.grace), "draining");
        let drain = async {
            sleep(self.drain_delay).await;
            take_in.cancel();
            join(&mut sources).await;
            tracker.close();
            tracker.wait().await;
            for target in router.targets() {
                target.connector().close().await;
            }
            store.close().await;
        };
        tokio::select! {
            biased;
            ended = timeout(self.grace, drain) => if ended.is_err() {
                warn!("grace is over");
            },
            () = second(signals) => warn!("a second signal"),
        }
        work.cancel();
        let owed = view.outlets.iter().map(|(_, outlet)| outlet.in_flight().0).sum();
        Drained { owed }
    }
}

/// A look at each connector, with the topics that routes lead to there.
fn health(router: &Router, config: &Config) -> Vec<Arc<Health>> {
    let examples = config
        .applications
        .iter()
        .flat_map(|(name, application)| normalizer(config, name, application).examples());
    let routes = router.routes();
    let topics = routes.topics(router.targets().len(), examples);
    let targets = router.targets().iter().zip(topics).enumerate();
    let look = |(n, (target, topics)): (usize, (&Arc<Target>, Vec<Topic>))| {
        Health::new(Arc::clone(target), topics, routes.waits_for(n))
    };
    targets.map(look).collect()
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
