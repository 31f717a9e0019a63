use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use vodbridge_vod::api::{Action, EventConfig};
use vodbridge_vod::tc3::Credential;

use crate::application::{Application, Issued, Times};
use crate::fault::{Fault, Faults, Schedule};
use crate::ledger::{Ledger, Summary};
use crate::{push, server};

/// How a simulated VOD is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the API listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The applications by their SubAppIds; `None` is the default one of an old account.
    pub applications: Vec<Option<u64>>,
    /// Whom calls may be made for.
    pub credentials: Vec<Credential>,
    /// Where each application's events go at first: mode, URL, switches.
    pub config: EventConfig,
    /// The key that callbacks are signed with.
    pub sign_key: Option<String>,
    /// Calls of one action that are taken in a second; `None`: any number.
    pub calls_per_second: Option<u32>,
    /// The queue's times are divided by this: 10 makes 3 s of 30 s.
    pub time_scale: f64,
    /// Whether an event that comes again has the handle that it had.
    pub same_handles: bool,
    /// Whether the good handles of a call with a bad one are confirmed.
    pub confirm_partly: bool,
}

/// A VOD that runs until it is dropped.
#[derive(Debug)]
pub struct Vod {
    address: SocketAddr,
    inner: Arc<Inner>,
    server: JoinSet<()>,
    /// Dropping it ends them.
    _pushers: JoinSet<()>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    state: Mutex<State>,
    /// Something waits that did not before, or is to go elsewhere.
    pub(crate) arrived: Notify,
    pub(crate) stopping: CancellationToken,
    changed: watch::Sender<()>,
    calls: [AtomicU64; Action::ALL.len()],
    seconds_ahead: AtomicI64,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) applications: HashMap<Option<u64>, Application>,
    pub(crate) ledger: Ledger,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) schedule: Schedule,
    /// Calls that may be made at once, and when that was counted.
    pub(crate) allowance: HashMap<Action, (f64, Instant)>,
}

impl Default for Options {
    /// Pulled events, one application, the credential `AKIDexample` with the key `example`.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            applications: vec![None],
            credentials: vec![Credential {
                secret_id: "AKIDexample".to_owned(),
                secret_key: "example".to_owned(),
                token: None,
            }],
            config: EventConfig {
                mode: Some("PULL".to_owned()),
                notification_url: Some(String::new()),
                upload_media_complete_event_switch: Some("ON".to_owned()),
                delete_media_complete_event_switch: Some("ON".to_owned()),
                persistence_complete_event_switch: Some("ON".to_owned()),
            },
            sign_key: None,
            calls_per_second: Some(100),
            time_scale: 1.0,
            same_handles: false,
            confirm_partly: false,
        }
    }
}

// === impl Vod ===

impl Vod {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let application = |id: &Option<u64>| {
            let mut application = Application::new(options.config.clone());
            application.sign_key.clone_from(&options.sign_key);
            (*id, application)
        };
        let state = State {
            applications: options.applications.iter().map(application).collect(),
            ledger: Ledger::default(),
            credentials: options.credentials.clone(),
            schedule: Schedule::default(),
            allowance: HashMap::new(),
        };
        let inner = Arc::new(Inner {
            options,
            state: Mutex::new(state),
            arrived: Notify::new(),
            stopping: CancellationToken::new(),
            changed: watch::Sender::default(),
            calls: Default::default(),
            seconds_ahead: AtomicI64::new(0),
        });
        let (mut server, mut pushers) = (JoinSet::new(), JoinSet::new());
        server.spawn(server::serve(listener, Arc::clone(&inner)));
        for application in inner.options.applications.clone() {
            pushers.spawn(push::run(application, Arc::clone(&inner)));
        }
        Ok(Self { address, inner, server, _pushers: pushers })
    }

    /// Takes no more calls, and waits at most so long until those under way are answered.
    /// Dropping it instead cuts them off.
    pub async fn stop(mut self, within: Duration) {
        self.inner.stopping.cancel();
        // Who is not answered by then is cut off.
        timeout(within, self.server.join_next()).await.ok();
    }

    /// What a client is pointed at.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets an event happen, by its body as a callback; returns its number in the ledger.
    ///
    /// # Panics
    ///
    /// When there is no such application.
    pub fn issue(&self, application: Option<u64>, body: impl Into<Bytes>) -> u64 {
        let mut state = self.inner.lock();
        let number = state.ledger.issue();
        state.application(application).put(Issued::given(number, body.into()));
        drop(state);
        self.inner.arrived.notify_waiters();
        self.inner.tell();
        number
    }

    /// Lets uploads happen whose bodies are those of [`callback::body`](crate::callback::body).
    ///
    /// # Panics
    ///
    /// When there is no such application.
    pub fn issue_numbered(&self, application: Option<u64>, numbers: Range<u64>) {
        let mut state = self.inner.lock();
        for n in numbers {
            let number = state.ledger.issue();
            state.application(application).put(Issued::numbered(number, n));
        }
        drop(state);
        self.inner.arrived.notify_waiters();
        self.inner.tell();
    }

    /// What became of every event, as it is now.
    pub fn ledger(&self) -> Ledger {
        self.inner.lock().ledger.clone()
    }

    /// The ledger in numbers.
    pub fn summary(&self) -> Summary {
        self.inner.lock().ledger.summary()
    }

    /// Waits until the numbers are as wanted, at most so long.
    ///
    /// # Errors
    ///
    /// The numbers as they are when it took too long.
    pub async fn until(
        &self,
        wanted: impl Fn(&Summary) -> bool,
        within: Duration,
    ) -> Result<Summary, Summary> {
        let mut changes = self.inner.changed.subscribe();
        let waiting = async {
            loop {
                let summary = self.summary();
                if wanted(&summary) {
                    return summary;
                }
                // The sender lives as long as this does.
                changes.changed().await.ok();
            }
        };
        timeout(within, waiting).await.map_err(|_| self.summary())
    }

    /// Calls of one action so far that were let in.
    pub fn calls(&self, action: Action) -> u64 {
        self.inner.calls[action as usize].load(Ordering::Relaxed)
    }

    /// Lets calls go wrong at random from now on; the default lets none.
    pub fn set_faults(&self, faults: Faults) {
        self.inner.lock().schedule.set(faults);
    }

    /// Lets the next call of an action go wrong, behind those that are to already.
    pub fn next(&self, action: Action, fault: Fault) {
        self.inner.lock().schedule.push(action, fault);
    }

    /// From now on calls may be made for these alone.
    pub fn set_credentials(&self, credentials: Vec<Credential>) {
        self.inner.lock().credentials = credentials;
    }

    /// Puts VOD's clock ahead, or back.
    pub fn set_clock_ahead(&self, seconds: i64) {
        self.inner.seconds_ahead.store(seconds, Ordering::Relaxed);
    }

    /// How an application's events are sent, as DescribeEventConfig tells it.
    ///
    /// # Panics
    ///
    /// When there is no such application.
    pub fn config(&self, application: Option<u64>) -> EventConfig {
        self.inner.lock().application(application).config.clone()
    }

    /// Changes how an application's events are sent, at once.
    ///
    /// # Panics
    ///
    /// When there is no such application.
    pub fn set_config(&self, application: Option<u64>, config: EventConfig) {
        self.inner.lock().application(application).config = config;
        self.inner.arrived.notify_waiters();
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger has changed.
    pub(crate) fn tell(&self) {
        self.changed.send_replace(());
    }

    pub(crate) fn count(&self, action: Action) {
        self.calls[action as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// VOD's clock.
    pub(crate) fn now(&self) -> SystemTime {
        let ahead = self.seconds_ahead.load(Ordering::Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        let now = SystemTime::now();
        if ahead >= 0 { now + by } else { now.checked_sub(by).unwrap_or(UNIX_EPOCH) }
    }

    pub(crate) fn times(&self) -> Times {
        Times {
            hidden_for: self.scaled(Duration::from_secs(30)),
            kept_for: self.scaled(Duration::from_secs(4 * 24 * 60 * 60)),
        }
    }

    pub(crate) fn scaled(&self, time: Duration) -> Duration {
        time.div_f64(self.options.time_scale)
    }
}

// === impl State ===

impl State {
    fn application(&mut self, id: Option<u64>) -> &mut Application {
        self.applications.get_mut(&id).expect("an application that was named at the start")
    }
}
