use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lapin::types::ShortString;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use vodbridge_core::{BoxError, Durability, Event, PublishError, Topic, Unavailable};

use crate::binding::{Message, message};
use crate::endpoint::Endpoint;
use crate::management::Api;
use crate::queue::{Publish, Queue};
use crate::session::Session;
use crate::state::{Known, State, known};
use crate::supervisor::{Supervisor, closed};
use crate::{Config, durability};

/// RabbitMQ as a target of routes.
///
/// Behind it stand one connection, kept up by one task, and a few channels with a task each. A
/// publish waits in one queue for an idle channel, goes out with whatever else waits there, and is
/// answered when the broker has confirmed all of that batch.
pub struct Connector {
    config: Arc<Config>,
    /// `None` once it is closed.
    publishes: Mutex<Option<mpsc::Sender<Publish>>>,
    state: watch::Receiver<State>,
    in_flight: Arc<Semaphore>,
    in_flight_bytes: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
    abandon: CancellationToken,
    /// Of `stop` and `abandon`.
    _ends_on_drop: [DropGuard; 2],
}

// === impl Connector ===

impl Connector {
    /// Begins to connect. Fails only over what no broker could repair; one that is away is waited
    /// for.
    ///
    /// Called within a Tokio runtime, with a rustls crypto provider installed.
    ///
    /// # Errors
    ///
    /// An address that is none, or an exchange or queue with a name that AMQP cannot carry.
    pub fn new(config: Config) -> Result<Self, BoxError> {
        let endpoints: Vec<_> =
            config.urls.iter().map(|url| Endpoint::parse(url)).collect::<Result<_, _>>()?;
        let Some(first) = endpoints.first() else {
            return Err("no RabbitMQ address is given".into());
        };
        let queue_name = config.queue.as_ref().map(|queue| &queue.name);
        for name in [Some(&config.exchange), queue_name].into_iter().flatten() {
            ShortString::try_new(name.as_str())?;
        }
        let management = match &config.management {
            Some(management) => Some(Arc::new(Api::new(management, &config, first.vhost())?)),
            None => None,
        };
        let in_flight = config.in_flight.max(1) as usize;
        let (publishes, queue) = Queue::new(in_flight);
        let (state, known) = watch::channel(State::Connecting);
        let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
        let in_flight_bytes = (config.in_flight_bytes.max(1) as usize).min(Semaphore::MAX_PERMITS);
        let config = Arc::new(config);
        let tasks = TaskTracker::new();
        let supervisor = Supervisor {
            config: Arc::clone(&config),
            endpoints,
            queue,
            management,
            state,
            stop: stop.clone(),
            abandon: abandon.clone(),
        };
        tasks.spawn(supervisor.run());
        tasks.close();
        Ok(Self {
            config,
            publishes: Mutex::new(Some(publishes)),
            state: known,
            in_flight: Arc::new(Semaphore::new(in_flight)),
            in_flight_bytes: Arc::new(Semaphore::new(in_flight_bytes)),
            tasks,
            _ends_on_drop: [stop.clone(), abandon.clone()].map(CancellationToken::drop_guard),
            stop,
            abandon,
        })
    }

    fn publishes(&self) -> Result<mpsc::Sender<Publish>, Unavailable> {
        let publishes = self.publishes.lock().unwrap_or_else(PoisonError::into_inner);
        publishes.clone().ok_or_else(closed)
    }

    /// The connection, once it is known whether there is one.
    async fn session(&self) -> Result<Arc<Session>, Unavailable> {
        match known(&mut self.state.clone()).await {
            Known::Up(session) => Ok(session),
            Known::Down(reason) => Err(reason.tell()),
            Known::Closed => Err(closed()),
        }
    }

    /// Puts a message into the queue.
    async fn enqueue(
        &self,
        message: Message,
        topic: &Topic,
        limits: Limits,
    ) -> Result<oneshot::Receiver<Result<(), PublishError>>, Unavailable> {
        // What cannot go must not wait for room behind what cannot go either.
        self.session().await?;
        let bytes = u32::try_from(message.body.len()).unwrap_or(u32::MAX);
        let bytes = bytes.min(self.config.in_flight_bytes.max(1));
        let room = async {
            let events = Arc::clone(&self.in_flight).acquire_owned().await?;
            Ok([events, Arc::clone(&self.in_flight_bytes).acquire_many_owned(bytes).await?])
        };
        // Neither is ever closed.
        let room: Result<_, tokio::sync::AcquireError> = room.await;
        let room = room.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        let publish = Publish {
            // A topic has at most 249 bytes.
            routing_key: topic.as_str().into(),
            message,
            begin_by: limits.begin_by,
            answer_by: limits.answer_by,
            answer,
            _room: room,
        };
        // There is a place for each that has room.
        self.publishes()?.send(publish).await.map_err(|_| closed())?;
        Ok(answered)
    }
}

#[async_trait]
impl vodbridge_core::Connector for Connector {
    async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        let limits = Limits::new(Instant::now(), self.config.publish_timeout);
        self.publishes()?;
        let message = message(event, self.config.content_mode, self.config.header_prefix)
            .map_err(PublishError::Refused)?;
        let (size, max) = (message.body.len(), self.config.message_bytes_max as usize);
        if size > max {
            let why = format!("{size} bytes are more than the {max} of message_bytes_max");
            return Err(PublishError::Refused(why.into()));
        }
        let publishing = async {
            let answered = self.enqueue(message, topic, limits).await?;
            // Dropped without an answer: its task was ended.
            answered.await.unwrap_or_else(|_| {
                Err(Unavailable::outage("the connection to RabbitMQ ended before it answered")
                    .into())
            })
        };
        match timeout_at(limits.end_by, publishing).await {
            Ok(answer) => answer,
            Err(_) => Err(self.late().into()),
        }
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        self.publishes()?;
        let Ok(session) = timeout(CHECK_WITHIN, self.session()).await else {
            return Err(Unavailable::outage("no connection to RabbitMQ yet"));
        };
        let session = session?;
        // Also of a connection that was given up over it.
        if let Some(reason) = session.blocked() {
            return Err(blocked(&reason));
        }
        if !session.is_up() {
            return Err(Unavailable::outage("the connection to RabbitMQ has just ended"));
        }
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        match session.look(&self.config).await {
            Ok(found) => {
                Ok(durability::of(&self.config, &found, session.management(), topics).await)
            }
            Err(reason) => Ok(topics.iter().map(|_| Err(reason.tell())).collect()),
        }
    }

    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        let session = self.session().await?;
        let found = session.provide(&self.config).await.map(drop);
        Ok(topics.iter().map(|_| found.clone().map_err(|reason| reason.tell())).collect())
    }

    async fn close(&self) {
        let publishes = self.publishes.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(publishes);
        self.stop.cancel();
        // Whatever is under way is answered for within that time.
        if timeout(self.config.publish_timeout, self.tasks.wait()).await.is_err() {
            self.abandon.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Connector {
    /// What to say when nothing was said in time.
    fn late(&self) -> Unavailable {
        if let State::Up(session) = &*self.state.borrow()
            && let Some(reason) = session.blocked()
        {
            return blocked(&reason);
        }
        let within = self.config.publish_timeout;
        Unavailable::outage(format!("no answer from RabbitMQ within publish_timeout ({within:?})"))
            .advise("see its load, its disk and its alarms: rabbitmq-diagnostics alarms")
    }
}

/// How long `check` waits for a connection that is being made.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// The steps of one publish; each leaves the next one time to answer.
#[derive(Clone, Copy, Debug)]
struct Limits {
    begin_by: Instant,
    answer_by: Instant,
    end_by: Instant,
}

// === impl Limits ===

impl Limits {
    fn new(now: Instant, publish_timeout: Duration) -> Self {
        // Closing a channel that is late, and the connection when that fails, takes half a second.
        let margin = (publish_timeout / 4).min(Duration::from_secs(1));
        Self {
            begin_by: now + publish_timeout / 2,
            answer_by: now + publish_timeout - margin,
            end_by: now + publish_timeout - margin / 10,
        }
    }
}

fn blocked(reason: &str) -> Unavailable {
    Unavailable::outage(format!("RabbitMQ takes no publishes (connection.blocked): {reason}"))
        .advise("free memory or disk there: rabbitmq-diagnostics alarms")
}

/// The addresses, and nothing that is secret.
impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("urls", &self.config.urls).finish_non_exhaustive()
    }
}
