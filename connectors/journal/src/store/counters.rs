use rusqlite::Connection;

use super::Table;

/// Rows and bytes of every table, kept beside them in the same transaction, because counting a
/// million rows takes seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters([Counter; Table::ALL.len()]);

/// The counters of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
    /// The number of the next row. Numbers are not used again, or who follows a table by the
    /// last number it has seen would miss rows.
    pub(crate) next_seq: i64,
}

// === impl Counters ===

impl Counters {
    /// Read inside each writing transaction: a second process may have removed rows.
    pub(crate) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut counters = Self::default();
        let mut select = connection
            .prepare_cached("SELECT rows, bytes, next_seq FROM counters ORDER BY number")?;
        let mut rows = select.query([])?;
        for counter in &mut counters.0 {
            let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            *counter = Counter { rows: row.get(0)?, bytes: row.get(1)?, next_seq: row.get(2)? };
        }
        Ok(counters)
    }

    /// Writes what differs from `before`.
    pub(crate) fn save(&self, connection: &Connection, before: &Self) -> rusqlite::Result<()> {
        let mut update = connection.prepare_cached(
            "UPDATE counters SET rows = ?2, bytes = ?3, next_seq = ?4 WHERE number = ?1",
        )?;
        for table in Table::ALL {
            let counter = self.table(table);
            if counter != before.table(table) {
                let values = (table.number(), counter.rows, counter.bytes, counter.next_seq);
                update.execute(values)?;
            }
        }
        Ok(())
    }

    pub(crate) fn table(&self, table: Table) -> &Counter {
        &self.0[table.index()]
    }

    pub(crate) fn added(&mut self, table: Table, bytes: u64) {
        let counter = &mut self.0[table.index()];
        counter.rows += 1;
        counter.bytes += signed(bytes);
        counter.next_seq += 1;
    }

    pub(crate) fn removed(&mut self, table: Table, rows: u64, bytes: u64) {
        let counter = &mut self.0[table.index()];
        counter.rows -= signed(rows);
        counter.bytes -= signed(bytes);
    }

    /// What events and dead letters take together.
    pub(crate) fn shared_bytes(&self) -> u64 {
        self.bytes(Table::Events) + self.bytes(Table::DeadLetters)
    }

    /// What all tables take but the history.
    pub(crate) fn owed_bytes(&self) -> u64 {
        self.shared_bytes() + self.bytes(Table::Spool)
    }

    pub(crate) fn rows(&self, table: Table) -> u64 {
        self.table(table).rows.max(0).unsigned_abs()
    }

    pub(crate) fn bytes(&self, table: Table) -> u64 {
        self.table(table).bytes.max(0).unsigned_abs()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("what is counted lies on one disk")
}
