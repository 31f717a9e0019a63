use std::time::Duration;

use rusqlite::Connection;
use vodbridge_core::Timestamp;

use super::counters::Counters;
use super::history::unsynced;
use super::row::Row;
use super::trim::{Goal, Trimmed, cutoff, oldest, trim};
use super::writer::Append;
use super::{AppendError, Keep, Retention, Settings, Table};

/// The shares: what is in them, and what leaves them for what comes.
#[derive(Debug)]
pub(crate) struct Room {
    /// As of the writer's last transaction; a second process may have removed more.
    pub(crate) counters: Counters,
    /// When the oldest event was stored, or earlier: spares a look at the table for each batch.
    pub(crate) oldest: Option<Timestamp>,
    limit_bytes: u64,
    spool_limit_bytes: u64,
    tables_limit_bytes: u64,
    history_limit_bytes: u64,
    history_rows_max: u64,
}

// === impl Room ===

impl Room {
    pub(crate) fn load(connection: &Connection, settings: &Settings) -> rusqlite::Result<Self> {
        Ok(Self {
            counters: Counters::load(connection)?,
            oldest: oldest(connection)?,
            limit_bytes: settings.share_bytes(),
            spool_limit_bytes: settings.spool_bytes(),
            tables_limit_bytes: settings.tables_bytes(),
            history_limit_bytes: settings.history_bytes(),
            history_rows_max: settings.history_rows_max,
        })
    }

    /// Looks again after rows were removed.
    pub(crate) fn reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.counters = Counters::load(connection)?;
        self.oldest = oldest(connection)?;
        Ok(())
    }

    /// Whether the row fits beside what is there.
    pub(crate) fn admit(&self, counters: &Counters, row: &Row) -> Result<(), AppendError> {
        let (taken, limit_bytes) = match row.table {
            Table::Events | Table::DeadLetters => (counters.shared_bytes(), self.limit_bytes),
            Table::Spool => (counters.bytes(Table::Spool), self.spool_limit_bytes),
            Table::History if counters.rows(Table::History) < self.history_rows_max => {
                (counters.bytes(Table::History), self.history_limit(counters))
            }
            Table::History => (0, 0),
        };
        if taken + row.bytes <= limit_bytes {
            return Ok(());
        }
        Err(AppendError::ShareFull { table: row.table, limit_bytes })
    }

    /// Removes the history, and what retention lets go, until the batch fits or nothing more may go.
    pub(crate) fn make(
        &mut self,
        connection: &mut Connection,
        batch: &[Append],
        retention: Retention,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        self.make_in_share(connection, batch, retention, now)?;
        let needed = batch.iter().map(|append| append.row.bytes).sum();
        self.displace_history(connection, needed)
    }

    fn make_in_share(
        &mut self,
        connection: &mut Connection,
        batch: &[Append],
        retention: Retention,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let shared = batch.iter().filter(|append| append.row.table != Table::Spool);
        let needed: u64 = shared.map(|append| append.row.bytes).sum();
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
                None if retention.keep == Keep::Newest => {
                    Goal::Free { rows: 0, bytes: over + self.limit_bytes / 64 }
                }
                None => return Ok(()),
            };
            if self.trim(connection, goal)?.rows == 0 && matches!(goal, Goal::Free { .. }) {
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

    /// Removes the oldest of the history until so many bytes of other rows have room.
    fn displace_history(
        &mut self,
        connection: &mut Connection,
        needed: u64,
    ) -> rusqlite::Result<()> {
        let over = |counters: &Counters, limit_bytes: u64| {
            let taken = counters.owed_bytes() + counters.bytes(Table::History) + needed;
            taken.saturating_sub(limit_bytes)
        };
        if over(&self.counters, self.tables_limit_bytes) > 0 {
            self.counters = Counters::load(connection)?;
        }
        loop {
            let over = over(&self.counters, self.tables_limit_bytes);
            if over == 0 || self.counters.rows(Table::History) == 0 {
                return Ok(());
            }
            // A little more than is needed, so that not every batch removes something.
            self.trim_history(connection, 0, over + self.tables_limit_bytes / 256)?;
        }
    }

    /// Removes so many bytes of the history, whatever room there seems to be.
    pub(crate) fn give_up_history(
        &mut self,
        connection: &mut Connection,
        bytes: u64,
    ) -> rusqlite::Result<()> {
        let left = self.counters.bytes(Table::History).saturating_sub(bytes);
        while self.counters.rows(Table::History) > 0 && self.counters.bytes(Table::History) > left {
            self.trim_history(connection, 0, bytes)?;
        }
        Ok(())
    }

    /// Removes the oldest of the history until these rows fit into it; one that is too large for
    /// all of it displaces nothing.
    pub(crate) fn make_for_history(
        &mut self,
        connection: &mut Connection,
        rows: &[Row],
    ) -> rusqlite::Result<()> {
        let limit_bytes = self.history_limit(&self.counters);
        let fitting = rows.iter().map(|row| row.bytes).filter(|bytes| *bytes <= limit_bytes);
        let (count, bytes) = fitting.fold((0, 0), |(n, sum), bytes| (n + 1, sum + bytes));
        while self.history_step(connection, count, bytes)? {}
        Ok(())
    }

    /// Removes one step of the history if so many further rows and bytes have no room in it; tells
    /// whether there may be more to remove.
    pub(crate) fn history_step(
        &mut self,
        connection: &mut Connection,
        rows: u64,
        bytes: u64,
    ) -> rusqlite::Result<bool> {
        let (found, taken) =
            (self.counters.rows(Table::History), self.counters.bytes(Table::History));
        let limit_bytes = self.history_limit(&self.counters);
        let over = |wanted: u64, limit: u64, slack: u64| match wanted.saturating_sub(limit) {
            0 => 0,
            // A little more than is needed, so that not every batch removes something.
            over => over + slack / 64,
        };
        let rows = over(found + rows, self.history_rows_max, self.history_rows_max);
        let bytes = over(taken + bytes, limit_bytes, self.history_limit_bytes);
        if found == 0 || rows + bytes == 0 {
            return Ok(false);
        }
        self.trim_history(connection, rows, bytes)?;
        Ok(true)
    }

    /// What the history may take beside the others.
    fn history_limit(&self, counters: &Counters) -> u64 {
        self.tables_limit_bytes.saturating_sub(counters.owed_bytes()).min(self.history_limit_bytes)
    }

    /// One step.
    fn trim_history(
        &mut self,
        connection: &mut Connection,
        rows: u64,
        bytes: u64,
    ) -> rusqlite::Result<()> {
        let goal = Goal::Free { rows, bytes };
        let trimmed = unsynced(connection, |connection| trim(connection, Table::History, goal))?;
        self.counters = trimmed.counters;
        Ok(())
    }

    fn over(&self, needed: u64) -> u64 {
        (self.counters.shared_bytes() + needed).saturating_sub(self.limit_bytes)
    }

    fn trim(&mut self, connection: &mut Connection, goal: Goal) -> rusqlite::Result<Trimmed> {
        let trimmed = trim(connection, Table::Events, goal)?;
        self.counters = trimmed.counters;
        self.oldest = trimmed.oldest;
        Ok(trimmed)
    }
}
