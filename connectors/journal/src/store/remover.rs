use std::path::Path;

use rusqlite::Connection;

use super::{OpenError, Seq, Table, open, trim};

/// A journal opened for removing rows by a process that does not own it: what was replayed goes
/// once it was acknowledged. The owner's counters follow in the same transaction.
///
/// The owner itself uses [`Store::remove`](super::Store::remove).
#[derive(Debug)]
pub struct Remover(Connection);

// === impl Remover ===

impl Remover {
    /// Opens the journal in the directory `path`; its owner may be running or not.
    ///
    /// # Errors
    ///
    /// Each says the way out; see [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        open::open_to_remove(path).map(Self)
    }

    /// Removes rows and tells how many were there. Blocks while somebody else writes, at most 5 s.
    ///
    /// # Errors
    ///
    /// The engine's; some of the rows may be gone.
    pub fn remove(&mut self, table: Table, seqs: &[Seq]) -> Result<u64, super::ReadError> {
        Ok(trim::remove(&mut self.0, table, seqs)?)
    }
}
