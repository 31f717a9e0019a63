use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::Message;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tokio::sync::{oneshot, watch};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::debug;
use vodbridge_core::ClientStats;

use crate::error::Trouble;
use crate::room::Place;
use crate::stats;
use crate::token::Tokens;

/// What the producer's polling thread tells us. Nothing in here waits: while it did, no delivery
/// report would come through.
#[derive(Debug)]
pub(crate) struct Context {
    signals: Arc<Signals>,
    tokens: Option<Tokens>,
}

/// What became known of one producer.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    turn: watch::Sender<Turn>,
    is_troubled: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
    stats: Mutex<ClientStats>,
}

/// What the owner of a producer must react to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    /// It can never send again (KIP-98: its state and the brokers' differ).
    pub(crate) is_fatal: bool,
    /// It settles nothing in time.
    pub(crate) is_late: bool,
    /// A broker refuses its login or its certificate, or just hangs up: it is not always said why.
    pub(crate) is_locked_out: bool,
}

/// What librdkafka says of one record in the end.
#[derive(Debug)]
pub(crate) enum Report {
    /// The brokers have it, and said where.
    Acknowledged,
    /// The brokers have a later record of the same producer, from which librdkafka concludes that
    /// they have this one too (`rd_kafka_dr_implicit_ack`, "R1 failed, but R2 succeeded, which
    /// means the messages in R1 were in fact persisted").
    ///
    /// That is false where a broker refuses a producer's first record in a partition, while its
    /// leader is settling in, and takes the second: of a producer that it does not know it takes
    /// any sequence number. Seen on topics made a moment before: reported as delivered, and absent.
    /// Such a report has no offset, which is how it is told apart. (A broker that answered
    /// DUPLICATE_SEQUENCE_NUMBER would have librdkafka number a batch's records from no offset on;
    /// brokers since 1.1 answer with the batch's own offset instead.)
    Implied,
    Failed(KafkaError),
}

/// What travels with a record through librdkafka.
#[derive(Debug)]
pub(crate) struct Owed {
    answer: oneshot::Sender<Report>,
    _place: Place,
    _under_way: TaskTrackerToken,
}

// === impl Owed ===

impl Owed {
    pub(crate) fn new(
        place: Place,
        under_way: TaskTrackerToken,
    ) -> (Box<Self>, oneshot::Receiver<Report>) {
        let (answer, answered) = oneshot::channel();
        (Box::new(Self { answer, _place: place, _under_way: under_way }), answered)
    }
}

// === impl Context ===

impl Context {
    pub(crate) fn new(signals: Arc<Signals>, tokens: Option<Tokens>) -> Self {
        Self { signals, tokens }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Owed>;

    fn delivery(&self, report: &DeliveryResult<'_>, owed: Box<Owed>) {
        let answer = match report {
            Ok(record) => {
                self.signals.calm();
                if record.offset() >= 0 { Report::Acknowledged } else { Report::Implied }
            }
            Err((error, _)) => Report::Failed(error.clone()),
        };
        // Nobody waits for it if its publish was dropped.
        owed.answer.send(answer).ok();
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters of it comes as an error or in a report, and is said where it is dealt with.
        debug!(target: "librdkafka", ?level, facility, message);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        if let Some(read) = stats::read(statistics) {
            *lock(&self.signals.stats) = read;
        }
    }

    /// Comes twice for each error (rdkafka 0.39); that does no harm.
    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.signals.note(code, reason);
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let tokens = self.tokens.as_ref().ok_or("no token endpoint is configured")?;
        tokens.newest()
    }
}

// === impl Signals ===

impl Signals {
    pub(crate) fn subscribe(&self) -> watch::Receiver<Turn> {
        self.turn.subscribe()
    }

    /// Says that the producer settles nothing in time.
    pub(crate) fn late(&self) {
        self.turn.send_if_modified(|turn| !std::mem::replace(&mut turn.is_late, true));
    }

    /// Says that the producer is of no use any more.
    pub(crate) fn fatal(&self) {
        self.turn.send_if_modified(|turn| !std::mem::replace(&mut turn.is_fatal, true));
    }

    /// What the connections suffer from.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        lock(&self.trouble).clone()
    }

    pub(crate) fn stats(&self) -> ClientStats {
        *lock(&self.stats)
    }

    /// Something has come through.
    pub(crate) fn calm(&self) {
        if self.is_troubled.load(Ordering::Relaxed) {
            self.is_troubled.store(false, Ordering::Relaxed);
            *lock(&self.trouble) = None;
            self.turn.send_if_modified(|turn| std::mem::take(&mut turn.is_locked_out));
        }
    }

    fn note(&self, code: Code, reason: &str) {
        if code == Code::Fatal {
            self.fatal();
        }
        if matches!(
            code,
            Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::SSL
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
        ) {
            self.turn.send_if_modified(|turn| !std::mem::replace(&mut turn.is_locked_out, true));
        }
        let mut trouble = lock(&self.trouble);
        // That all are down is less than why one of them is.
        if code != Code::AllBrokersDown || trouble.is_none() {
            *trouble = Some(Trouble { code, reason: reason.to_owned() });
        }
        drop(trouble);
        self.is_troubled.store(true, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
