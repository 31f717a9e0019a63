use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tokio::time::{Duration, Instant};

/// How long after a failed attempt to take the ballast on again the next one may come.
const RETRY_AFTER: Duration = Duration::from_secs(1);
static CHUNK: [u8; 64 << 10] = [0x5a; 64 << 10];

/// A file that holds space, to be given up when the disk is full: SQLite cannot delete a row
/// without writing, so on a really full disk nothing could be deleted any more.
///
/// While it is away, appends are unavailable, or they would take the space that deleting needs.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
    aboard: bool,
    tried: Option<Instant>,
}

// === impl Ballast ===

impl Ballast {
    /// Finds the ballast of `directory`, or takes it on; it may be away afterwards.
    ///
    /// # Errors
    ///
    /// Of the file system, but for a full one.
    pub(crate) fn open(directory: &Path, bytes: u64) -> io::Result<Self> {
        let mut ballast =
            Self { path: directory.join("ballast"), bytes, aboard: false, tried: None };
        if fs::metadata(&ballast.path).is_ok_and(|found| found.len() >= bytes) {
            ballast.aboard = true;
        } else if let Err(error) = ballast.load(bytes)
            && !is_full(&error)
        {
            return Err(error);
        }
        Ok(ballast)
    }

    pub(crate) fn is_aboard(&self) -> bool {
        self.aboard
    }

    /// Frees the space.
    pub(crate) fn give_up(&mut self) {
        self.aboard = false;
        self.tried = Some(Instant::now());
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the ballast cannot be given up");
        }
    }

    /// Takes the space back if there is twice as much of it, so that some is left for appends;
    /// tells whether it is aboard. At most once in [`RETRY_AFTER`].
    pub(crate) fn take_back(&mut self) -> bool {
        if !self.aboard && self.tried.is_none_or(|tried| tried.elapsed() >= RETRY_AFTER) {
            self.tried = Some(Instant::now());
            // Why it failed changes nothing: it stays away, and appends stay unavailable.
            self.load(2 * self.bytes).ok();
        }
        self.aboard
    }

    /// Writes `bytes` and keeps the first of them. Real bytes: a file with holes holds no space.
    fn load(&mut self, bytes: u64) -> io::Result<()> {
        let written = self.write(bytes);
        if written.is_err() {
            // What was written is space that deleting may need; nothing may have been written.
            fs::remove_file(&self.path).ok();
        }
        self.aboard = written.is_ok();
        written
    }

    fn write(&self, bytes: u64) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        let mut left = bytes;
        while left > 0 {
            let chunk = &CHUNK[..usize::try_from(left).map_or(CHUNK.len(), |l| l.min(CHUNK.len()))];
            file.write_all(chunk)?;
            left -= chunk.len() as u64;
        }
        file.sync_all()?;
        file.set_len(self.bytes)
    }
}

/// Whether the error says that there is no room, on the disk or in a quota.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Whether the file system of `directory` has no room at all: SQLite reports some writes that
/// found none as plain input/output errors.
pub(crate) fn finds_no_room(directory: &Path) -> bool {
    let path = directory.join("probe");
    let probed = File::create(&path).and_then(|mut file| {
        file.write_all(&CHUNK)?;
        file.sync_all()
    });
    // If it was not created there is nothing to remove.
    fs::remove_file(&path).ok();
    probed.is_err_and(|error| is_full(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_given_up_comes_back_after_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let mut ballast = Ballast::open(directory.path(), 100_000).unwrap();
        assert!(ballast.is_aboard());
        ballast.give_up();
        assert!(!ballast.take_back(), "not at once");
        tokio::time::advance(RETRY_AFTER).await;
        assert!(ballast.take_back());
        assert_eq!(fs::metadata(directory.path().join("ballast")).unwrap().len(), 100_000);
    }
}
