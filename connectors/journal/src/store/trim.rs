use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};
use vodbridge_core::Timestamp;

use super::counters::Counters;
use super::settings::STEP_ROWS_MAX;
use super::spool::{self, Changes};
use super::{Seq, Table};

/// Which of the oldest rows go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Those stored before this moment.
    OlderThan(Timestamp),
    /// So many, and as many as free so many bytes.
    Free { rows: u64, bytes: u64 },
}

/// What one step of removal did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trimmed {
    pub(crate) rows: usize,
    /// When the oldest row that is left was stored.
    pub(crate) oldest: Option<Timestamp>,
    pub(crate) counters: Counters,
}

/// Removes at most [`STEP_ROWS_MAX`] of the oldest rows of a table, in a transaction of its own.
pub(crate) fn trim(
    connection: &mut Connection,
    table: Table,
    goal: Goal,
) -> rusqlite::Result<Trimmed> {
    let (select, delete) = match table {
        Table::Events => (
            "SELECT seq, bytes, stored FROM events ORDER BY seq LIMIT ?1",
            "DELETE FROM events WHERE seq <= ?1",
        ),
        Table::History => (
            "SELECT seq, bytes, stored FROM history ORDER BY seq LIMIT ?1",
            "DELETE FROM history WHERE seq <= ?1",
        ),
        Table::DeadLetters | Table::Spool => unreachable!("these rows are never too old"),
    };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = Counters::load(&transaction)?;
    let (mut rows, mut bytes, mut last, mut oldest) = (0, 0, None, None);
    {
        let mut select = transaction.prepare_cached(select)?;
        let mut found = select.query([STEP_ROWS_MAX as i64 + 1])?;
        while let Some(row) = found.next()? {
            let stored = timestamp(row.get(2)?);
            let goes = match goal {
                Goal::OlderThan(moment) => stored < moment,
                Goal::Free { rows: so_many, bytes: wanted } => {
                    (rows as u64) < so_many || bytes < wanted
                }
            };
            if !goes || rows == STEP_ROWS_MAX {
                oldest = Some(stored);
                break;
            }
            rows += 1;
            bytes += row.get::<_, i64>(1)?.max(0).unsigned_abs();
            last = Some(row.get::<_, i64>(0)?);
        }
    }
    let mut counters = before;
    if let Some(last) = last {
        transaction.prepare_cached(delete)?.execute([last])?;
        counters.removed(table, rows as u64, bytes);
        counters.save(&transaction, &before)?;
    }
    transaction.commit()?;
    Ok(Trimmed { rows, oldest, counters })
}

/// Removes the rows `seqs`, at most [`STEP_ROWS_MAX`] in a transaction; tells how many were there.
pub(crate) fn remove(
    connection: &mut Connection,
    table: Table,
    seqs: &[Seq],
) -> rusqlite::Result<u64> {
    if table == Table::Spool {
        return spool::change(
            connection,
            &Changes { settled: seqs.to_vec(), ..Changes::default() },
        );
    }
    let mut rows = 0;
    for step in seqs.chunks(STEP_ROWS_MAX) {
        rows += remove_step(connection, table, step)?;
    }
    Ok(rows)
}

fn remove_step(connection: &mut Connection, table: Table, seqs: &[Seq]) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = Counters::load(&transaction)?;
    let (mut rows, mut bytes) = (0, 0);
    {
        let mut delete = transaction.prepare_cached(match table {
            Table::Events => "DELETE FROM events WHERE seq = ?1 RETURNING bytes",
            Table::DeadLetters => "DELETE FROM dead_letters WHERE seq = ?1 RETURNING bytes",
            Table::History => "DELETE FROM history WHERE seq = ?1 RETURNING bytes",
            Table::Spool => unreachable!("rows of the spool are removed by its own changes"),
        })?;
        for seq in seqs {
            let mut removed = delete.query([seq.0])?;
            while let Some(row) = removed.next()? {
                rows += 1;
                bytes += row.get::<_, i64>(0)?.max(0).unsigned_abs();
            }
        }
    }
    let mut counters = before;
    counters.removed(table, rows, bytes);
    counters.save(&transaction, &before)?;
    transaction.commit()?;
    Ok(rows)
}

/// When the oldest event was stored.
pub(crate) fn oldest(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let mut select = connection.prepare_cached("SELECT stored FROM events ORDER BY seq LIMIT 1")?;
    let mut rows = select.query([])?;
    rows.next()?.map(|row| row.get(0).map(timestamp)).transpose()
}

/// The moment before which events are too old.
pub(crate) fn cutoff(now: Timestamp, max_age: Duration) -> Timestamp {
    let age_millis = u64::try_from(max_age.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(age_millis))
}

pub(crate) fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis.max(0).unsigned_abs())
}
