use std::path::Path;

use rusqlite::{Connection, Row};

use super::counters::Counters;
use super::row::Kept;
use super::settings::STEP_ROWS_MAX;
use super::trim::timestamp;
use super::{Filter, OpenError, Record, Seq, Table, TableUsage, open};

/// Bytes of events in one page, unless a single event is larger.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// A journal opened for reading, in the owner's process or in any other.
///
/// Every look is a transaction of its own over at most [`STEP_ROWS_MAX`] rows and none is held
/// between two calls, so a reader that prints slowly holds nobody up.
#[derive(Debug)]
pub struct Reader(Connection);

/// Where a listing stands, and which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// Oldest first, from the row after this one.
    After(Seq),
    /// Newest first, from the row before this one.
    Before(Seq),
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// What the filter admits, in the cursor's order.
    pub records: Vec<Record>,
    /// Where the next page begins; at the end it waits for rows that are still to come.
    pub next: Cursor,
    /// No further row was there.
    pub is_last: bool,
}

/// Why a page cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A row that is no event.
    #[error("row {seq} of {} is damaged; pass it over by a cursor behind it", table.name())]
    Damaged {
        /// Where it lies.
        table: Table,
        /// Its number.
        seq: Seq,
    },
    /// The engine fails.
    #[error("the journal cannot be read")]
    Engine(#[from] rusqlite::Error),
}

// === impl Cursor ===

impl Cursor {
    /// Everything, oldest first.
    pub const OLDEST: Self = Self::After(Seq(0));
    /// Everything, newest first.
    pub const NEWEST: Self = Self::Before(Seq(i64::MAX));
}

// === impl Reader ===

impl Reader {
    /// Opens the journal in the directory `path`; its owner may be running or not.
    ///
    /// # Errors
    ///
    /// Each says the way out; see [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        open::open_to_read(path).map(Self)
    }

    /// Rows and bytes of a table as of the last transaction.
    ///
    /// # Errors
    ///
    /// The engine fails.
    pub fn usage(&self, table: Table) -> Result<TableUsage, ReadError> {
        let counters = Counters::load(&self.0)?;
        let of = counters.table(table);
        let number = |n: i64| n.max(0).unsigned_abs();
        Ok(TableUsage { rows: number(of.rows), bytes: number(of.bytes) })
    }

    /// The next records that `filter` admits: at most `limit`, fewer at the end or when they are
    /// large ([`PAGE_BYTES_MAX`]). Goes on from look to look until it has them.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn page(
        &mut self,
        table: Table,
        filter: &Filter,
        from: Cursor,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let mut page = Page { records: Vec::new(), next: from, is_last: false };
        let mut bytes = 0;
        while page.records.len() < limit && bytes < PAGE_BYTES_MAX && !page.is_last {
            bytes += self.look(table, filter, limit, bytes, &mut page)?;
        }
        Ok(page)
    }

    /// The record with this number, if it is there.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn get(&mut self, table: Table, seq: Seq) -> Result<Option<Record>, ReadError> {
        let from = Cursor::After(Seq(seq.0.saturating_sub(1)));
        let page = self.page(table, &Filter::default(), from, 1)?;
        Ok(page.records.into_iter().next().filter(|record| record.seq == seq))
    }

    /// One transaction: adds to the page and tells how many bytes.
    fn look(
        &mut self,
        table: Table,
        filter: &Filter,
        limit: usize,
        bytes_before: usize,
        page: &mut Page,
    ) -> Result<usize, ReadError> {
        let mut bytes = 0;
        let mut select = self.0.prepare_cached(select(table, page.next))?;
        let (Cursor::After(from) | Cursor::Before(from)) = page.next;
        let mut rows = select.query((from.0, STEP_ROWS_MAX as i64))?;
        for _ in 0..STEP_ROWS_MAX {
            let Some(row) = rows.next()? else {
                page.is_last = true;
                break;
            };
            let seq = Seq(row.get(0)?);
            page.next = match page.next {
                Cursor::After(_) => Cursor::After(seq),
                Cursor::Before(_) => Cursor::Before(seq),
            };
            let mut kept = columns(row, seq)?;
            if !filter.admits(&kept) {
                continue;
            }
            // Read only now: what is passed over leaves its long columns on the disk.
            kept.head = blob(row, 8)?;
            kept.body = blob(row, 9)?;
            if table == Table::History {
                let text = |column| row.get_ref(column).and_then(|v| Ok(v.as_str()?));
                kept.delivery = Some([text(10)?, text(11)?]);
            }
            bytes += kept.body.len();
            let record = kept.record(table).ok_or(ReadError::Damaged { table, seq })?;
            page.records.push(record);
            if page.records.len() >= limit || bytes_before + bytes >= PAGE_BYTES_MAX {
                break;
            }
        }
        Ok(bytes)
    }
}

fn select(table: Table, cursor: Cursor) -> &'static str {
    match (table, cursor) {
        (Table::Events, Cursor::After(_)) => {
            "SELECT seq, stored, time, event_type, application, file, task, id, head, body
             FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2"
        }
        (Table::Events, Cursor::Before(_)) => {
            "SELECT seq, stored, time, event_type, application, file, task, id, head, body
             FROM events WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"
        }
        (Table::DeadLetters, Cursor::After(_)) => {
            "SELECT seq, stored, time, event_type, application, file, task, id, head, body
             FROM dead_letters WHERE seq > ?1 ORDER BY seq LIMIT ?2"
        }
        (Table::DeadLetters, Cursor::Before(_)) => {
            "SELECT seq, stored, time, event_type, application, file, task, id, head, body
             FROM dead_letters WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"
        }
        (Table::Spool, Cursor::After(_)) => {
            "SELECT seq, stored, time, event_type, application, file, task, id, head, body
             FROM spool WHERE seq > ?1 ORDER BY seq LIMIT ?2"
        }
        (Table::Spool, Cursor::Before(_)) => {
            "SELECT seq, stored, time, event_type, application, file, task, id, head, body
             FROM spool WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"
        }
        (Table::History, Cursor::After(_)) => {
            "SELECT seq, stored, time, event_type, application, file, task, id, head, body,
                    route, acknowledged
             FROM history WHERE seq > ?1 ORDER BY seq LIMIT ?2"
        }
        (Table::History, Cursor::Before(_)) => {
            "SELECT seq, stored, time, event_type, application, file, task, id, head, body,
                    route, acknowledged
             FROM history WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"
        }
    }
}

pub(crate) fn columns<'a>(row: &'a Row<'_>, seq: Seq) -> rusqlite::Result<Kept<'a>> {
    let text = |column| row.get_ref(column).and_then(|v| Ok(v.as_str_or_null()?));
    Ok(Kept {
        seq,
        stored: timestamp(row.get(1)?),
        time: timestamp(row.get(2)?),
        columns: [text(3)?, text(4)?, text(5)?, text(6)?],
        id: text(7)?.unwrap_or_default(),
        head: &[],
        body: &[],
        delivery: None,
    })
}

pub(crate) fn blob<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a [u8]> {
    Ok(row.get_ref(column)?.as_blob()?)
}
