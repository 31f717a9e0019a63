use std::fs::{OpenOptions, TryLockError};
use std::path::Path;

/// Who has a store's directory, as far as can be seen without touching it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The directory is not there; a first start makes it, if its parent is there.
    Missing,
    /// A running bridge has it open.
    Bridge,
    /// Nobody has it open.
    Nobody,
}

impl Owner {
    /// Looks at a directory.
    pub fn of(path: &Path) -> Self {
        if !path.is_dir() {
            return Self::Missing;
        }
        let Ok(lock) = OpenOptions::new().write(true).open(path.join("lock")) else {
            return Self::Nobody;
        };
        // Given back at once, when `lock` goes.
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => Self::Bridge,
            Ok(()) | Err(TryLockError::Error(_)) => Self::Nobody,
        }
    }
}
