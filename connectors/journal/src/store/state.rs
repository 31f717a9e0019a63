use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::counters::Counters;
use super::{AppendError, Table};

/// What the writer tells everybody else.
#[derive(Debug)]
pub(super) struct Shared {
    path: PathBuf,
    bytes: [AtomicU64; Table::ALL.len()],
    rows: [AtomicU64; Table::ALL.len()],
    wal_bytes: AtomicU64,
    trouble: Mutex<Option<AppendError>>,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    bytes: [u64; Table::ALL.len()],
    rows: [u64; Table::ALL.len()],
    wal_bytes: u64,
}

/// Whether a store takes events.
#[derive(Clone, Debug)]
pub enum State {
    /// It does.
    Writable,
    /// The last append failed, and why.
    Trouble(AppendError),
}

impl Shared {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            bytes: Default::default(),
            rows: Default::default(),
            wal_bytes: AtomicU64::new(0),
            trouble: Mutex::new(None),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn usage(&self) -> Usage {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Usage {
            bytes: self.bytes.each_ref().map(load),
            rows: self.rows.each_ref().map(load),
            wal_bytes: load(&self.wal_bytes),
        }
    }

    pub(super) fn state(&self) -> State {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone().map_or(State::Writable, State::Trouble)
    }

    /// Publishes what was committed.
    pub(super) fn committed(&self, counters: &Counters, wal_bytes: u64) {
        for table in Table::ALL {
            let counter = counters.table(table);
            let (rows, bytes) = (counter.rows.max(0), counter.bytes.max(0));
            self.rows[table.index()].store(rows.unsigned_abs(), Ordering::Relaxed);
            self.bytes[table.index()].store(bytes.unsigned_abs(), Ordering::Relaxed);
        }
        self.wal_bytes.store(wal_bytes, Ordering::Relaxed);
    }

    pub(super) fn set_trouble(&self, trouble: Option<AppendError>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

// === impl Usage ===

impl Usage {
    /// Bytes by share: what each table takes in the file, and the write-ahead log beside it.
    pub fn bytes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let tables = Table::ALL.map(|t| (t.name(), self.bytes[t.index()]));
        tables.into_iter().chain([("wal", self.wal_bytes)])
    }

    /// Rows of one table.
    pub fn rows(&self, table: Table) -> u64 {
        self.rows[table.index()]
    }
}

// === impl State ===

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Writable => f.write_str("writable"),
            Self::Trouble(why) => why.fmt(f),
        }
    }
}
