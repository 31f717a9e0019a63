use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Connection, Event};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vodbridge_core::Unavailable;

use crate::Config;
use crate::error::Reason;
use crate::management::Api;
use crate::socket::Socket;
use crate::topology::{self, Found};

/// How long the broker may take for one step that is no publish.
pub(crate) const STEP_WITHIN: Duration = Duration::from_secs(5);

/// How long the closing of a connection on which nothing is under way may take.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);

/// How often the connection's own word is asked for, should its end go by unannounced.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a block is remembered after the connection that saw it was given up: the broker tells
/// a new connection only when that publishes.
const BLOCK_REMEMBERED_FOR: Duration = Duration::from_secs(30);

/// One connection, from its login to its end.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    socket: Arc<Socket>,
    management: Option<Arc<Api>>,
    topology: Mutex<Topology>,
    /// When our queue has been there long enough to be published to.
    rested: watch::Sender<Option<Instant>>,
    /// Why the broker takes nothing at the moment (`connection.blocked`).
    blocked: watch::Sender<Option<String>>,
    /// The same, of the connection before this one.
    blocked_before: StdMutex<Option<(String, Instant)>>,
    /// The largest body that the broker takes, once it has said so.
    body_bytes_max: AtomicUsize,
    lost: CancellationToken,
}

/// What is known of the topology.
#[derive(Debug, Default)]
struct Topology {
    /// As it was when something was to be published last.
    found: Option<Found>,
    /// Whether it has to be looked at again before something is published.
    in_doubt: bool,
    looked: Option<Instant>,
}

// === impl Session ===

impl Session {
    pub(crate) fn new(
        connection: Connection,
        socket: Arc<Socket>,
        management: Option<Arc<Api>>,
        blocked_before: Option<String>,
    ) -> Self {
        let until = Instant::now() + BLOCK_REMEMBERED_FOR;
        Self {
            connection,
            socket,
            management,
            topology: Mutex::default(),
            rested: watch::Sender::default(),
            blocked: watch::Sender::default(),
            blocked_before: StdMutex::new(blocked_before.map(|reason| (reason, until))),
            body_bytes_max: AtomicUsize::new(usize::MAX),
            lost: CancellationToken::new(),
        }
    }

    /// Watches over the connection until it is lost. Run by one task.
    pub(crate) async fn watch(&self) {
        let mut events = pin!(self.connection.events_listener());
        let mut looks = interval(LOOK_EVERY);
        loop {
            let event = tokio::select! {
                biased;
                () = self.lost.cancelled() => break,
                event = events.next() => event,
                _ = looks.tick() => {
                    if self.connection.status().connected() {
                        continue;
                    }
                    None
                }
            };
            match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    warn!(reason, "RabbitMQ has blocked the connection: it takes no publishes");
                    self.blocked.send_replace(Some(reason));
                }
                Some(Event::ConnectionUnblocked) => {
                    info!("RabbitMQ takes publishes again");
                    self.proved_open();
                    self.blocked.send_replace(None);
                }
                Some(Event::Error(_)) if self.connection.status().connected() => {}
                None | Some(Event::Error(_)) => break,
                Some(_) => {}
            }
        }
        self.lost.cancel();
    }

    /// Resolves once the connection is of no more use.
    pub(crate) async fn is_lost(&self) {
        self.lost.cancelled().await;
    }

    /// Gives the connection up: everything that waits for it fails.
    pub(crate) fn give_up(&self) {
        self.socket.cut();
        self.lost.cancel();
    }

    /// Whether the connection stands, as far as is known.
    pub(crate) fn is_up(&self) -> bool {
        !self.lost.is_cancelled() && self.connection.status().connected()
    }

    /// The connection itself.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A channel that confirms.
    ///
    /// # Errors
    ///
    /// Also when that takes too long: the connection is given up then.
    pub(crate) async fn open_channel(&self) -> Result<Channel, Unavailable> {
        let opening = async {
            let channel = self.connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>(channel)
        };
        match timeout(STEP_WITHIN, opening).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(why)) => {
                Err(Unavailable::outage("no channel can be opened to RabbitMQ").caused_by(why))
            }
            Err(_) => {
                self.give_up();
                Err(Unavailable::outage(format!("RabbitMQ opens no channel in {STEP_WITHIN:?}")))
            }
        }
    }

    /// Waits until the broker takes publishes.
    pub(crate) async fn unblocked(&self) {
        let mut blocked = self.blocked.subscribe();
        // The sender lives as long as the session.
        blocked.wait_for(Option::is_none).await.ok();
    }

    /// Why the broker takes nothing at the moment, if so.
    pub(crate) fn blocked(&self) -> Option<String> {
        let now = self.blocked.borrow().clone();
        now.or_else(|| {
            let before = self.blocked_before.lock().unwrap_or_else(PoisonError::into_inner);
            before.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(r, _)| r.clone())
        })
    }

    /// Notes that the broker has answered a publish.
    pub(crate) fn proved_open(&self) {
        self.blocked_before.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What is there of the topology: looked at, or made, unless that is known.
    pub(crate) async fn topology(&self, config: &Config) -> Result<Found, Reason> {
        let mut known = self.topology.lock().await;
        if let Some(found) = &known.found
            && !known.in_doubt
        {
            return Ok(found.clone());
        }
        known.ensure(self, config).await
    }

    /// Makes or looks at everything, whatever is known: what was known may be gone by now.
    pub(crate) async fn provide(&self, config: &Config) -> Result<Found, Reason> {
        self.topology.lock().await.ensure(self, config).await
    }

    /// The same for one who publishes nothing: looked at anew, and nothing is made. The kind of our
    /// queue is what it was when it was made or agreed to last.
    pub(crate) async fn look(&self, config: &Config) -> Result<Found, Reason> {
        // Nobody who publishes waits for it.
        let seen = topology::look(self, config).await;
        let mut known = self.topology.lock().await;
        match seen {
            Ok(seen) => {
                let queue = known.found.as_ref().and_then(|found| found.queue);
                Ok(Found { queue, seen })
            }
            Err(reason) => {
                known.found = None;
                Err(reason)
            }
        }
    }

    /// Notes that our queue was made just now.
    pub(crate) fn let_rest(&self, time: Duration) {
        self.rested.send_replace(Some(Instant::now() + time));
    }

    /// Waits until what was made just now may be published to.
    pub(crate) async fn rested(&self) {
        let rested = *self.rested.borrow();
        if let Some(rested) = rested {
            sleep_until(rested).await;
        }
    }

    /// Looks again with the next publish, unless it was looked at `within` that time.
    pub(crate) async fn doubt_topology(&self, within: Duration) {
        let mut known = self.topology.lock().await;
        if known.looked.is_none_or(|looked| looked.elapsed() >= within) {
            known.in_doubt = true;
        }
    }

    /// The largest body that the broker has said to take, in bytes.
    pub(crate) fn body_bytes_max(&self) -> usize {
        self.body_bytes_max.load(Ordering::Relaxed)
    }

    pub(crate) fn set_body_bytes_max(&self, max: usize) {
        self.body_bytes_max.store(max, Ordering::Relaxed);
    }

    /// What one frame holds, in bytes.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        match self.connection.configuration().frame_max() {
            0 => usize::MAX,
            max => usize::try_from(max).unwrap_or(usize::MAX),
        }
    }

    /// The management API, if there is one to ask.
    pub(crate) fn management(&self) -> Option<&Api> {
        self.management.as_deref()
    }

    /// Says goodbye, if the broker listens, and releases the connection.
    pub(crate) async fn close(&self) {
        let goodbye = self.connection.close(200, "the bridge stops".into());
        match timeout(GOODBYE_WITHIN, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => info!(error = %why, "RabbitMQ was gone before the connection closed"),
            Err(_) => info!("RabbitMQ did not answer the closing of the connection"),
        }
        self.give_up();
    }
}

// === impl Topology ===

impl Topology {
    async fn ensure(&mut self, session: &Session, config: &Config) -> Result<Found, Reason> {
        let found = topology::ensure(session, config).await.inspect_err(|_| self.found = None)?;
        let looked = Some(Instant::now());
        *self = Self { found: Some(found.clone()), in_doubt: false, looked };
        Ok(found)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.give_up();
    }
}
