use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};
use vodbridge_core::Timestamp;

use super::ballast::{Ballast, finds_no_room};
use super::counters::Counters;
use super::history::{remember, unsynced};
use super::insert::insert;
use super::lock::Lock;
use super::room::Room;
use super::row::Row;
use super::settings::{BATCH_ROWS_MAX, Settings};
use super::spool::{self, Changes};
use super::trim::remove;
use super::usage::{Gauges, Operation};
use super::{AppendError, Retention, Seq, State, Table, Withdrawal};

/// What the writer is asked for.
pub(crate) enum Command {
    Append(Append),
    Remove {
        table: Table,
        seqs: Vec<Seq>,
        answer: oneshot::Sender<Result<u64, AppendError>>,
    },
    /// Carry out what happened to rows of the spool.
    Change {
        changes: Changes,
        answer: oneshot::Sender<Result<u64, AppendError>>,
    },
    /// Write into the history.
    Remember {
        rows: Vec<Row>,
        answer: oneshot::Sender<Result<u64, AppendError>>,
    },
    /// Look whether what kept it from writing has passed.
    Recheck,
    /// Finish what is queued and end.
    Close,
}

pub(crate) struct Append {
    pub(crate) row: Row,
    pub(crate) answer: oneshot::Sender<Result<Seq, AppendError>>,
    /// Says when the row need not be written any more: then nobody is answered.
    pub(crate) withdrawal: Option<Withdrawal>,
}

/// The one thread that writes.
///
/// ```text
/// append ─┐
/// append ─┼─> queue ─> take all there is ─> BEGIN, INSERT ..., counters, COMMIT (synced) ─> answers
/// append ─┘     ^                                      |
///               └──── the next batch gathers meanwhile ┘
/// ```
pub(crate) struct Writer {
    pub(crate) connection: Connection,
    pub(crate) queue: mpsc::Receiver<Command>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) room: Room,
    pub(crate) ballast: Ballast,
    pub(crate) wal: PathBuf,
    /// Held as long as the writer lives.
    pub(crate) lock: Lock,
    /// Dropped last: who waits for the end waits for this.
    pub(crate) ended: watch::Sender<()>,
}

/// What handles and writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) gauges: Gauges,
    pub(crate) state: Mutex<State>,
    pub(crate) retention: Mutex<Retention>,
}

// === impl Append ===

impl Append {
    fn is_withdrawn(&self) -> bool {
        self.withdrawal.as_ref().is_some_and(Withdrawal::is_withdrawn)
    }
}

// === impl Writer ===

impl Writer {
    /// Works until it is told to close, or nobody is left who could ask for anything.
    pub(crate) fn run(mut self) {
        let mut commands = Vec::with_capacity(BATCH_ROWS_MAX);
        let mut batch = Vec::with_capacity(BATCH_ROWS_MAX);
        while self.queue.blocking_recv_many(&mut commands, BATCH_ROWS_MAX) > 0 {
            self.work(&mut commands, &mut batch);
        }
        self.end();
    }

    fn work(&mut self, commands: &mut Vec<Command>, batch: &mut Vec<Append>) {
        let batch_bytes_max = self.shared.settings.batch_bytes_max();
        let mut bytes = 0;
        for command in commands.drain(..) {
            match command {
                Command::Append(append) if append.is_withdrawn() => {}
                Command::Append(append) => {
                    if bytes + append.row.bytes > batch_bytes_max {
                        self.append(batch);
                        bytes = 0;
                    }
                    bytes += append.row.bytes;
                    batch.push(append);
                }
                Command::Remove { table, seqs, answer } => {
                    self.append(batch);
                    bytes = 0;
                    // Who asked may have gone; the rows have gone all the same.
                    let removed = self.remove(table, &seqs);
                    answer.send(self.noted(Operation::Remove, removed)).ok();
                }
                Command::Change { changes, answer } => {
                    self.append(batch);
                    bytes = 0;
                    let changed = self.change(&changes);
                    answer.send(self.noted(Operation::Change, changed)).ok();
                }
                Command::Remember { rows, answer } => {
                    self.append(batch);
                    bytes = 0;
                    let remembered = self.remember(&rows);
                    answer.send(self.noted(Operation::Remember, remembered)).ok();
                }
                Command::Recheck => self.recheck(),
                // What was queued behind it is still taken.
                Command::Close => self.queue.close(),
            }
        }
        self.append(batch);
    }

    fn end(self) {
        let Self { connection, shared, lock, ended, .. } = self;
        shared.set_state(State::Unwritable(AppendError::Closed));
        // A reader may keep the log from being emptied; the next owner folds it in.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).ok();
        if let Err((_, error)) = connection.close() {
            tracing::warn!(%error, "the journal was not closed in order");
        }
        drop(lock);
        drop(ended);
    }

    /// Commits the batch and answers each; empty afterwards.
    fn append(&mut self, batch: &mut Vec<Append>) {
        if batch.is_empty() {
            return;
        }
        let answers = self.obstacle().map_or_else(|| self.commit(batch), Err);
        match answers {
            Ok(answers) => {
                for (append, answer) in batch.drain(..).zip(answers) {
                    // Who asked may have gone; the row stays, and a second one has the same id.
                    append.answer.send(answer).ok();
                }
            }
            Err(error) => {
                self.shared.gauges.count(Operation::Append, batch.len(), &error);
                for append in batch.drain(..) {
                    append.answer.send(Err(error.clone())).ok();
                }
            }
        }
    }

    /// The answer to a command, counted if it failed.
    fn noted(
        &self,
        operation: Operation,
        answer: Result<u64, AppendError>,
    ) -> Result<u64, AppendError> {
        answer.inspect_err(|error| self.shared.gauges.count(operation, 1, error))
    }

    /// Why nothing can be appended now.
    fn obstacle(&mut self) -> Option<AppendError> {
        if !self.ballast.take_back() {
            return Some(self.unwritable(AppendError::DiskFull));
        }
        let limit_bytes = self.shared.settings.wal_max_bytes;
        if self.wal_bytes() <= limit_bytes {
            return None;
        }
        self.checkpoint();
        let bytes = self.wal_bytes();
        (bytes > limit_bytes)
            .then(|| self.unwritable(AppendError::WalTooLarge { bytes, limit_bytes }))
    }

    fn commit(&mut self, batch: &[Append]) -> Result<Vec<Result<Seq, AppendError>>, AppendError> {
        let retention = self.shared.retention();
        let now = batch.iter().map(|a| a.row.stored).max().unwrap_or_default();
        let mut committed = self.try_commit(batch, retention, now);
        if committed.as_ref().is_err_and(|error| self.is_at_size_max(error))
            && self.room.counters.rows(Table::History) > 0
        {
            // What rows take is estimated. The history goes before anything is turned away.
            let needed: u64 = batch.iter().map(|append| append.row.bytes).sum();
            committed = self
                .room
                .give_up_history(&mut self.connection, 2 * needed)
                .and_then(|()| self.try_commit(batch, retention, now));
        }
        let answers = committed.map_err(|error| self.failed(error))?;
        self.expire(retention, now);
        self.shrink_history();
        self.shared.gauges.set_tables(&self.room.counters);
        self.writable();
        Ok(answers)
    }

    fn try_commit(
        &mut self,
        batch: &[Append],
        retention: Retention,
        now: Timestamp,
    ) -> rusqlite::Result<Vec<Result<Seq, AppendError>>> {
        self.room.make(&mut self.connection, batch, retention, now)?;
        insert(&mut self.connection, batch, &mut self.room)
    }

    /// Removes what is too much of the history: one step, or more while nobody waits.
    fn shrink_history(&mut self) {
        // A failure is one of the next append's, if it lasts.
        while let Ok(true) = self.room.history_step(&mut self.connection, 0, 0) {
            if !self.queue.is_empty() {
                break;
            }
        }
    }

    /// Writes into the history, unless that could stand in the way of an append. Whatever fails
    /// here is not said to fail for appends.
    fn remember(&mut self, rows: &[Row]) -> Result<u64, AppendError> {
        if !self.ballast.is_aboard() {
            return Err(AppendError::DiskFull);
        }
        let limit_bytes = self.shared.settings.wal_max_bytes / 4 * 3;
        if self.wal_bytes() > limit_bytes {
            self.checkpoint();
            let bytes = self.wal_bytes();
            if bytes > limit_bytes {
                return Err(AppendError::WalTooLarge { bytes, limit_bytes });
            }
        }
        let written = remember(&mut self.connection, &mut self.room, rows);
        self.shared.gauges.set_tables(&self.room.counters);
        written.map_err(|error| AppendError::Engine(Arc::new(error)))
    }

    /// Removes what has become too old: one step, or more while nobody waits.
    fn expire(&mut self, retention: Retention, now: Timestamp) {
        while let Some(max_age) = retention.max_age {
            match self.room.expire(&mut self.connection, max_age, now) {
                Ok(true) if self.queue.is_empty() => {}
                Ok(_) => break,
                Err(error) => {
                    self.failed(error);
                    break;
                }
            }
        }
    }

    fn remove(&mut self, table: Table, seqs: &[Seq]) -> Result<u64, AppendError> {
        let mut removed = self.try_remove(table, seqs);
        if let Err(AppendError::DiskFull) = removed {
            // The ballast was given up, for exactly this.
            removed = self.try_remove(table, seqs);
        }
        let rows = removed?;
        self.room.reload(&self.connection).map_err(|error| self.failed(error))?;
        self.shared.gauges.set_tables(&self.room.counters);
        Ok(rows)
    }

    /// Carries changes of the spool out. They are not synced: what a machine without power forgets
    /// of them is sent on once more.
    fn change(&mut self, changes: &Changes) -> Result<u64, AppendError> {
        let mut changed = self.try_change(changes);
        if let Err(AppendError::DiskFull) = changed {
            // The ballast was given up, for exactly this.
            changed = self.try_change(changes);
        }
        let rows = changed?;
        self.room.counters =
            Counters::load(&self.connection).map_err(|error| self.failed(error))?;
        self.shared.gauges.set_tables(&self.room.counters);
        Ok(rows)
    }

    fn try_change(&mut self, changes: &Changes) -> Result<u64, AppendError> {
        let changed =
            unsynced(&mut self.connection, |connection| spool::change(connection, changes));
        changed.map_err(|error| self.failed(error))
    }

    fn try_remove(&mut self, table: Table, seqs: &[Seq]) -> Result<u64, AppendError> {
        remove(&mut self.connection, table, seqs).map_err(|error| self.failed(error))
    }

    /// Believes only a commit: what failed may fail again.
    fn recheck(&mut self) {
        if self.obstacle().is_some() {
            return;
        }
        match self.connection.execute("UPDATE counters SET rows = rows", []) {
            Ok(_) => self.writable(),
            Err(error) => {
                self.failed(error);
            }
        }
    }

    fn wal_bytes(&self) -> u64 {
        // Without a log there is none to be too large.
        let bytes = std::fs::metadata(&self.wal).map_or(0, |found| found.len());
        self.shared.gauges.set_wal(bytes);
        bytes
    }

    /// Folds the log into the file and cuts it, unless a reader needs it; waits for none.
    fn checkpoint(&self) {
        let unwaited = self.connection.busy_timeout(std::time::Duration::ZERO);
        // What it could not do shows in the log's size.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).ok();
        if unwaited.and(self.connection.busy_timeout(super::open::BUSY_TIMEOUT)).is_err() {
            tracing::warn!("the journal's busy timeout cannot be set");
        }
    }

    /// Sorts a failure by what to do about it.
    fn failed(&mut self, error: rusqlite::Error) -> AppendError {
        let full = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) if self.is_at_size_max(&error) => {
                return self.unwritable(AppendError::SizeFull);
            }
            Some(ErrorCode::DiskFull) => true,
            Some(ErrorCode::DatabaseBusy) => return self.unwritable(AppendError::Busy),
            Some(_) => finds_no_room(&self.shared.settings.path),
            None => false,
        };
        if !full {
            return self.unwritable(AppendError::Engine(Arc::new(error)));
        }
        if self.ballast.is_aboard() {
            self.ballast.give_up();
        }
        self.unwritable(AppendError::DiskFull)
    }

    /// Whether the error says that the file has as many pages as it may.
    fn is_at_size_max(&self, error: &rusqlite::Error) -> bool {
        if error.sqlite_error_code() != Some(ErrorCode::DiskFull) {
            return false;
        }
        let read = |name| self.connection.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
        matches!((read("page_count"), read("max_page_count")), (Ok(has), Ok(most)) if has >= most)
    }

    fn unwritable(&self, error: AppendError) -> AppendError {
        self.shared.set_state(State::Unwritable(error.clone()));
        error
    }

    fn writable(&self) {
        self.shared.set_state(State::Writable);
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn retention(&self) -> Retention {
        *self.retention.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_state(&self, new: State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*state, &new) {
            (State::Writable, State::Unwritable(AppendError::Closed)) => {}
            (State::Writable, State::Unwritable(error)) => {
                tracing::warn!(%error, advice = error.advice(), "the journal takes no events");
            }
            (State::Unwritable(_), State::Writable) => {
                tracing::info!("the journal takes events again")
            }
            (State::Unwritable(_), State::Unwritable(_)) | (State::Writable, State::Writable) => {}
        }
        *state = new;
    }
}
