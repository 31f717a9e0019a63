use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::ClientContext;
use rdkafka::admin::AdminClient;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseRecord, Producer as _, PurgeConfig, ThreadedProducer};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::binding::Record;
use crate::context::{Context, Owed, Signals};
use crate::error::Trouble;

/// One life of librdkafka: a producer, and the clients beside it that log in with the same secret.
///
/// Ended by dropping the last of it; the blocking part of that is left to a thread that may block.
#[derive(Debug)]
pub(crate) struct Clients {
    inner: Option<Arc<Inner>>,
    tasks: TaskTracker,
    runtime: Handle,
}

pub(crate) struct Inner {
    pub(crate) signals: Arc<Signals>,
    producer: ThreadedProducer<Context>,
    /// For records that a broker refused as part of a batch. Made when it is first needed.
    single: OnceCell<ThreadedProducer<Context>>,
    /// `None` for logins that rdkafka's admin client is not capable of.
    admin: Option<OnceCell<AdminClient<Quiet>>>,
    settings: Settings,
}

/// What the clients are made from. Holds the secret.
pub(crate) struct Settings {
    pub(crate) producer: ClientConfig,
    pub(crate) single: ClientConfig,
    pub(crate) admin: Option<ClientConfig>,
    pub(crate) tokens: Option<crate::token::Tokens>,
}

/// The context of the admin client. Nobody reads what it says: rdkafka polls only the queue of its
/// answers, so that whatever else it said would pile up; it is told to say nothing.
#[derive(Debug)]
pub(crate) struct Quiet;

impl ClientContext for Quiet {}

// === impl Clients ===

impl Clients {
    /// Makes the producer. Blocks for as long as reading certificates takes, and connects to nobody
    /// while the caller waits.
    ///
    /// # Errors
    ///
    /// Certificates that cannot be read.
    pub(crate) fn start(
        settings: Settings,
        tasks: TaskTracker,
        runtime: Handle,
    ) -> Result<Self, KafkaError> {
        let signals = Arc::<Signals>::default();
        let context = Context::new(Arc::clone(&signals), settings.tokens.clone());
        let producer = settings.producer.create_with_context(context)?;
        let admin = settings.admin.is_some().then(OnceCell::new);
        let single = OnceCell::new();
        let inner = Inner { signals, producer, single, admin, settings };
        Ok(Self { inner: Some(Arc::new(inner)), tasks, runtime })
    }

    /// Runs what blocks on a thread that may.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Option<T> {
        let inner = Arc::clone(self.inner.as_ref().expect("taken on drop alone"));
        // Only a panic or the runtime's end gives no value.
        self.tasks.spawn_blocking_on(move || work(&inner), &self.runtime).await.ok()
    }

    /// The same clients for a task that may outlive its caller.
    pub(crate) fn share(&self) -> Self {
        let (inner, tasks) = (self.inner.clone(), self.tasks.clone());
        Self { inner, tasks, runtime: self.runtime.clone() }
    }

    /// Runs a task that is waited for on closing.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.tasks.spawn_on(task, &self.runtime)
    }

    /// Settles every record, those on their way to a broker as well: what was not sent will never
    /// be, and of the rest nobody will know.
    pub(crate) async fn purge(&self) {
        self.blocking(Inner::purge).await;
    }

    /// The admin client; `None` if there can be none.
    pub(crate) async fn admin(&self) -> Option<Result<&AdminClient<Quiet>, KafkaError>> {
        let admin = self.admin.as_ref()?;
        let made = admin.get_or_try_init(async || {
            let made = self.blocking(Inner::make_admin).await;
            made.unwrap_or(Err(KafkaError::Canceled))
        });
        Some(made.await)
    }

    /// The producer that sends each record by itself.
    pub(crate) async fn single(&self) -> Result<&ThreadedProducer<Context>, KafkaError> {
        let made = self.single.get_or_try_init(async || {
            let made = self.blocking(Inner::make_single).await;
            made.unwrap_or(Err(KafkaError::Canceled))
        });
        made.await
    }

    /// What the brokers say about one topic, or about all of them.
    pub(crate) async fn metadata(
        &self,
        topic: Option<String>,
        within: Duration,
    ) -> Result<Metadata, KafkaError> {
        let asked = self.blocking(move |inner| {
            let metadata = inner.producer.client().fetch_metadata(topic.as_deref(), within);
            if metadata.is_ok() {
                inner.signals.calm();
            }
            metadata
        });
        asked.await.unwrap_or(Err(KafkaError::Canceled))
    }
}

impl Deref for Clients {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        self.inner.as_ref().expect("taken on drop alone")
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            // Flushes for up to half a second, and joins threads.
            self.tasks.spawn_blocking_on(move || drop(inner), &self.runtime);
        }
    }
}

// === impl Inner ===

impl Inner {
    /// Hands a record over; `owed` gets the report. Never blocks.
    pub(crate) fn send(
        &self,
        topic: &str,
        record: Record,
        owed: Box<Owed>,
    ) -> Result<(), KafkaError> {
        hand_over(&self.producer, topic, record, owed)
    }

    /// Why the producer can never send again.
    pub(crate) fn fatal_error(&self) -> Option<(Code, String)> {
        self.producer.client().fatal_error()
    }

    /// What the connections suffer from.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.signals.trouble()
    }

    fn purge(&self) {
        let all = PurgeConfig::default().queue().inflight();
        self.producer.purge(all);
        if let Some(single) = self.single.get() {
            single.purge(PurgeConfig::default().queue().inflight());
        }
    }

    fn make_admin(&self) -> Result<AdminClient<Quiet>, KafkaError> {
        let mut settings = self.settings.admin.clone().ok_or(KafkaError::Canceled)?;
        settings.set_log_level(RDKafkaLogLevel::Emerg);
        settings.create_with_context(Quiet)
    }

    fn make_single(&self) -> Result<ThreadedProducer<Context>, KafkaError> {
        let context = Context::new(Arc::clone(&self.signals), self.settings.tokens.clone());
        self.settings.single.create_with_context(context)
    }
}

/// Hands a record to a producer. Never blocks.
pub(crate) fn hand_over(
    producer: &ThreadedProducer<Context>,
    topic: &str,
    record: Record,
    owed: Box<Owed>,
) -> Result<(), KafkaError> {
    let Record { key, headers, value } = record;
    let mut message = BaseRecord::with_opaque_to(topic, owed).payload(&value[..]).headers(headers);
    if let Some(key) = &key {
        message = message.key(key.as_str());
    }
    producer.send(message).map_err(|(error, _)| error)
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("signals", &self.signals).finish_non_exhaustive()
    }
}
