//! The one writer: a thread that commits whatever has queued up, and answers after the commit.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use rusqlite::blob::{Blob, ZeroBlob};
use rusqlite::{Connection, ErrorCode, MAIN_DB, ToSql, Transaction, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};
use vodbridge_core::Timestamp;

use super::ballast::Ballast;
use super::counters::Counters;
use super::open::{OpenError, Opened};
use super::row::Row;
use super::state::Shared;
use super::{AppendError, Keep, Seq, Settings, Table};

/// Rows of one commit at the most.
const BATCH_ROWS_MAX: usize = 512;

/// Rows removed in one transaction at the most.
const REMOVE_ROWS_MAX: i64 = 500;

/// A larger body is written into its row piece by piece: bound as a value, it would be copied
/// twice, and the copies' memory kept.
const BIND_BYTES_MAX: usize = 256 * 1024;

/// What the writer is asked to do.
pub(super) enum Job {
    /// Append a row, and say which it became.
    Append(Box<Row>, Reply),
    /// Take nothing more, and end once the queue is empty.
    Close,
}

type Reply = oneshot::Sender<Result<Seq, AppendError>>;

struct Writer {
    connection: Connection,
    wal: PathBuf,
    settings: Settings,
    shared: Arc<Shared>,
    ballast: Ballast,
    is_in_trouble: bool,
    /// Held until the writer ends.
    _lock: fs::File,
}

/// Starts the writer on an open database.
pub(super) fn start(
    opened: Opened,
    settings: Settings,
    queue: mpsc::Receiver<Job>,
) -> Result<(Arc<Shared>, JoinHandle<()>), OpenError> {
    let Opened { connection, wal, lock } = opened;
    let shared = Arc::new(Shared::new(settings.path.clone()));
    let counters = Counters::load(&connection)
        .map_err(|source| OpenError::Database { path: settings.path.clone(), source })?;
    shared.committed(&counters, 0);
    let writer = Writer {
        connection,
        wal,
        ballast: Ballast::take(&settings.path),
        settings,
        shared: Arc::clone(&shared),
        is_in_trouble: false,
        _lock: lock,
    };
    let thread = thread::Builder::new().name("journal-writer".to_owned());
    let thread = thread.spawn(move || writer.run(queue)).map_err(OpenError::Thread)?;
    Ok((shared, thread))
}

impl Writer {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::with_capacity(BATCH_ROWS_MAX);
        let mut rows = Vec::with_capacity(BATCH_ROWS_MAX);
        while queue.blocking_recv_many(&mut jobs, BATCH_ROWS_MAX) > 0 {
            for job in jobs.drain(..) {
                match job {
                    Job::Append(row, reply) => rows.push((row, reply)),
                    Job::Close => queue.close(),
                }
            }
            if !rows.is_empty() {
                self.append(&mut rows);
            }
        }
        self.shared.set_trouble(Some(AppendError::Closed));
        // Only tidiness: the next open would do it.
        self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE").ok();
    }

    /// Commits a batch and answers everybody in it.
    fn append(&mut self, rows: &mut Vec<(Box<Row>, Reply)>) {
        let answers = match self.is_fit() {
            Ok(()) => self.commit(rows),
            Err(why) => Err(why),
        };
        let trouble = match &answers {
            Ok(answers) => answers.iter().find_map(|a| a.as_ref().err().cloned()),
            Err(why) => Some(why.clone()),
        };
        self.turn(trouble);
        // Whoever has gone meanwhile does not know, and needs no answer.
        match answers {
            Ok(answers) => {
                for ((_, reply), answer) in rows.drain(..).zip(answers) {
                    reply.send(answer).ok();
                }
            }
            Err(why) => {
                for (_, reply) in rows.drain(..) {
                    reply.send(Err(why.clone())).ok();
                }
            }
        }
    }

    /// Whether anything may be written at all.
    fn is_fit(&mut self) -> Result<(), AppendError> {
        if !self.ballast.is_room() {
            return Err(AppendError::DiskFull);
        }
        self.ballast.take_again();
        let wal_max_bytes = self.settings.wal_max_bytes;
        if self.wal_bytes() <= wal_max_bytes {
            return Ok(());
        }
        // Some reader has kept the log from being reset; perhaps it has gone.
        self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE").ok();
        if self.wal_bytes() <= wal_max_bytes {
            return Ok(());
        }
        Err(AppendError::WalFull { wal_max_bytes })
    }

    fn commit(
        &mut self,
        rows: &[(Box<Row>, Reply)],
    ) -> Result<Vec<Result<Seq, AppendError>>, AppendError> {
        match self.try_commit(rows) {
            Ok(answers) => Ok(answers),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                self.ballast.give_up();
                Err(AppendError::DiskFull)
            }
            Err(error) => Err(AppendError::Failed(Arc::new(error))),
        }
    }

    fn try_commit(
        &mut self,
        rows: &[(Box<Row>, Reply)],
    ) -> rusqlite::Result<Vec<Result<Seq, AppendError>>> {
        let share_bytes = self.settings.size_max_bytes / 2;
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = Counters::load(&transaction)?;
        let mut counters = before;
        let mut answers = Vec::with_capacity(rows.len());
        if let Some(max_age) = self.settings.retention.max_age {
            let now = Timestamp::from(SystemTime::now()).as_millis();
            let oldest = now.saturating_sub(u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX));
            remove(&transaction, &mut counters, Some(oldest))?;
        }
        for (row, _) in rows {
            if row.bytes > share_bytes {
                answers.push(Err(AppendError::TooLarge { bytes: row.bytes, share_bytes }));
                continue;
            }
            while counters.shared_bytes() + row.bytes > share_bytes
                && self.settings.retention.keep == Keep::Newest
                && remove(&transaction, &mut counters, None)? > 0
            {}
            if counters.shared_bytes() + row.bytes > share_bytes {
                answers.push(Err(AppendError::Full { share_bytes }));
                continue;
            }
            let seq = counters.table(row.table).next_seq;
            insert(&transaction, seq, row)?;
            counters.added(row.table, row.bytes);
            answers.push(Ok(Seq(seq)));
        }
        counters.save(&transaction, &before)?;
        transaction.commit()?;
        self.shared.committed(&counters, self.wal_bytes());
        Ok(answers)
    }

    /// Says aloud when trouble begins and when it ends, once each.
    fn turn(&mut self, trouble: Option<AppendError>) {
        match &trouble {
            Some(AppendError::Failed(why)) if !self.is_in_trouble => {
                error!(error = %why, "the journal cannot be written");
            }
            Some(why) if !self.is_in_trouble => warn!(error = %why, "the journal takes no more"),
            None if self.is_in_trouble => info!("the journal takes events again"),
            Some(_) | None => {}
        }
        if trouble.is_some() || self.is_in_trouble {
            self.is_in_trouble = trouble.is_some();
            self.shared.set_trouble(trouble);
        }
    }

    fn wal_bytes(&self) -> u64 {
        fs::metadata(&self.wal).map_or(0, |wal| wal.len())
    }
}

fn insert(transaction: &Transaction<'_>, seq: i64, row: &Row) -> rusqlite::Result<()> {
    let sql = match row.table {
        Table::Events => "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        Table::DeadLetters => {
            "INSERT INTO dead_letters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        }
    };
    let [event_type, application, file, task] = row.columns.each_ref().map(|c| c.as_deref());
    let is_large = row.body.len() > BIND_BYTES_MAX;
    let body: &dyn ToSql =
        if is_large { &ZeroBlob(row.body.len() as u64) } else { &row.body.as_ref() };
    let millis = |time: Timestamp| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    transaction.prepare_cached(sql)?.execute(params![
        seq,
        millis(row.stored),
        millis(row.time),
        i64::try_from(row.bytes).unwrap_or(i64::MAX),
        event_type,
        application,
        file,
        task,
        row.id.as_str(),
        row.head,
        body,
    ])?;
    if is_large {
        let blob = transaction.blob_open(MAIN_DB, row.table.name(), "body", seq, false)?;
        write_blob(blob, &row.body)?;
    }
    Ok(())
}

fn write_blob(mut blob: Blob<'_>, body: &[u8]) -> rusqlite::Result<()> {
    for (n, piece) in body.chunks(BIND_BYTES_MAX).enumerate() {
        blob.write_all_at(piece, n * BIND_BYTES_MAX)?;
    }
    blob.close()
}

/// Removes the oldest events, at most [`REMOVE_ROWS_MAX`]: all of them, or those that were stored
/// before a moment. Returns how many went.
fn remove(
    transaction: &Transaction<'_>,
    counters: &mut Counters,
    stored_before: Option<u64>,
) -> rusqlite::Result<u64> {
    let before = stored_before.map_or(i64::MAX, |m| i64::try_from(m).unwrap_or(i64::MAX));
    // Rows are stored in the order of their numbers, so the first that is young enough ends it.
    let mut oldest = transaction
        .prepare_cached("SELECT seq, stored, bytes FROM events ORDER BY seq LIMIT ?1")?;
    let mut found = oldest.query([REMOVE_ROWS_MAX])?;
    let (mut rows, mut bytes, mut last) = (0, 0, None);
    while let Some(row) = found.next()? {
        let (seq, stored): (i64, i64) = (row.get(0)?, row.get(1)?);
        if stored >= before {
            break;
        }
        rows += 1;
        bytes += row.get::<_, i64>(2)?.unsigned_abs();
        last = Some(seq);
    }
    if let Some(last) = last {
        transaction.prepare_cached("DELETE FROM events WHERE seq <= ?1")?.execute([last])?;
        counters.removed(Table::Events, rows, bytes);
    }
    Ok(rows)
}
