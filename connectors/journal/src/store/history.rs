//! The history's part of the store: the last of what was delivered elsewhere, as long as nothing
//! else needs the room.
//!
//! Nothing is owed for it. It is not synced, its failures say nothing of the journal, and what has
//! no room is not written.

use rusqlite::{Connection, TransactionBehavior};

use super::counters::Counters;
use super::insert::{bind, write_large_body};
use super::room::Room;
use super::row::Row;
use super::{Seq, Table};

const INSERT: &str =
    "INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?12, ?13, ?10, ?11)";

/// Writes rows in one transaction, in the place of the oldest where there is no other; tells how
/// many were written.
pub(crate) fn remember(
    connection: &mut Connection,
    room: &mut Room,
    rows: &[Row],
) -> rusqlite::Result<u64> {
    unsynced(connection, |connection| {
        room.make_for_history(connection, rows)?;
        insert(connection, room, rows)
    })
}

fn insert(connection: &mut Connection, room: &mut Room, rows: &[Row]) -> rusqlite::Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = Counters::load(&transaction)?;
    let mut counters = before;
    let mut written = 0;
    {
        let mut history = transaction.prepare_cached(INSERT)?;
        for row in rows {
            if room.admit(&counters, row).is_err() {
                continue;
            }
            let seq = Seq(counters.table(Table::History).next_seq);
            bind(&mut history, seq, row)?;
            write_large_body(&transaction, seq, row)?;
            counters.added(Table::History, row.bytes);
            written += 1;
        }
    }
    counters.save(&transaction, &before)?;
    transaction.commit()?;
    room.counters = counters;
    Ok(written)
}

/// Works without waiting for the disk: what a machine without power forgets of it does no harm.
pub(crate) fn unsynced<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let unsynced = connection.pragma_update(None, "synchronous", "normal");
    let done = unsynced.and_then(|()| work(connection));
    // Appends demand it by themselves; this is for whatever else is written.
    let synced = connection.pragma_update(None, "synchronous", "full");
    synced.and(done)
}
