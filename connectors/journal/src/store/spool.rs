//! The spool's part of the store: what came in, until it has settled.
//!
//! ```text
//! callback -> append -> committed -> [deferred: marked with the legs that have it] -> settled: gone
//!                                          ^                   |
//!                                          +---- sent on <-----+    also by the next process
//! ```

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use smol_str::SmolStr;

use super::counters::Counters;
use super::names::{joined, parted};
use super::settings::STEP_ROWS_MAX;
use super::{Seq, Table};

/// What happened to rows of the spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Their events have settled: they go.
    pub settled: Vec<Seq>,
    /// They wait on, with what was done for their events so far.
    pub marked: Vec<(Seq, Done)>,
}

/// What was done for an event whose delivery was deferred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many deliveries of it panicked.
    pub panics: u32,
    /// The connectors that have it, by name.
    pub acknowledged: Vec<SmolStr>,
    /// The connectors that refused it and whose dead letter is acknowledged.
    pub lettered: Vec<SmolStr>,
}

// === impl Changes ===

impl Changes {
    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.settled.is_empty() && self.marked.is_empty()
    }

    /// How many rows it is about.
    pub fn len(&self) -> usize {
        self.settled.len() + self.marked.len()
    }
}

// === impl Done ===

impl Done {
    pub(crate) fn read(panics: u32, acknowledged: &str, lettered: &str) -> Self {
        Self { panics, acknowledged: parted(acknowledged), lettered: parted(lettered) }
    }
}

/// Carries the changes out, at most [`STEP_ROWS_MAX`] rows in a transaction; tells how many rows
/// went.
pub(crate) fn change(connection: &mut Connection, changes: &Changes) -> rusqlite::Result<u64> {
    for step in changes.marked.chunks(STEP_ROWS_MAX) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (seq, done) in step {
            mark(&transaction, *seq, done)?;
        }
        transaction.commit()?;
    }
    let mut removed = 0;
    for step in changes.settled.chunks(STEP_ROWS_MAX) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        removed += remove(&transaction, step)?;
        transaction.commit()?;
    }
    Ok(removed)
}

fn mark(transaction: &Transaction<'_>, seq: Seq, done: &Done) -> rusqlite::Result<()> {
    // Of a row that is gone nothing is to be remembered.
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO spool_progress
         SELECT seq, ?2, ?3, ?4 FROM spool WHERE seq = ?1",
    )?;
    insert.execute((seq.0, done.panics, joined(&done.acknowledged), joined(&done.lettered)))?;
    Ok(())
}

fn remove(transaction: &Transaction<'_>, seqs: &[Seq]) -> rusqlite::Result<u64> {
    let before = Counters::load(transaction)?;
    let mut counters = before;
    let mut gone = Applications::default();
    let mut rows = 0;
    {
        let mut delete = transaction
            .prepare_cached("DELETE FROM spool WHERE seq = ?1 RETURNING bytes, application")?;
        let mut forget = transaction.prepare_cached("DELETE FROM spool_progress WHERE seq = ?1")?;
        for seq in seqs {
            let found = delete
                .query_row([seq.0], |row| {
                    let application = row.get_ref(1)?.as_str_or_null()?.unwrap_or_default();
                    gone.add(application, -1);
                    row.get::<_, i64>(0)
                })
                .optional()?;
            if let Some(bytes) = found {
                counters.removed(Table::Spool, 1, bytes.max(0).unsigned_abs());
                rows += 1;
            }
            forget.execute([seq.0])?;
        }
    }
    counters.save(transaction, &before)?;
    gone.save(transaction)?;
    Ok(rows)
}

/// How the numbers of rows of the applications change in one transaction. They are kept beside
/// the rows, because counting a million takes seconds.
#[derive(Debug, Default)]
pub(crate) struct Applications(BTreeMap<SmolStr, i64>);

impl Applications {
    pub(crate) fn add(&mut self, application: &str, rows: i64) {
        match self.0.get_mut(application) {
            Some(count) => *count += rows,
            None => drop(self.0.insert(SmolStr::new(application), rows)),
        }
    }

    pub(crate) fn save(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut upsert = connection.prepare_cached(
            "INSERT INTO spool_applications VALUES (?1, ?2)
             ON CONFLICT (application) DO UPDATE SET rows = rows + excluded.rows",
        )?;
        for (application, rows) in &self.0 {
            upsert.execute((application.as_str(), rows))?;
        }
        Ok(())
    }
}

/// How many rows each application has in the spool.
pub(crate) fn applications(connection: &Connection) -> rusqlite::Result<Vec<(SmolStr, u64)>> {
    let mut select = connection.prepare("SELECT application, rows FROM spool_applications")?;
    let rows = select.query_map([], |row| {
        let application = row.get_ref(0)?.as_str()?;
        Ok((SmolStr::new(application), row.get::<_, i64>(1)?.max(0).unsigned_abs()))
    })?;
    rows.filter(|row| row.as_ref().map_or(true, |(_, rows)| *rows > 0)).collect()
}
