//! Rows on their way into their tables.

use rusqlite::blob::ZeroBlob;
use rusqlite::{CachedStatement, Connection, MAIN_DB, ToSql, Transaction, TransactionBehavior};
use vodbridge_core::Timestamp;

use super::counters::Counters;
use super::names::joined;
use super::room::Room;
use super::row::{Letter, Row};
use super::spool::Applications;
use super::writer::Append;
use super::{AppendError, Seq, Table};

/// A larger body is written into its row piece by piece: bound as a value, the engine copies it
/// twice, and the C allocator keeps that memory.
const BIND_BYTES_MAX: usize = 256 << 10;

/// Writes what has room in one transaction and tells of each row where it is.
pub(crate) fn insert(
    connection: &mut Connection,
    batch: &[Append],
    room: &mut Room,
) -> rusqlite::Result<Vec<Result<Seq, AppendError>>> {
    // Whatever was done unsynced before: an append is acknowledged after a synced commit or not at
    // all, and if this cannot be set it is not.
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = Counters::load(&transaction)?;
    let mut counters = before;
    let mut answers = Vec::with_capacity(batch.len());
    let mut oldest = room.oldest;
    let mut applications = Applications::default();
    {
        let mut events = transaction.prepare_cached(INSERT_EVENT)?;
        let mut dead_letters = transaction.prepare_cached(INSERT_DEAD_LETTER)?;
        let mut spool = transaction.prepare_cached(INSERT_SPOOL)?;
        for Append { row, .. } in batch {
            if let Err(error) = room.admit(&counters, row) {
                answers.push(Err(error));
                continue;
            }
            let seq = Seq(counters.table(row.table).next_seq);
            match row.table {
                Table::Events => {
                    oldest.get_or_insert(row.stored);
                    bind(&mut events, seq, row)?;
                }
                Table::DeadLetters => bind(&mut dead_letters, seq, row)?,
                Table::Spool => {
                    applications.add(row.application(), 1);
                    bind(&mut spool, seq, row)?;
                }
                Table::History => unreachable!("nobody waits for a row of the history"),
            }
            write_large_body(&transaction, seq, row)?;
            counters.added(row.table, row.bytes);
            answers.push(Ok(seq));
        }
    }
    counters.save(&transaction, &before)?;
    applications.save(&transaction)?;
    transaction.commit()?;
    room.counters = counters;
    room.oldest = oldest;
    Ok(answers)
}

const INSERT_EVENT: &str =
    "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const INSERT_DEAD_LETTER: &str =
    "INSERT INTO dead_letters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const INSERT_SPOOL: &str =
    "INSERT INTO spool VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?12, ?13, ?10, ?11)";

/// Binds the columns that every table has to `?1` to `?11`, those of one table from `?12` on.
pub(crate) fn bind(insert: &mut CachedStatement<'_>, seq: Seq, row: &Row) -> rusqlite::Result<()> {
    let [event_type, application, file, task] = row.columns.each_ref().map(|c| c.as_deref());
    let body: &dyn ToSql = if row.body.len() > BIND_BYTES_MAX {
        &ZeroBlob(row.body.len() as u64)
    } else {
        &row.body.as_ref()
    };
    let columns: [&dyn ToSql; 11] = [
        &seq.0,
        &millis(row.stored),
        &millis(row.time),
        &i64::try_from(row.bytes).expect("a row is smaller than the journal"),
        &event_type,
        &application,
        &file,
        &task,
        &row.id.as_str(),
        &row.head.as_slice(),
        body,
    ];
    for (column, value) in (1..).zip(columns) {
        insert.raw_bind_parameter(column, value)?;
    }
    match row.table {
        Table::Events | Table::DeadLetters => {}
        Table::Spool => {
            let (reason, detail) = row.letter.as_deref().map(Letter::parts).unzip();
            insert.raw_bind_parameter(12, reason)?;
            insert.raw_bind_parameter(13, detail)?;
        }
        Table::History => {
            let delivery = row.delivery.as_deref().expect("a row of the history tells of it");
            insert.raw_bind_parameter(12, delivery.route.as_str())?;
            insert.raw_bind_parameter(13, joined(&delivery.acknowledged))?;
        }
    }
    insert.raw_execute()?;
    Ok(())
}

/// Fills the place that [`bind`] has left for a large body, if it has left one.
pub(crate) fn write_large_body(
    transaction: &Transaction<'_>,
    seq: Seq,
    row: &Row,
) -> rusqlite::Result<()> {
    if row.body.len() <= BIND_BYTES_MAX {
        return Ok(());
    }
    let mut blob = transaction.blob_open(MAIN_DB, row.table.name(), "body", seq.0, false)?;
    for (n, piece) in row.body.chunks(BIND_BYTES_MAX).enumerate() {
        blob.write_all_at(piece, n * BIND_BYTES_MAX)?;
    }
    blob.close()
}

fn millis(moment: Timestamp) -> i64 {
    i64::try_from(moment.as_millis()).expect("a timestamp ends with the year 9999")
}
