use std::sync::Arc;

use vodbridge_core::Unavailable;

use super::Table;

/// Why an append or a removal did not happen. Nothing of it is in the journal.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The row would fit no empty journal of these limits: the only error that lies in the event.
    #[error("the event takes {bytes} bytes in the journal, the most it takes is {limit_bytes}")]
    TooLarge {
        /// What the row would take in the file.
        bytes: u64,
        /// The largest row: half of `size_max`, or of `wal_max` if that is less.
        limit_bytes: u64,
    },
    /// Events and dead letters fill their share, or the spool fills its own.
    #[error("{} their share of {limit_bytes} bytes of the journal", who_fills(*table))]
    ShareFull {
        /// Whose append it was.
        table: Table,
        /// The share.
        limit_bytes: u64,
    },
    /// The file has as many pages as `size_max` allows.
    #[error("the journal has reached its size_max")]
    SizeFull,
    /// The file system has no room, or a quota has none.
    #[error("the disk under the journal is full")]
    DiskFull,
    /// A reader keeps the write-ahead log from being folded into the file.
    #[error(
        "the journal's write-ahead log has {bytes} bytes, the most it may have is {limit_bytes}"
    )]
    WalTooLarge {
        /// Its size.
        bytes: u64,
        /// `wal_max`.
        limit_bytes: u64,
    },
    /// A second program has been writing for longer than the busy timeout.
    #[error("another program keeps the journal from being written")]
    Busy,
    /// The engine fails in some other way.
    #[error("the journal cannot be written")]
    Engine(#[source] Arc<rusqlite::Error>),
    /// The journal was closed, or its writer has ended.
    #[error("the journal is closed")]
    Closed,
}

/// The beginning of the sentence that a share is full.
fn who_fills(table: Table) -> &'static str {
    match table {
        Table::Events | Table::DeadLetters => "events and dead letters fill",
        Table::Spool => "events that wait in the spool fill",
        Table::History => "delivered events fill",
    }
}

// === impl AppendError ===

impl AppendError {
    /// Whether the disk, or another program on it, is the reason, and not a limit of ours.
    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::DiskFull | Self::WalTooLarge { .. } | Self::Busy | Self::Engine(_) => true,
            Self::TooLarge { .. } | Self::ShareFull { .. } | Self::SizeFull | Self::Closed => false,
        }
    }

    /// What an operator can do about it.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::TooLarge { .. } => Some("raise journal.size_max or journal.wal_max"),
            Self::ShareFull { table: Table::Events, .. } => {
                Some("raise journal.size_max, or set max_age or keep: newest on the connector")
            }
            Self::ShareFull { table: Table::DeadLetters, .. } => {
                Some("replay or remove dead letters, or raise journal.size_max")
            }
            Self::ShareFull { table: Table::Spool, .. } => {
                Some("see why the connectors do not take what waits, or raise journal.size_max")
            }
            Self::ShareFull { table: Table::History, .. } => None,
            Self::SizeFull => Some("raise journal.size_max, or remove events or dead letters"),
            Self::DiskFull => Some("free space on the file system that journal.path lies on"),
            Self::WalTooLarge { .. } => {
                Some("end the program that reads the journal, or raise journal.wal_max")
            }
            Self::Busy => Some("end the program that writes to the journal beside the bridge"),
            Self::Engine(_) => Some("look at the disk that journal.path lies on"),
            Self::Closed => None,
        }
    }
}

impl From<AppendError> for Unavailable {
    fn from(error: AppendError) -> Self {
        let mut unavailable = Self::outage(error.to_string());
        if let Some(advice) = error.advice() {
            unavailable = unavailable.advise(advice);
        }
        match error {
            AppendError::Engine(cause) => unavailable.caused_by(cause),
            AppendError::TooLarge { .. }
            | AppendError::ShareFull { .. }
            | AppendError::SizeFull
            | AppendError::DiskFull
            | AppendError::WalTooLarge { .. }
            | AppendError::Busy
            | AppendError::Closed => unavailable,
        }
    }
}
