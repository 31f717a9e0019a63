use std::path::PathBuf;
use std::time::Duration;

/// The size of a page; all sizes in the file are multiples of it.
pub(crate) const PAGE_BYTES: u64 = 4096;
/// Rows that wait for the writer; who comes when they are there waits to be let in.
pub const QUEUE_ROWS_MAX: usize = 8192;
/// Rows in one transaction.
pub(crate) const BATCH_ROWS_MAX: usize = 1024;
/// Bytes in one transaction, unless a single row is larger.
pub(crate) const BATCH_BYTES_MAX: u64 = 4 << 20;
/// Rows that one transaction removes or one page of a listing looks at, so that none holds the
/// file for long.
pub const STEP_ROWS_MAX: usize = 500;
/// The least `size_max` that leaves every share room for a few events.
pub const SIZE_MAX_LEAST_BYTES: u64 = 1 << 20;

/// Where the journal lies and what it may take there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory. It is created if its parent exists.
    pub path: PathBuf,
    /// The most that the database file may take. The write-ahead log (about 5 MB, and at most
    /// `wal_max_bytes`) and the ballast lie beside it.
    pub size_max_bytes: u64,
    /// Above it the write-ahead log takes no more appends: somebody reads for so long that it
    /// cannot be folded into the file.
    pub wal_max_bytes: u64,
    /// The most rows of the history; 0: none is kept.
    pub history_rows_max: u64,
    /// Space that is held to be given up when the disk is full, because without any nothing can
    /// be deleted either.
    pub ballast_bytes: u64,
}

/// What happens to old events; dead letters are never removed for age or room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// What happens when the share is full.
    pub keep: Keep,
    /// Events that were stored longer ago are removed when later ones come.
    pub max_age: Option<Duration>,
}

/// What happens when events and dead letters fill their share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Appends are unavailable: nothing is removed that nobody has read.
    #[default]
    All,
    /// The oldest events make room for the newest.
    Newest,
}

// === impl Settings ===

impl Settings {
    /// A journal in `path` with the default limits: 1 GiB, a write-ahead log of at most 64 MiB,
    /// 100,000 rows of history, 4 MiB of ballast.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            size_max_bytes: 1 << 30,
            wal_max_bytes: 64 << 20,
            history_rows_max: 100_000,
            ballast_bytes: 4 << 20,
        }
    }

    /// What events and dead letters may take together: half, as the spool must have room when
    /// nobody reads them.
    pub fn share_bytes(&self) -> u64 {
        self.size_max_bytes / 2
    }

    /// What the spool may take.
    pub fn spool_bytes(&self) -> u64 {
        self.tables_bytes() - self.share_bytes()
    }

    /// What the history may take, as long as nothing else needs the room.
    pub(crate) fn history_bytes(&self) -> u64 {
        self.size_max_bytes / 4
    }

    /// What all tables may take together. The rest is for pages that are half empty.
    pub(crate) fn tables_bytes(&self) -> u64 {
        self.size_max_bytes - self.size_max_bytes / 32
    }

    /// The largest row. What takes half the log might not fit it beside what is there.
    pub(crate) fn row_bytes_max(&self) -> u64 {
        self.share_bytes().min(self.wal_max_bytes / 2)
    }

    /// The bytes of one transaction: a part of the share, so that a batch never needs all of it.
    pub(crate) fn batch_bytes_max(&self) -> u64 {
        BATCH_BYTES_MAX.min(self.share_bytes() / 4)
    }
}
