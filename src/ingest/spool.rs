//! The spool: what came in by callback is written to the disk at once, and stays there until it has
//! settled.
//!
//! ```text
//! callback --keep--> Row --settled--> gone, a moment later and with others
//!                     |
//!                  put back --> waiting --resender--> Row ...     oldest first, as room allows
//!                                  ^
//!     rows of an earlier process --+
//! ```
//!
//! A row is either under way, and then somebody holds its [`Row`], or it waits. What waits is known
//! as ranges of rows: a million of them take no memory to speak of.

mod keeping;
mod ranges;
mod resender;
mod row;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vodbridge_core::{Event, Timestamp};
use vodbridge_journal::{AppendError, Changes, Done, Letter, Seq, State, Store, Withdrawal};

use crate::delivery::Purpose;
use crate::ingest::callback::Clock;
use crate::route::Progress;
pub use keeping::keep_and_depart;
use ranges::Ranges;
pub use resender::Resender;
pub use row::Row;

/// How long changes of rows gather until they are written together. What a crash forgets of them
/// is sent on once more.
const GATHER: Duration = Duration::from_millis(20);

/// Less than a page is room for hardly any event.
const LEAST_BYTES: u64 = 4096;

/// After how long what could not be written is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The spool of this process.
pub struct Spool {
    store: Store,
    clock: Clock,
    /// The connectors by their places, as rows name them.
    connectors: Vec<SmolStr>,
    places: BTreeMap<SmolStr, usize>,
    applications: Vec<Waiting>,
    changes: Mutex<Pending>,
    changed: Notify,
    is_full: AtomicBool,
}

/// Changes that are to be written.
#[derive(Debug, Default)]
struct Pending {
    settled: Vec<Seq>,
    /// Rows that wait again once it is written what was done for them: sent on any earlier, a leg
    /// would get what it has.
    marked: Vec<Marked>,
}

#[derive(Debug)]
struct Marked {
    application: usize,
    seq: Seq,
    done: Done,
}

/// What waits of one application.
#[derive(Debug, Default)]
struct Waiting {
    rows: Mutex<Ranges>,
    came: Notify,
    /// When the oldest was received, in milliseconds since the epoch; 0: none waits.
    oldest: AtomicU64,
}

// === impl Spool ===

impl Spool {
    /// The spool of a store; `applications` are all that have rows or will have any, `connectors`
    /// the names of the connectors by their places.
    pub fn new<'a>(
        store: Store,
        clock: Clock,
        applications: impl IntoIterator<Item = &'a str>,
        connectors: Vec<SmolStr>,
    ) -> Arc<Self> {
        let recovered = store.recovered();
        let places: BTreeMap<_, _> =
            applications.into_iter().enumerate().map(|(n, name)| (SmolStr::new(name), n)).collect();
        let waiting = |name: &SmolStr| {
            let has_rows = recovered.applications.iter().any(|(found, _)| found == name);
            let rows = if has_rows { Ranges::up_to(recovered.last) } else { Ranges::default() };
            Waiting { rows: Mutex::new(rows), ..Waiting::default() }
        };
        let mut names: Vec<_> = places.iter().collect();
        names.sort_by_key(|(_, n)| **n);
        let applications = names.iter().map(|(name, _)| waiting(name)).collect();
        Arc::new(Self {
            clock,
            connectors,
            applications,
            places,
            store,
            changes: Mutex::default(),
            changed: Notify::new(),
            is_full: AtomicBool::new(false),
        })
    }

    /// Writes an event, and resolves once it is on the disk, or will not be because it was withdrawn
    /// (`None`).
    ///
    /// # Errors
    ///
    /// Why it is not; the event may be published all the same.
    ///
    /// # Cancel safety
    ///
    /// None unless it was withdrawn before the writer had it: the row of a future that was dropped
    /// is sent on by the next process alone.
    pub async fn keep(
        self: &Arc<Self>,
        event: &Event,
        purpose: &Purpose,
        withdrawal: &Withdrawal,
    ) -> Result<Option<Row>, AppendError> {
        let letter = match purpose {
            Purpose::Publish => None,
            Purpose::DeadLetter { reason, detail } => {
                Some(Letter { reason: reason.clone(), detail: detail.clone() })
            }
        };
        let kept = self.store.spool_unless(withdrawal, event, letter, (self.clock)()).await;
        let seq = match kept {
            Ok(Some(seq)) => seq,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.note_full(matches!(error, AppendError::ShareFull { .. }), &error);
                return Err(error);
            }
        };
        if self.is_full.swap(false, Ordering::Relaxed) {
            info!("the spool has room again");
        }
        let application = self.place(event.extension("vodapplication").unwrap_or_default());
        Ok(Some(Row::new(Arc::clone(self), application, seq, Done::default())))
    }

    /// Whether an event can be kept now.
    pub fn has_room(&self) -> bool {
        let usage = self.store.usage();
        let has_room = usage.spool.bytes + LEAST_BYTES <= usage.spool_max_bytes;
        has_room && matches!(self.store.state(), State::Writable)
    }

    /// When the oldest event that waits was received.
    pub fn oldest(&self, application: &str) -> Option<Timestamp> {
        let waiting = self.applications.get(self.place(application))?;
        let millis = waiting.oldest.load(Ordering::Relaxed);
        (millis > 0).then(|| Timestamp::from_millis(millis))
    }

    /// Writes changes of rows as they come, until told to stop.
    pub async fn write(self: Arc<Self>, stop: CancellationToken) {
        let writing = async {
            loop {
                self.changed.notified().await;
                sleep(GATHER).await;
                if !self.flush().await {
                    sleep(TRY_AGAIN_AFTER).await;
                    self.changed.notify_one();
                }
            }
        };
        stop.run_until_cancelled(writing).await;
    }

    /// Writes the changes that there are; true if all are written.
    pub async fn flush(&self) -> bool {
        let Pending { settled, marked } = std::mem::take(&mut *lock(&self.changes));
        let changes = Changes {
            settled: settled.clone(),
            marked: marked.iter().map(|mark| (mark.seq, mark.done.clone())).collect(),
        };
        if changes.is_empty() {
            return true;
        }
        let rows = changes.len();
        // Dropped in the middle, the rows stay, and their events are sent on once more.
        match self.store.change(changes).await {
            Ok(_) => {
                marked.iter().for_each(|mark| self.put_back(mark.application, mark.seq));
                true
            }
            Err(error) => {
                warn!(%error, rows, "rows of the spool cannot be changed");
                let mut pending = lock(&self.changes);
                pending.settled.extend(settled);
                pending.marked.extend(marked);
                false
            }
        }
    }

    fn note_full(&self, is_full: bool, error: &AppendError) {
        if is_full && !self.is_full.swap(true, Ordering::Relaxed) {
            let advice = error.advice();
            warn!(%error, advice, "callbacks are published without being kept first");
        }
    }

    fn note_settled(&self, seq: Seq) {
        lock(&self.changes).settled.push(seq);
        self.changed.notify_one();
    }

    fn put_back_with(&self, application: usize, seq: Seq, done: Done) {
        lock(&self.changes).marked.push(Marked { application, seq, done });
        self.changed.notify_one();
    }

    fn put_back(&self, application: usize, seq: Seq) {
        if let Some(waiting) = self.applications.get(application) {
            lock(&waiting.rows).insert(seq);
            waiting.came.notify_one();
        }
    }

    /// Progress in the names of rows.
    fn done(&self, progress: Progress) -> Done {
        let names = |is_done: fn(Progress, usize) -> bool| {
            let done = self.connectors.iter().enumerate().filter(|(n, _)| is_done(progress, *n));
            done.map(|(_, name)| name.clone()).collect()
        };
        Done {
            panics: 0,
            acknowledged: names(Progress::is_acknowledged),
            lettered: names(Progress::is_lettered),
        }
    }

    /// The names of a row as progress; a connector that is there no more is owed nothing.
    fn progress(&self, done: &Done) -> Progress {
        let mut progress = Progress::default();
        for (n, name) in self.connectors.iter().enumerate() {
            if done.acknowledged.contains(name) {
                progress.acknowledge(n);
            }
            if done.lettered.contains(name) {
                progress.letter(n);
            }
        }
        progress
    }

    fn place(&self, application: &str) -> usize {
        self.places.get(application).copied().unwrap_or(usize::MAX)
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("store", &self.store).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
