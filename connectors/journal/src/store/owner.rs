use std::path::Path;

use super::lock::Lock;

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
        match Lock::look(path) {
            Ok(None) => Self::Bridge,
            Ok(Some(_)) | Err(_) => Self::Nobody,
        }
    }
}
