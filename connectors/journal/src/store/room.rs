use std::time::Duration;

use rusqlite::Connection;
use vodbridge_core::Timestamp;

use super::counters::Counters;
use super::row::Row;
use super::trim::{Goal, Trimmed, cutoff, oldest, trim};
use super::writer::Append;
use super::{AppendError, Keep, Retention};

/// The share of events and dead letters: what is in it, and what leaves it for what comes.
#[derive(Debug)]
pub(crate) struct Room {
    /// As of the writer's last transaction; a second process may have removed more.
    pub(crate) counters: Counters,
    /// When the oldest event was stored, or earlier: spares a look at the table for each batch.
    pub(crate) oldest: Option<Timestamp>,
    limit_bytes: u64,
}

// === impl Room ===

impl Room {
    pub(crate) fn load(connection: &Connection, limit_bytes: u64) -> rusqlite::Result<Self> {
        let counters = Counters::load(connection)?;
        Ok(Self { counters, oldest: oldest(connection)?, limit_bytes })
    }

    /// Looks again after rows were removed.
    pub(crate) fn reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        *self = Self::load(connection, self.limit_bytes)?;
        Ok(())
    }

    /// Whether the row fits beside what is there.
    pub(crate) fn admit(&self, counters: &Counters, row: &Row) -> Result<(), AppendError> {
        if counters.shared_bytes() + row.bytes <= self.limit_bytes {
            return Ok(());
        }
        Err(AppendError::ShareFull { table: row.table, limit_bytes: self.limit_bytes })
    }

    /// Removes what retention lets go until the batch fits, or nothing more may go.
    pub(crate) fn make(
        &mut self,
        connection: &mut Connection,
        batch: &[Append],
        retention: Retention,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let needed: u64 = batch.iter().map(|append| append.row.bytes).sum();
        if self.over(needed) > 0 {
            self.reload(connection)?;
        }
        loop {
            let over = self.over(needed);
            if over == 0 {
                return Ok(());
            }
            let expired = retention.max_age.map(|age| cutoff(now, age));
            let goal = match expired.filter(|moment| self.oldest.is_some_and(|o| o < *moment)) {
                Some(moment) => Goal::OlderThan(moment),
                // A little more than is needed, so that not every batch removes something.
                // It makes room for dead letters too: nothing else ever would.
                None if retention.keep == Keep::Newest => Goal::Free(over + self.limit_bytes / 64),
                None => return Ok(()),
            };
            if self.trim(connection, goal)?.rows == 0 && matches!(goal, Goal::Free(_)) {
                return Ok(());
            }
        }
    }

    /// Removes one step of what is older than `max_age`; tells whether there may be more.
    pub(crate) fn expire(
        &mut self,
        connection: &mut Connection,
        max_age: Duration,
        now: Timestamp,
    ) -> rusqlite::Result<bool> {
        let moment = cutoff(now, max_age);
        if self.oldest.is_none_or(|oldest| oldest >= moment) {
            return Ok(false);
        }
        let trimmed = self.trim(connection, Goal::OlderThan(moment))?;
        Ok(trimmed.oldest.is_some_and(|oldest| oldest < moment))
    }

    fn over(&self, needed: u64) -> u64 {
        (self.counters.shared_bytes() + needed).saturating_sub(self.limit_bytes)
    }

    fn trim(&mut self, connection: &mut Connection, goal: Goal) -> rusqlite::Result<Trimmed> {
        let trimmed = trim(connection, goal)?;
        self.counters = trimmed.counters;
        self.oldest = trimmed.oldest;
        Ok(trimmed)
    }
}
