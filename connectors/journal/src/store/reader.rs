use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row as Columns, TransactionBehavior};
use vodbridge_core::Timestamp;

use super::filter::Filter;
use super::open::{OpenError, open_to_read};
use super::record::Record;
use super::row::Kept;
use super::{Seq, Table};

/// Rows looked at in one transaction, so that no listing holds the write-ahead log.
const SCAN_ROWS_MAX: usize = 500;

/// Reads the store, in the process that owns it or beside it.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

/// Which rows come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest.
    NewestFirst,
    /// The oldest.
    OldestFirst,
}

/// Some rows of a listing.
#[derive(Debug)]
pub struct Page {
    /// Those that the filter admits.
    pub records: Vec<Record>,
    /// The last row that was looked at: where the next page begins.
    pub last: Option<Seq>,
    /// Whether nothing comes after it at the moment.
    pub is_end: bool,
}

/// Why a listing cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database does not answer.
    #[error("the journal cannot be read")]
    Database(#[from] rusqlite::Error),
    /// A row holds no event.
    #[error("row {0} of the journal is damaged")]
    Damaged(Seq),
}

impl Reader {
    /// Opens the store in a directory.
    ///
    /// # Errors
    ///
    /// When there is none, or it is of a later version.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { connection: open_to_read(path)? })
    }

    /// Looks at the rows that come after `after` and returns up to `limit` of those that the
    /// filter admits. One short transaction; a page may be empty without being the last.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn page(
        &mut self,
        table: Table,
        filter: &Filter,
        order: Order,
        after: Option<Seq>,
        limit: usize,
    ) -> Result<Page, ReadError> {
        let (from, comparison, direction) = match order {
            Order::NewestFirst => (after.map_or(i64::MAX, |s| s.0), "<", "DESC"),
            Order::OldestFirst => (after.map_or(0, |s| s.0), ">", "ASC"),
        };
        let sql = format!(
            "SELECT seq, stored, time, event_type, application, file, task, id, head, body \
             FROM {} WHERE seq {comparison} ?1 ORDER BY seq {direction}",
            table.name()
        );
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let mut select = transaction.prepare_cached(&sql)?;
        let mut rows = select.query([from])?;
        let mut page = Page { records: Vec::new(), last: after, is_end: false };
        let mut looked_at = 0;
        while looked_at < SCAN_ROWS_MAX && page.records.len() < limit {
            let Some(row) = rows.next()? else {
                page.is_end = true;
                break;
            };
            let kept = kept(row)?;
            looked_at += 1;
            page.last = Some(kept.seq);
            if filter.admits(&kept) {
                page.records.push(kept.record(table).ok_or(ReadError::Damaged(kept.seq))?);
            }
        }
        Ok(page)
    }

    /// The last row of a table; `None` if it has none.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub fn last(&mut self, table: Table) -> Result<Option<Seq>, ReadError> {
        let sql = format!("SELECT seq FROM {} ORDER BY seq DESC LIMIT 1", table.name());
        let seq = self.connection.query_row(&sql, [], |row| row.get(0)).optional()?;
        Ok(seq.map(Seq))
    }

    /// One row by its number.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn get(&mut self, table: Table, seq: Seq) -> Result<Option<Record>, ReadError> {
        let before = Seq(seq.0.saturating_sub(1));
        let page = self.page(table, &Filter::default(), Order::OldestFirst, Some(before), 1)?;
        Ok(page.records.into_iter().next().filter(|record| record.seq == seq))
    }
}

fn kept<'a>(row: &'a Columns<'_>) -> rusqlite::Result<Kept<'a>> {
    let text = |column: usize| -> rusqlite::Result<Option<&'a str>> {
        Ok(row.get_ref(column)?.as_str_or_null()?)
    };
    let moment = |column: usize| -> rusqlite::Result<Timestamp> {
        Ok(Timestamp::from_millis(row.get::<_, i64>(column)?.unsigned_abs()))
    };
    Ok(Kept {
        seq: Seq(row.get(0)?),
        stored: moment(1)?,
        time: moment(2)?,
        columns: [text(3)?, text(4)?, text(5)?, text(6)?],
        id: text(7)?.unwrap_or_default(),
        head: row.get_ref(8)?.as_blob()?,
        body: row.get_ref(9)?.as_blob()?,
    })
}
