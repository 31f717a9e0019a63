//! The store: one directory, one owner, one writer thread, any number of readers.

mod ballast;
mod counters;
mod error;
mod filter;
mod footprint;
mod history;
mod insert;
mod lock;
mod names;
mod open;
mod owner;
mod reader;
mod record;
mod remover;
mod room;
mod row;
mod schema;
mod settings;
mod spool;
mod table;
mod trim;
mod usage;
mod waiting;
mod withdrawal;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use smol_str::SmolStr;
use tokio::sync::{mpsc, oneshot, watch};
use vodbridge_core::{Event, Timestamp, Topic};

pub use error::AppendError;
pub use filter::Filter;
pub use open::OpenError;
pub use owner::Owner;
pub use reader::{Cursor, PAGE_BYTES_MAX, Page, ReadError, Reader};
pub use record::{Delivered, Delivery, Record};
pub use remover::Remover;
pub use row::Letter;
pub use settings::{
    Keep, QUEUE_ROWS_MAX, Retention, SIZE_MAX_LEAST_BYTES, STEP_ROWS_MAX, Settings,
};
pub use spool::{Changes, Done};
pub use table::{Seq, Table};
pub use usage::{Failures, State, TableUsage, Usage};
pub use waiting::{Found, Spooled, Waiting};
pub use withdrawal::Withdrawal;

use row::Row;
pub(crate) use settings::PAGE_BYTES;
use usage::Gauges;
use writer::{Append, Command, Shared, Writer};

/// The journal of this process; a cheap handle.
///
/// The directory is released when [`Store::close`] returns, or once the last handle is gone and
/// the writer has finished what was queued.
#[derive(Clone)]
pub struct Store {
    queue: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    ended: watch::Receiver<()>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    recovered: Arc<Recovered>,
}

/// What was in the spool when the journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// How many rows each application had.
    pub applications: Vec<(SmolStr, u64)>,
    /// No row had a greater number.
    pub last: Seq,
}

impl Store {
    /// Takes the directory, opens or creates the journal in it and starts the writer.
    ///
    /// Blocks for some milliseconds, and up to 5 s while another program writes.
    ///
    /// # Errors
    ///
    /// Each says the way out; see [`OpenError`].
    pub fn open(settings: Settings) -> Result<Self, OpenError> {
        let open::Opened { connection, ballast, room, waiting, wal, lock } = open::open(&settings)?;
        let state = if ballast.is_aboard() {
            State::Writable
        } else {
            State::Unwritable(AppendError::DiskFull)
        };
        let shared = Arc::new(Shared {
            gauges: Gauges::default(),
            state: Mutex::new(state),
            retention: Mutex::new(Retention::default()),
            settings,
        });
        shared.gauges.set_tables(&room.counters);
        let last = Seq(room.counters.table(Table::Spool).next_seq - 1);
        let recovered = Recovered { applications: waiting, last };
        let (queue, commands) = mpsc::channel(QUEUE_ROWS_MAX);
        let (ended, has_ended) = watch::channel(());
        let writer = Writer {
            connection,
            queue: commands,
            shared: Arc::clone(&shared),
            room,
            ballast,
            wal,
            lock,
            ended,
        };
        let thread = thread::Builder::new()
            .name("journal-writer".into())
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Io { path: shared.settings.path.clone(), source })?;
        let thread = Arc::new(Mutex::new(Some(thread)));
        Ok(Self { queue, shared, ended: has_ended, thread, recovered: Arc::new(recovered) })
    }

    /// Stores an event and resolves once it is on the disk.
    ///
    /// Waits while [`QUEUE_ROWS_MAX`] rows are queued.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; the event is not in the journal then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it unknown whether the event is stored.
    pub async fn append(
        &self,
        table: Table,
        event: &Event,
        topic: &Topic,
        now: Timestamp,
    ) -> Result<Seq, AppendError> {
        self.insert(Row::new(table, event, Some(topic), now)).await
    }

    /// Writes an event into the spool and resolves once it is on the disk; `letter` says that it is
    /// to become a dead letter.
    ///
    /// # Errors and cancel safety
    ///
    /// As for [`Store::append`].
    pub async fn spool(
        &self,
        event: &Event,
        letter: Option<Letter>,
        now: Timestamp,
    ) -> Result<Seq, AppendError> {
        self.insert(spooled(event, letter, now)).await
    }

    /// The same, unless the row is withdrawn before it is written: then there is none (`None`).
    ///
    /// # Errors and cancel safety
    ///
    /// As for [`Store::append`]. Once [`Withdrawal::withdraw`] has said that the writer never gets
    /// the row, dropping the future leaves nothing behind.
    pub async fn spool_unless(
        &self,
        withdrawal: &Withdrawal,
        event: &Event,
        letter: Option<Letter>,
        now: Timestamp,
    ) -> Result<Option<Seq>, AppendError> {
        let row = self.fitting(spooled(event, letter, now))?;
        let queue = self.queue.reserve().await.map_err(|_| AppendError::Closed)?;
        if !withdrawal.queue() {
            return Ok(None);
        }
        let (answer, answered) = oneshot::channel();
        let append = Append { row, answer, withdrawal: Some(withdrawal.clone()) };
        queue.send(Command::Append(append));
        match answered.await {
            Ok(answer) => answer.map(Some),
            Err(_) if withdrawal.is_withdrawn() => Ok(None),
            Err(_) => Err(AppendError::Closed),
        }
    }

    /// Carries out what happened to rows of the spool and resolves once it is written, which is
    /// not synced: what a machine without power forgets of it is sent on once more. Works on a
    /// full disk too.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; some of it may be done.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it unknown whether it is done.
    pub async fn change(&self, changes: Changes) -> Result<u64, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Command::Change { changes, answer }).await?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Writes rows of the history, in the place of the oldest where there is no other, and resolves
    /// with how many were written. Nothing is synced: what a machine without power forgets of it
    /// is not owed to anybody. So few at a time that appends do not wait long behind them.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; nothing is written then, and nothing is concluded for appends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it unknown whether they are written.
    pub async fn remember(&self, delivered: &[Delivered]) -> Result<u64, AppendError> {
        let rows = delivered.iter().map(Row::delivered).collect();
        let (answer, answered) = oneshot::channel();
        self.ask(Command::Remember { rows, answer }).await?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// What was in the spool when the journal was opened.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    async fn insert(&self, row: Row) -> Result<Seq, AppendError> {
        let row = self.fitting(row)?;
        let (answer, answered) = oneshot::channel();
        self.ask(Command::Append(Append { row, answer, withdrawal: None })).await?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    fn fitting(&self, row: Row) -> Result<Row, AppendError> {
        let limit_bytes = self.shared.settings.row_bytes_max();
        if row.bytes > limit_bytes {
            return Err(AppendError::TooLarge { bytes: row.bytes, limit_bytes });
        }
        Ok(row)
    }

    /// Removes rows and resolves with how many were there. Works on a full disk too.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]; some of the rows may be gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it unknown whether the rows are gone.
    pub async fn remove(&self, table: Table, seqs: Vec<Seq>) -> Result<u64, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Command::Remove { table, seqs, answer }).await?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// Sets what happens to old events from the next append on. A journal has one retention: what
    /// was set last.
    pub fn retain(&self, retention: Retention) {
        *self.shared.retention.lock().unwrap_or_else(PoisonError::into_inner) = retention;
    }

    /// Rows, bytes and limits; waits for nobody.
    pub fn usage(&self) -> Usage {
        let Shared { gauges, settings, .. } = &*self.shared;
        Usage {
            events: gauges.table(Table::Events),
            dead_letters: gauges.table(Table::DeadLetters),
            spool: gauges.table(Table::Spool),
            spool_max_bytes: settings.spool_bytes(),
            history: gauges.table(Table::History),
            history_max_bytes: settings.history_bytes(),
            share_max_bytes: settings.share_bytes(),
            size_max_bytes: settings.size_max_bytes,
            wal_bytes: gauges.wal_bytes(),
            wal_max_bytes: settings.wal_max_bytes,
        }
    }

    /// What the disk has refused so far; waits for nobody.
    pub fn failures(&self) -> Failures {
        self.shared.gauges.failures()
    }

    /// Whether an event can be kept now. While it cannot, asking makes the writer look again, so
    /// that a journal that nobody appends to becomes writable too.
    pub fn state(&self) -> State {
        if self.queue.is_closed() {
            return State::Unwritable(AppendError::Closed);
        }
        let state = self.shared.state();
        if let State::Unwritable(_) = state {
            // In a full queue there are appends, which look themselves.
            self.queue.try_send(Command::Recheck).ok();
        }
        state
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.shared.settings.path
    }

    /// Commits what is queued, folds the log into the file, releases the directory. Appends that
    /// come later fail as closed. Closing twice is closing once.
    pub async fn close(&self) {
        // A writer that has ended is what is wanted.
        self.ask(Command::Close).await.ok();
        let mut ended = self.ended.clone();
        // The writer sends nothing; it lets go of its side as the last thing it does.
        while ended.changed().await.is_ok() {}
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the journal's writer panicked");
        }
    }

    /// What happens when events and dead letters fill their share.
    pub fn keep(&self) -> Keep {
        self.shared.retention().keep
    }

    async fn ask(&self, command: Command) -> Result<(), AppendError> {
        self.queue.send(command).await.map_err(|_| AppendError::Closed)
    }
}

/// The row of an event in the spool.
fn spooled(event: &Event, letter: Option<Letter>, now: Timestamp) -> Row {
    let row = Row::new(Table::Spool, event, None, now);
    match letter {
        Some(letter) => row.lettered(letter),
        None => row,
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}
