//! From ended spans to batches: bounded, and nobody ever waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::collector::{Collector, Failure};
use crate::config;
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;

/// How long a stop waits for what has ended to be sent.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// What the tracer hands ended spans to.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    tally: Arc<Tally>,
}

/// Sends what has ended, until it is told to stop.
#[derive(Debug)]
pub struct Exporter {
    spans: Mutex<mpsc::Receiver<SpanData>>,
    collector: Collector,
    batch_max: usize,
    delay: Duration,
    tally: Arc<Tally>,
    closing: CancellationToken,
    closed: CancellationToken,
}

/// What became of spans.
#[derive(Debug)]
struct Tally {
    exported: Counter,
    dropped: Counter,
    /// Whether it was said that the queue runs over.
    runs_over: AtomicBool,
    /// Whether it was said that the collector takes nothing.
    is_failing: AtomicBool,
    /// Spans of the batch that is being sent.
    in_hand: AtomicUsize,
}

/// A queue as configured, and who empties it.
///
/// # Errors
///
/// When the collector could never be called.
pub(super) fn new(
    config: &config::Traces,
    metrics: &Metrics,
) -> Result<(Queue, Arc<Exporter>), reqwest::Error> {
    let (send, receive) = mpsc::channel(config.queue_max);
    let tally = Arc::new(Tally {
        exported: metrics.spans_exported(),
        dropped: metrics.spans_dropped(),
        runs_over: AtomicBool::new(false),
        is_failing: AtomicBool::new(false),
        in_hand: AtomicUsize::new(0),
    });
    let exporter = Exporter {
        spans: Mutex::new(receive),
        collector: Collector::new(config)?,
        batch_max: config.batch_max,
        delay: config.delay,
        tally: Arc::clone(&tally),
        closing: CancellationToken::new(),
        closed: CancellationToken::new(),
    };
    info!(endpoint = config.place(), "traces are exported");
    Ok((Queue { spans: send, tally }, Arc::new(exporter)))
}

// === impl Queue ===

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Err(unsent) = self.spans.try_send(span) {
            self.tally.dropped.inc();
            // What ends after the last batch of a stop is lost without a word.
            if matches!(unsent, TrySendError::Full(_))
                && !self.tally.runs_over.swap(true, Ordering::Relaxed)
            {
                warn!(
                    "more spans end than are exported: the others are dropped, and counted in \
                     vodbridge_spans_dropped_total"
                );
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

// === impl Exporter ===

impl Exporter {
    /// Sends batches until `stop` or [`flush`](Self::flush), then what is left, for a moment.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        // Said also if this panics: who flushes waits for it.
        let _closed = self.closed.clone().drop_guard();
        let mut spans = self.spans.lock().await;
        let end = async {
            tokio::select! {
                () = stop.cancelled() => self.closing.cancel(),
                () = self.closing.cancelled() => {}
            }
            sleep(FLUSH_WITHIN).await;
        };
        let is_through = tokio::select! {
            biased;
            () = self.send_all(&mut spans) => true,
            () = end => false,
        };
        if !is_through {
            let left = self.tally.in_hand.load(Ordering::Relaxed) + spans.len();
            self.tally.lost(left, &Failure::Late);
        }
    }

    /// Sends what has ended so far, for a moment at most, and ends the task that runs this.
    pub async fn flush(&self) {
        self.closing.cancel();
        self.closed.cancelled().await;
    }

    async fn send_all(&self, spans: &mut mpsc::Receiver<SpanData>) {
        let mut is_open = true;
        while is_open || !spans.is_empty() {
            let batch = self.next_batch(spans, &mut is_open).await;
            if batch.is_empty() {
                continue;
            }
            let many = batch.len();
            self.tally.in_hand.store(many, Ordering::Relaxed);
            match self.collector.send(batch, &self.closing).await {
                Ok(rejected) => self.tally.sent(many, rejected),
                Err(why) => self.tally.lost(many, &why),
            }
            self.tally.in_hand.store(0, Ordering::Relaxed);
        }
    }

    /// Gathers for a while, or until a batch is full; what is there, once nothing more comes.
    async fn next_batch(
        &self,
        spans: &mut mpsc::Receiver<SpanData>,
        is_open: &mut bool,
    ) -> Vec<SpanData> {
        let due = Instant::now() + self.delay;
        let mut batch = Vec::new();
        while batch.len() < self.batch_max {
            let room = self.batch_max - batch.len();
            tokio::select! {
                biased;
                () = self.closing.cancelled(), if *is_open => {
                    spans.close();
                    *is_open = false;
                }
                many = spans.recv_many(&mut batch, room) => if many == 0 {
                    *is_open = false;
                    break;
                },
                () = sleep_until(due) => break,
            }
        }
        batch
    }
}

// === impl Tally ===

impl Tally {
    fn sent(&self, many: usize, rejected: u64) {
        let rejected = rejected.min(many as u64);
        self.exported.inc_by(many as u64 - rejected);
        self.dropped.inc_by(rejected);
        if rejected > 0 {
            self.say(&Failure::Rejected);
        } else if self.is_failing.swap(false, Ordering::Relaxed) {
            info!("the collector takes spans again");
        }
    }

    fn lost(&self, many: usize, why: &Failure) {
        if many > 0 {
            self.dropped.inc_by(many as u64);
            self.say(why);
        }
    }

    /// Said once, until the collector takes spans again.
    fn say(&self, why: &Failure) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            warn!(
                error = %Chain(why),
                "spans cannot be exported: they are dropped, and counted in \
                 vodbridge_spans_dropped_total"
            );
        }
    }
}
