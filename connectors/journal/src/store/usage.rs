use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::counters::Counters;
use super::{AppendError, Table};

/// What the journal takes, for metrics and listings. As of the last transaction of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What the journal connector took.
    pub events: TableUsage,
    /// The dead letters.
    pub dead_letters: TableUsage,
    /// What the two may take together.
    pub share_max_bytes: u64,
    /// What came in and is not settled.
    pub spool: TableUsage,
    /// What that may take.
    pub spool_max_bytes: u64,
    /// What was delivered elsewhere, the last of it.
    pub history: TableUsage,
    /// What that may take, where nothing else needs the room.
    pub history_max_bytes: u64,
    /// What the database file may take.
    pub size_max_bytes: u64,
    /// The write-ahead log's size.
    pub wal_bytes: u64,
    /// What the write-ahead log may take.
    pub wal_max_bytes: u64,
}

/// Rows and bytes of one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableUsage {
    /// Rows.
    pub rows: u64,
    /// What the rows take in the file.
    pub bytes: u64,
}

/// Operations that the disk, or another program on it, refused, since the journal was opened. What
/// a limit refuses is none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// Events that were not written: of the journal connector, dead letters, callbacks.
    pub append: u64,
    /// Changes of the spool that were not written: what settled, what deferred.
    pub change: u64,
    /// Removals that were not carried out.
    pub remove: u64,
    /// Delivered events that are not in the history.
    pub remember: u64,
}

/// Whether the journal can keep an event now.
#[derive(Clone, Debug)]
pub enum State {
    /// It can.
    Writable,
    /// It cannot, and why not.
    Unwritable(AppendError),
}

/// The numbers as the writer leaves them for whoever asks.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    tables: [TableGauge; Table::ALL.len()],
    wal_bytes: AtomicU64,
    failures: [AtomicU64; 4],
}

/// What the writer was doing when it failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Append,
    Change,
    Remove,
    Remember,
}

#[derive(Debug, Default)]
struct TableGauge {
    rows: AtomicU64,
    bytes: AtomicU64,
}

// === impl Usage ===

impl Usage {
    /// Rows and bytes of `table`.
    pub fn table(&self, table: Table) -> TableUsage {
        match table {
            Table::Events => self.events,
            Table::DeadLetters => self.dead_letters,
            Table::Spool => self.spool,
            Table::History => self.history,
        }
    }
}

// === impl Failures ===

impl Failures {
    /// Each operation's name and count.
    pub fn each(&self) -> [(&'static str, u64); 4] {
        [
            ("append", self.append),
            ("change", self.change),
            ("remove", self.remove),
            ("remember", self.remember),
        ]
    }
}

// === impl State ===

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writable => f.write_str("writable"),
            Self::Unwritable(error) => error.fmt(f),
        }
    }
}

// === impl Gauges ===

// Each number is right by itself and nothing is concluded from two of them, so no order between
// them is asked for.
impl Gauges {
    pub(crate) fn set_tables(&self, counters: &Counters) {
        for table in Table::ALL {
            let (counter, gauge) = (counters.table(table), &self.tables[table.index()]);
            gauge.rows.store(counter.rows.max(0).unsigned_abs(), Ordering::Relaxed);
            gauge.bytes.store(counter.bytes.max(0).unsigned_abs(), Ordering::Relaxed);
        }
    }

    pub(crate) fn set_wal(&self, bytes: u64) {
        self.wal_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn table(&self, table: Table) -> TableUsage {
        let gauge = &self.tables[table.index()];
        TableUsage {
            rows: gauge.rows.load(Ordering::Relaxed),
            bytes: gauge.bytes.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn wal_bytes(&self) -> u64 {
        self.wal_bytes.load(Ordering::Relaxed)
    }

    /// Counts operations that ended so, unless a limit ended them.
    pub(crate) fn count(&self, operation: Operation, count: usize, error: &AppendError) {
        if error.is_failure() {
            self.failures[operation as usize].fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn failures(&self) -> Failures {
        let [append, change, remove, remember] =
            self.failures.each_ref().map(|count| count.load(Ordering::Relaxed));
        Failures { append, change, remove, remember }
    }
}
