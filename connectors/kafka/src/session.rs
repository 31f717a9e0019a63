//! Which producer publishes at the moment, and when another takes its place.

use std::borrow::Cow;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode as Code;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use vodbridge_core::{BoxError, Cause, ClientStats, Secret, Unavailable};

use crate::context::Turn;
use crate::error::{Repair, Site, of_topic};
use crate::limits::Limits;
use crate::producer::{Clients, Settings};
use crate::properties::{self, Batches};
use crate::token::Tokens;
use crate::{Config, Idempotence, Sasl};

/// How often what a producer was made with is looked at while no broker lets it in.
const READ_KEYS_EVERY: Duration = Duration::from_secs(1);

/// The waits between producers that end soon.
const REBUILD_AFTER_MIN: Duration = Duration::from_millis(100);
const REBUILD_AFTER_MAX: Duration = Duration::from_secs(5);

/// A producer that lived longer than this ended by chance.
const LIVED_LONG: Duration = Duration::from_secs(30);

/// The producer, made anew whenever it is of no use any more.
#[derive(Debug)]
pub(crate) struct Session {
    config: Arc<Config>,
    limits: Limits,
    pub(crate) site: Site,
    base: ClientConfig,
    tokens: Option<Tokens>,
    is_idempotent: AtomicBool,
    state: watch::Sender<State>,
    tasks: TaskTracker,
}

#[derive(Clone, Debug)]
enum State {
    /// A producer is being made.
    Starting,
    Up(Arc<Clients>),
    /// No producer can be made at the moment.
    Down(Obstacle),
}

/// An [`Unavailable`] that can be told to many.
#[derive(Clone, Debug)]
struct Obstacle {
    cause: Cause,
    message: Arc<str>,
    advice: Option<Arc<str>>,
}

/// What a producer was made with and cannot exchange: librdkafka reads it once.
#[derive(PartialEq, Eq)]
struct Keys {
    secret: Option<Bytes>,
    files: Vec<Option<Stamp>>,
}

/// What tells a changed file: when it was written, its size and its inode.
type Stamp = (SystemTime, u64, u64);

/// Why a producer was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopped,
    Fatal,
    Late,
    KeysChanged,
}

// === impl Session ===

impl Session {
    pub(crate) fn new(
        config: Arc<Config>,
        limits: Limits,
        tokens: Option<Tokens>,
        tasks: TaskTracker,
    ) -> Result<Self, BoxError> {
        let base = properties::client(&config)?;
        let site = Site {
            bootstrap: config.brokers.first().cloned().unwrap_or_default(),
            principal: match &config.sasl {
                None => "ANONYMOUS".to_owned(),
                Some(
                    Sasl::Plain { user, .. }
                    | Sasl::ScramSha256 { user, .. }
                    | Sasl::ScramSha512 { user, .. },
                ) => user.clone(),
                Some(Sasl::OAuthBearer(endpoint)) => endpoint.client_id.clone(),
            },
        };
        let is_idempotent = AtomicBool::new(config.idempotence != Idempotence::Off);
        let state = watch::Sender::new(State::Starting);
        let session = Self { config, limits, site, base, tokens, is_idempotent, state, tasks };
        // What can be known to be wrong without a broker is known now.
        for batches in [Batches::Many, Batches::Single] {
            session.producer_settings(session.base.clone(), batches)?;
        }
        Ok(session)
    }

    /// The clients to use now.
    ///
    /// # Errors
    ///
    /// When none can be made.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn clients(&self) -> Result<Arc<Clients>, Unavailable> {
        // Cloning a receiver for every publish would cost more than this.
        match &*self.state.borrow() {
            State::Up(clients) => return Ok(Arc::clone(clients)),
            State::Down(obstacle) => return Err(obstacle.to_unavailable()),
            State::Starting => {}
        }
        let mut state = self.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Starting)).await;
        match settled.as_deref() {
            Ok(State::Up(clients)) => Ok(Arc::clone(clients)),
            Ok(State::Down(obstacle)) => Err(obstacle.to_unavailable()),
            Ok(State::Starting) | Err(_) => Err(Unavailable::outage("no producer is to be had")),
        }
    }

    /// Hands these clients out no more. Whoever calls it has made sure that they are replaced.
    pub(crate) fn give_up(&self, clients: &Arc<Clients>) {
        self.state.send_if_modified(|state| {
            let is_theirs = matches!(state, State::Up(up) if Arc::ptr_eq(up, clients));
            if is_theirs {
                *state = State::Starting;
            }
            is_theirs
        });
    }

    /// Why [`clients`](Self::clients) keeps one waiting.
    pub(crate) fn is_starting(&self) -> Unavailable {
        match self.tokens.as_ref().and_then(Tokens::obstacle) {
            Some(why) => Unavailable::outage(why.to_string())
                .advise("look at sasl.token_url, the client's id and its secret"),
            None => Unavailable::outage("the Kafka client is being made anew"),
        }
    }

    pub(crate) fn stats(&self) -> ClientStats {
        match &*self.state.borrow() {
            State::Up(clients) => clients.signals.stats(),
            State::Starting | State::Down(_) => ClientStats::default(),
        }
    }

    /// Keeps a producer, until told to stop: then everything of it is settled, and it is gone.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut wait = REBUILD_AFTER_MIN;
        loop {
            let Some(made) = stop.run_until_cancelled(self.make()).await else { return };
            let (clients, keys) = match made {
                Ok(made) => made,
                Err(obstacle) => {
                    self.state.send_replace(State::Down(obstacle));
                    if stop.run_until_cancelled(sleep(REBUILD_AFTER_MAX)).await.is_none() {
                        return;
                    }
                    continue;
                }
            };
            let begun = Instant::now();
            self.state.send_replace(State::Up(Arc::clone(&clients)));
            let end = self.watch(&clients, keys, &stop).await;
            let obstacle = self.account(end, &clients);
            self.state.send_replace(obstacle.clone().map_or(State::Starting, State::Down));
            clients.purge().await;
            drop(clients);
            if end == End::Stopped {
                return;
            }
            wait = if begun.elapsed() > LIVED_LONG { REBUILD_AFTER_MIN } else { wait };
            let pause = if obstacle.is_some() { REBUILD_AFTER_MAX } else { wait };
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            wait = (wait * 2).min(REBUILD_AFTER_MAX);
        }
    }

    async fn make(&self) -> Result<(Arc<Clients>, Keys), Obstacle> {
        if let Some(tokens) = &self.tokens {
            // Without one the client would fail to log in, and wait ten seconds before it asked.
            tokens.available().await;
        }
        let keys = self.read_keys().await?;
        let mut base = self.base.clone();
        if let Some(secret) = &keys.secret {
            let Ok(secret) = std::str::from_utf8(secret) else {
                return Err(Obstacle::new("the password is no valid UTF-8"));
            };
            base.set("sasl.password", secret);
        }
        let settings = |base: ClientConfig| -> Result<Settings, BoxError> {
            Ok(Settings {
                producer: self.producer_settings(base.clone(), Batches::Many)?,
                single: self.producer_settings(base.clone(), Batches::Single)?,
                admin: self.tokens.is_none().then_some(base),
                tokens: self.tokens.clone(),
            })
        };
        // Its text might have the secret in it.
        let settings = settings(base)
            .map_err(|_| Obstacle::new("the Kafka client does not take the password"))?;
        let (tasks, runtime) = (self.tasks.clone(), Handle::current());
        let made = self.tasks.spawn_blocking(move || Clients::start(settings, tasks, runtime));
        match made.await {
            Ok(Ok(clients)) => Ok((Arc::new(clients), keys)),
            Ok(Err(error)) => {
                let message = format!("the Kafka client cannot be made: {error}");
                warn!(error = %error, "the Kafka client cannot be made");
                Err(Obstacle::new(message).advise("look at the files named under tls"))
            }
            Err(_) => Err(Obstacle::new("the Kafka client cannot be made")),
        }
    }

    fn producer_settings(
        &self,
        base: ClientConfig,
        batches: Batches,
    ) -> Result<ClientConfig, BoxError> {
        let is_idempotent = self.is_idempotent.load(Ordering::Relaxed);
        properties::producer(base, &self.config, self.limits, is_idempotent, batches)
    }

    /// Waits until the producer is of no use any more.
    async fn watch(&self, clients: &Clients, keys: Keys, stop: &CancellationToken) -> End {
        let mut turns = clients.signals.subscribe();
        loop {
            let Turn { is_fatal, is_late, is_locked_out } = *turns.borrow_and_update();
            if is_fatal {
                return End::Fatal;
            }
            if is_late {
                return End::Late;
            }
            // While the brokers let nobody in, it is looked whether there is something new to show.
            let next = if is_locked_out && keys.are_some() {
                READ_KEYS_EVERY
            } else {
                Duration::from_secs(3600)
            };
            let turned = stop.run_until_cancelled(timeout(next, turns.changed())).await;
            if turned.is_none() {
                return End::Stopped;
            }
            let is_over = matches!(turned, Some(Err(_)));
            if is_over && is_locked_out && self.read_keys().await.is_ok_and(|now| now != keys) {
                return End::KeysChanged;
            }
        }
    }

    /// Says why a producer ended; what keeps another one from being made is returned.
    fn account(&self, end: End, clients: &Clients) -> Option<Obstacle> {
        match end {
            End::Stopped => None,
            End::Late => {
                warn!("the Kafka client settled a record too late, and is made anew");
                None
            }
            End::KeysChanged => {
                info!("the password or the certificates for Kafka have changed; connecting anew");
                None
            }
            End::Fatal => {
                let (code, reason) =
                    clients.fatal_error().unwrap_or((Code::Fatal, "unknown".to_owned()));
                if Repair::of(code) != Repair::PermitIdempotence {
                    warn!(reason, "the Kafka client cannot go on, and is made anew");
                    return None;
                }
                if self.config.idempotence == Idempotence::Auto {
                    self.is_idempotent.store(false, Ordering::Relaxed);
                    let advice = of_topic(code, "", &self.site).advice;
                    warn!(
                        reason,
                        advice = advice.as_deref(),
                        "the cluster permits no idempotent producer: going on without, so that a \
                         retry may write an event twice or out of order"
                    );
                    return None;
                }
                let why = of_topic(code, "", &self.site);
                Some(Obstacle {
                    cause: why.cause,
                    message: format!("{} ({reason})", why.message).into(),
                    advice: why.advice.map(Cow::into_owned).map(Into::into),
                })
            }
        }
    }

    async fn read_keys(&self) -> Result<Keys, Obstacle> {
        let secret: Option<Secret> = match &self.config.sasl {
            None | Some(Sasl::OAuthBearer(_)) => None,
            Some(
                Sasl::Plain { password, .. }
                | Sasl::ScramSha256 { password, .. }
                | Sasl::ScramSha512 { password, .. },
            ) => Some(password.clone()),
        };
        let tls = self.config.tls.clone().unwrap_or_default();
        let read = move || {
            // Taken before anything is read: what changes in between is seen at the next look.
            let identity = tls.identity.iter().flat_map(|own| [&own.cert_file, &own.key_file]);
            let files = tls.ca_file.iter().chain(identity).map(|file| stamp(file)).collect();
            Ok::<_, BoxError>(Keys { secret: secret.map(|s| s.read()).transpose()?, files })
        };
        match self.tasks.spawn_blocking(read).await {
            Ok(Ok(keys)) => Ok(keys),
            Ok(Err(error)) => {
                let message = format!("the password cannot be read: {error}");
                Err(Obstacle::new(message).advise("look at sasl.password"))
            }
            Err(_) => Err(Obstacle::new("the password cannot be read")),
        }
    }
}

// === impl Keys ===

impl Keys {
    fn are_some(&self) -> bool {
        self.secret.is_some() || !self.files.is_empty()
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let data = fs::metadata(file).ok()?;
    Some((data.modified().ok()?, data.len(), data.ino()))
}

// === impl Obstacle ===

impl Obstacle {
    fn new(message: impl Into<Arc<str>>) -> Self {
        Self { cause: Cause::Outage, message: message.into(), advice: None }
    }

    fn advise(mut self, advice: impl Into<Arc<str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    fn to_unavailable(&self) -> Unavailable {
        let message = self.message.to_string();
        let advice = self.advice.as_ref().map(|advice| advice.to_string().into());
        Unavailable { cause: self.cause, message: message.into(), advice, source: None }
    }
}
