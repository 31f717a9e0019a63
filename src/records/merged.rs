use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io;

use vodbridge_journal::{Cursor, Filter, PAGE_BYTES_MAX, Reader, Record, Seq, Table};

use super::place::Of;

/// Rows read at a time; none are locked while they are printed or sent.
pub(crate) const PAGE_ROWS: usize = 500;

/// The rows of one or more tables as one listing, in the order in which they were stored.
#[derive(Debug)]
pub(crate) struct Merged {
    sides: Vec<Side>,
    order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
}

#[derive(Debug)]
struct Side {
    table: Table,
    cursor: Cursor,
    /// No row behind it is looked at.
    last: Option<Seq>,
    found: VecDeque<Record>,
    is_at_end: bool,
}

// === impl Merged ===

impl Merged {
    /// Everything that is there now. What comes meanwhile is left alone.
    pub(crate) fn as_of_now(reader: &mut Reader, of: Of, order: Order) -> io::Result<Self> {
        let side = |&table: &Table| {
            let newest = reader.page(table, &Filter::default(), Cursor::NEWEST, 1);
            let newest = newest.map_err(io::Error::other)?.records;
            let last = newest.first().map_or(Seq::default(), |record| record.seq);
            let cursor = match order {
                Order::OldestFirst => Cursor::OLDEST,
                Order::NewestFirst => Cursor::Before(Seq::new(last.get() + 1)),
            };
            Ok(Side::new(table, cursor, Some(last)))
        };
        let sides = of.tables().iter().map(side).collect::<io::Result<_>>()?;
        Ok(Self { sides, order })
    }

    /// What comes after that, as it comes.
    pub(crate) fn afterwards(&self) -> Self {
        let side = |side: &Side| {
            let from = side.last.map_or(Cursor::OLDEST, Cursor::After);
            Side::new(side.table, from, None)
        };
        Self { sides: self.sides.iter().map(side).collect(), order: Order::OldestFirst }
    }

    /// The next rows that `filter` admits, at most `limit`; none at the end, where a later call
    /// looks again.
    pub(crate) fn next(
        &mut self,
        reader: &mut Reader,
        filter: &Filter,
        limit: usize,
    ) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < limit && bytes < PAGE_BYTES_MAX {
            for side in &mut self.sides {
                side.fill(reader, filter, limit)?;
            }
            let (sides, order) = (&mut self.sides, self.order);
            let candidates = sides.iter_mut().filter(|side| !side.found.is_empty());
            let next = match order {
                Order::OldestFirst => candidates.min_by_key(|side| side.found[0].stored),
                Order::NewestFirst => candidates.min_by_key(|side| Reverse(side.found[0].stored)),
            };
            let Some(record) = next.and_then(|side| side.found.pop_front()) else {
                self.sides.iter_mut().for_each(|side| side.is_at_end = false);
                break;
            };
            bytes += record.event.message.len();
            records.push(record);
        }
        Ok(records)
    }
}

// === impl Side ===

impl Side {
    fn new(table: Table, cursor: Cursor, last: Option<Seq>) -> Self {
        Self { table, cursor, last, found: VecDeque::new(), is_at_end: false }
    }

    fn fill(&mut self, reader: &mut Reader, filter: &Filter, limit: usize) -> io::Result<()> {
        if self.is_at_end || !self.found.is_empty() {
            return Ok(());
        }
        let page = reader.page(self.table, filter, self.cursor, limit.min(PAGE_ROWS));
        let page = page.map_err(io::Error::other)?;
        self.cursor = page.next;
        self.found.extend(page.records);
        let before = self.found.len();
        let last = self.last;
        self.found.retain(|record| last.is_none_or(|last| record.seq <= last));
        self.is_at_end = page.is_last || self.found.len() < before;
        Ok(())
    }
}
