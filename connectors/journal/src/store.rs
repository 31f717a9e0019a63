//! One store, one writer, one lock.

mod ballast;
mod counters;
mod filter;
mod footprint;
mod open;
mod owner;
mod reader;
mod record;
mod row;
mod schema;
mod state;
mod table;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use vodbridge_core::{Event, Timestamp, Topic};

pub use filter::Filter;
pub use open::OpenError;
pub use owner::Owner;
pub use reader::{Order, Page, ReadError, Reader};
pub use record::Record;
pub use state::{State, Usage};
pub use table::{Seq, Table};

use row::Row;
use state::Shared;
use writer::Job;

/// SQLite's default, which the accounting of space relies upon.
const PAGE_BYTES: u64 = 4096;

/// Appends that may wait for the writer; more wait for a place.
const QUEUE_ROWS_MAX: usize = 4096;

/// Where the store is and how large it may become.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory: made if its parent is there, and locked by whoever has it open.
    pub path: PathBuf,
    /// What the data may take on the disk. Events and dead letters share half of it.
    pub size_max_bytes: u64,
    /// What the write-ahead log may take on top; above it nothing is appended.
    pub wal_max_bytes: u64,
    /// Which events are kept.
    pub retention: Retention,
}

/// Which events are kept. Dead letters are kept until somebody removes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// What happens where there is no more room.
    pub keep: Keep,
    /// Events older than this are removed, lazily: by the appends that follow.
    pub max_age: Option<Duration>,
}

/// What happens to events where there is no more room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All stay; new ones are not taken.
    #[default]
    All,
    /// The oldest make room.
    Newest,
}

/// A handle to the store; clones share it.
#[derive(Clone, Debug)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Why an event was not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Events and dead letters have all the room that they may take.
    #[error("the journal holds all that it may ({share_bytes} bytes of events and dead letters)")]
    Full {
        /// The room of events and dead letters together.
        share_bytes: u64,
    },
    /// The disk has no room.
    #[error("the journal's disk is full")]
    DiskFull,
    /// The write-ahead log is as large as it may be, because some reader holds it.
    #[error("the journal's write-ahead log has reached {wal_max_bytes} bytes")]
    WalFull {
        /// The limit.
        wal_max_bytes: u64,
    },
    /// The event alone is larger than all the room.
    #[error("an event of {bytes} bytes never fits into {share_bytes}")]
    TooLarge {
        /// What the event would take.
        bytes: u64,
        /// The room of events and dead letters together.
        share_bytes: u64,
    },
    /// The disk or the database failed.
    #[error("the journal cannot be written")]
    Failed(#[source] Arc<rusqlite::Error>),
    /// The store is closed.
    #[error("the journal is closed")]
    Closed,
}

impl Store {
    /// Opens the store, or makes it, and starts its writer.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. Nothing is ever deleted to make an open succeed.
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let opened = open::open(&settings)?;
        let (jobs, queue) = mpsc::channel(QUEUE_ROWS_MAX);
        let (shared, thread) = writer::start(opened, settings, queue)?;
        Ok(Self(Arc::new(Inner { jobs, shared, thread: Mutex::new(Some(thread)) })))
    }

    /// Appends one event and resolves once it is on disk.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; the event is not in the store, except after
    /// [`Failed`](AppendError::Failed), which leaves it unknown.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it unknown whether the event is in the store.
    pub async fn append(
        &self,
        table: Table,
        event: &Event,
        topic: &Topic,
        now: Timestamp,
    ) -> Result<Seq, AppendError> {
        let row = Row::new(table, event, topic, now);
        let (reply, answer) = oneshot::channel();
        let job = Job::Append(Box::new(row), reply);
        self.0.jobs.send(job).await.map_err(|_| AppendError::Closed)?;
        answer.await.unwrap_or(Err(AppendError::Closed))
    }

    /// How much it holds, as of the last commit.
    pub fn usage(&self) -> Usage {
        self.0.shared.usage()
    }

    /// Whether it takes events.
    pub fn state(&self) -> State {
        self.0.shared.state()
    }

    /// The directory.
    pub fn path(&self) -> &std::path::Path {
        self.0.shared.path()
    }

    /// Commits what is queued and ends the writer; later appends fail.
    pub async fn close(&self) {
        // A writer that has ended already has nothing left to do.
        self.0.jobs.send(Job::Close).await.ok();
        self.0.jobs.closed().await;
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It drains its queue and ends; a panic of it was seen by everybody who waited.
            tokio::task::spawn_blocking(move || thread.join().ok()).await.ok();
        }
    }
}
