//! Sends on what waits in the spool: the oldest first, as room allows.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use vodbridge_core::{Event, Topic};
use vodbridge_journal::{Done, Found, Letter, Seq, Spooled, Waiting};

use super::{Row, Spool, lock};
use crate::delivery::{Outcome, Purpose};
use crate::outlet::{Admitted, Arrival, Outlet, Taken};
use crate::route::{Progress, Router};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Intake;
use crate::telemetry::traces::Traces;

/// Rows that are looked at together, without their bodies.
const PAGE_ROWS: usize = 256;

/// Bytes of bodies that are read together, unless a single one is larger.
const CHUNK_BYTES: usize = 1 << 20;

/// How long a round rests that brought more on its way than came back, and one that did not; the
/// latter also ten times as long as it took, and at most the last.
const REST: Duration = Duration::from_millis(100);
const REST_IN_VAIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(30);

/// How often a rest looks whether a topic takes events again.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Topics in trouble that one round remembers; with more of them it looks again after its rest.
const SHUT_MAX: usize = 256;

/// Panics after which an event is a dead letter.
const PANICS_MAX: u32 = 5;

/// Sends on what waits of one application.
#[derive(Debug)]
pub struct Resender {
    /// Whose rows.
    pub application: SmolStr,
    /// Where they are.
    pub spool: Arc<Spool>,
    /// Where they go.
    pub outlet: Outlet,
    /// What is known of the topics.
    pub router: Arc<Router>,
    /// Where they are counted.
    pub intake: Arc<Intake>,
    /// Where they are traced.
    pub traces: Traces,
    /// The process's bytes, and how many there are of them.
    pub process_room: Arc<Semaphore>,
    /// All of those.
    pub process_bytes: usize,
    /// How many may wait for room as new events do, a quarter of the application's room; more go
    /// only while a quarter of it is left to new events.
    pub first: Arc<Semaphore>,
}

/// A resender at work.
struct Work {
    resender: Resender,
    /// The place of the application in the spool.
    place: usize,
    reader: Option<Spooled>,
    /// Those that are on their way: each waits for its outcome.
    under_way: JoinSet<()>,
    /// How many of them came back since the latest round began.
    came_back: Arc<AtomicUsize>,
}

/// What one round found.
#[derive(Debug, Default)]
struct Round {
    sent: usize,
    /// Where events waited that were passed over.
    shut: HashSet<(usize, Topic)>,
}

// === impl Resender ===

impl Resender {
    /// Works until told to stop. What is on its way then is no longer waited for: it settles by
    /// itself, or waits on.
    pub async fn run(self, stop: CancellationToken) {
        let place = self.spool.place(&self.application);
        let mut work = Work {
            resender: self,
            place,
            reader: None,
            under_way: JoinSet::new(),
            came_back: Arc::default(),
        };
        stop.run_until_cancelled(work.go_on()).await;
        work.under_way.shutdown().await;
    }

    /// Room for one event, and its place among the first if it has one. The places go first: were
    /// they left for when room is scarce, what is sent on would take all of it.
    async fn room(&self, bytes: usize) -> (Option<OwnedSemaphorePermit>, Taken) {
        let Self { outlet, first, .. } = self;
        if let Ok(first) = Arc::clone(first).try_acquire_owned() {
            return (Some(first), outlet.room(bytes).await);
        }
        if let Some(room) = outlet.spare_room(bytes) {
            return (None, room);
        }
        let first = Arc::clone(first).acquire_owned().await.ok();
        (first, outlet.room(bytes).await)
    }
}

// === impl Work ===

impl Work {
    async fn go_on(&mut self) {
        loop {
            self.until_some_wait().await;
            let began = Instant::now();
            self.came_back.store(0, Ordering::Relaxed);
            let round = match self.round().await {
                Ok(round) => round,
                Err(error) => {
                    let application = self.resender.application.as_str();
                    error!(application, error, "the spool cannot be read");
                    self.reader = None;
                    Round::default()
                }
            };
            self.rest(&round, began.elapsed()).await;
        }
    }

    async fn until_some_wait(&mut self) {
        let spool = Arc::clone(&self.resender.spool);
        let waiting = &spool.applications[self.place];
        loop {
            let came = waiting.came.notified();
            if !lock(&waiting.rows).is_empty() {
                return;
            }
            waiting.oldest.store(0, Ordering::Relaxed);
            came.await;
        }
    }

    /// Looks at everything that waits, once.
    async fn round(&mut self) -> Result<Round, String> {
        let spool = Arc::clone(&self.resender.spool);
        let waiting = &spool.applications[self.place];
        let mut round = Round::default();
        let mut at = Seq::default();
        let mut oldest = None;
        while let Some(next) = { lock(&waiting.rows).next(at) } {
            let found = self.look(Seq::new(next.get() - 1)).await?;
            self.forget_gaps(next, &found);
            for seq in &found.damaged {
                self.pass_damaged(*seq);
            }
            at = found.last.unwrap_or(Seq::new(u64::MAX));
            let mut chunk = Vec::new();
            let mut bytes = 0;
            for one in found.waiting {
                if !lock(&waiting.rows).contains(one.seq) {
                    continue;
                }
                oldest.get_or_insert(one.event.time.as_millis());
                let done = spool.progress(&one.done);
                if let Some(shut) = self.obstacle(&one, done) {
                    if round.shut.len() < SHUT_MAX {
                        round.shut.extend(shut);
                    }
                    continue;
                }
                bytes += one.bytes;
                chunk.push(one);
                if bytes >= CHUNK_BYTES {
                    round.sent += self.send(std::mem::take(&mut chunk), bytes).await?;
                    bytes = 0;
                }
            }
            round.sent += self.send(chunk, bytes).await?;
            waiting.oldest.store(oldest.unwrap_or_default(), Ordering::Relaxed);
        }
        Ok(round)
    }

    /// What cannot be read is not looked at again by this process.
    fn pass_damaged(&self, seq: Seq) {
        if lock(&self.resender.spool.applications[self.place].rows).remove(seq) {
            error!(row = seq.get(), "a row of the spool is damaged; it stays where it is");
        }
    }

    /// Where an event waits for a topic that takes nothing; `None` if it can go on.
    fn obstacle(&self, waiting: &Waiting, done: Progress) -> Option<Vec<(usize, Topic)>> {
        if waiting.letter.is_some() || waiting.done.panics >= PANICS_MAX {
            return self.resender.router.letters().obstacle();
        }
        self.resender.router.obstacle(&mut waiting.event.clone(), done)
    }

    /// Reads the bodies and lets the events go, each when there is room for it.
    async fn send(&mut self, chunk: Vec<Waiting>, bytes: usize) -> Result<usize, String> {
        if chunk.is_empty() {
            return Ok(0);
        }
        let Resender { process_room, process_bytes, .. } = &self.resender;
        let share = u32::try_from(bytes.min(*process_bytes)).unwrap_or(u32::MAX);
        let room = Arc::clone(process_room).acquire_many_owned(share).await;
        let mut room = room.map_err(|closed| closed.to_string())?;
        let mut sent = 0;
        for (seq, done, letter, event) in self.read(chunk).await? {
            let Some(event) = event else {
                self.pass_damaged(seq);
                continue;
            };
            let share = room.split(event.message.len().min(room.num_permits()));
            let purpose = match letter {
                Some(Letter { reason, detail }) => Purpose::DeadLetter { reason, detail },
                None if done.panics >= PANICS_MAX => Purpose::DeadLetter {
                    reason: SmolStr::new_static("panicked"),
                    detail: format!("{} deliveries of it panicked", done.panics),
                },
                None => Purpose::Publish,
            };
            let progress = self.resender.spool.progress(&done);
            let waiting = &self.resender.spool.applications[self.place];
            if !lock(&waiting.rows).remove(seq) {
                continue;
            }
            let row = Row::new(Arc::clone(&self.resender.spool), self.place, seq, done);
            sent += usize::from(self.resume(event, purpose, progress, row, share).await);
        }
        Ok(sent)
    }

    async fn resume(
        &mut self,
        mut event: Event,
        purpose: Purpose,
        progress: Progress,
        row: Row,
        bytes: Option<OwnedSemaphorePermit>,
    ) -> bool {
        let (first, room) = self.resender.room(event.message.len()).await;
        let Resender { outlet, intake, traces, .. } = &self.resender;
        while self.under_way.try_join_next().is_some() {}
        let mut span = traces.resent(&event);
        span.stamp(&mut event);
        let (obligation, row) = (intake.resume(), Some(row));
        let arrival = Arrival { event, purpose, obligation, bytes, row };
        let receipt = match outlet.resume(arrival, progress) {
            // The same content is under way, and this may be an occurrence of its own.
            None => {
                span.waits();
                return false;
            }
            Some(Admitted::New(departure, receipt)) => {
                departure.depart_in(room);
                receipt
            }
            Some(Admitted::Joined(receipt, _)) => {
                span.joined(receipt.traceparent());
                receipt
            }
            Some(Admitted::Duplicate(_)) => {
                span.was_duplicate();
                return true;
            }
        };
        let came_back = Arc::clone(&self.came_back);
        self.under_way.spawn(async move {
            let outcome = receipt.outcome().await;
            span.ended(outcome);
            if outcome == Outcome::Deferred {
                came_back.fetch_add(1, Ordering::Relaxed);
            }
            drop(first);
        });
        true
    }

    /// Rests until a further round may find something to do.
    async fn rest(&mut self, round: &Round, took: Duration) {
        sleep(REST).await;
        // Asked only now: what is given back at once has come back by this time. What was in vain may
        // cost no more than what was not, or a thousand events that are given back again and again
        // would be read and sent ten times a second.
        let came_back = self.came_back.load(Ordering::Relaxed);
        if round.sent > 2 * came_back {
            return;
        }
        let until = Instant::now() + REST_IN_VAIN.max(took * 10).min(REST_MAX);
        while Instant::now() < until {
            sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now()))).await;
            let takes =
                |(connector, topic): &(usize, Topic)| self.resender.router.takes(*connector, topic);
            if round.shut.iter().any(takes) {
                info!(application = self.resender.application.as_str(), "what waits is sent on");
                return;
            }
        }
    }

    async fn look(&mut self, after: Seq) -> Result<Found, String> {
        let application = self.resender.application.clone();
        self.with_reader(move |reader| {
            reader.after(&application, after, PAGE_ROWS).map_err(|e| Chain(&e).to_string())
        })
        .await
    }

    async fn read(
        &mut self,
        chunk: Vec<Waiting>,
    ) -> Result<Vec<(Seq, Done, Option<Letter>, Option<Event>)>, String> {
        self.with_reader(move |reader| {
            let mut events = Vec::with_capacity(chunk.len());
            for mut waiting in chunk {
                let seq = waiting.seq;
                let (done, letter) = (std::mem::take(&mut waiting.done), waiting.letter.take());
                let event = reader.complete(waiting).map_err(|e| Chain(&e).to_string())?;
                events.push((seq, done, letter, event));
            }
            Ok(events)
        })
        .await
    }

    /// Runs on a thread that may block.
    async fn with_reader<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Spooled) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let reader = self.reader.take();
        let path = self.resender.spool.store.path().to_owned();
        let worked = spawn_blocking(move || {
            let opened = reader.map_or_else(|| Spooled::open(&path), Ok);
            let mut reader = opened.map_err(|error| Chain(&error).to_string())?;
            let worked = work(&mut reader)?;
            Ok::<_, String>((reader, worked))
        });
        let (reader, worked) = worked.await.map_err(|error| error.to_string())??;
        self.reader = Some(reader);
        Ok(worked)
    }

    /// Forgets rows of an earlier process that turned out not to be there, or another's.
    fn forget_gaps(&self, next: Seq, found: &Found) {
        let spool = &self.resender.spool;
        let mut rows = lock(&spool.applications[self.place].rows);
        let recovered = spool.store.recovered().last.get();
        let mut from = next.get();
        let mut seqs: Vec<_> =
            found.waiting.iter().map(|w| w.seq).chain(found.damaged.iter().copied()).collect();
        seqs.sort_unstable();
        for seq in seqs {
            rows.remove_all(from, (seq.get() - 1).min(recovered));
            from = seq.get() + 1;
        }
        if found.last.is_none() {
            rows.remove_all(from, recovered);
        }
    }
}
