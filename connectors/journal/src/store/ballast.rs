use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How much is held back, in bytes.
const BALLAST_BYTES: u64 = 4 * 1024 * 1024;

/// A file that only takes up room, and is given up when the disk is full: without it not even a
/// deletion could be written.
#[derive(Debug)]
pub(super) struct Ballast {
    file: PathBuf,
    is_held: bool,
}

impl Ballast {
    /// Takes the room, if there is enough.
    pub(super) fn take(folder: &Path) -> Self {
        let file = folder.join("ballast");
        let is_held = fs::metadata(&file).is_ok_and(|f| f.len() == BALLAST_BYTES);
        let mut ballast = Self { file, is_held };
        ballast.take_again();
        ballast
    }

    /// Whether the disk has so much room that appends cannot eat up what was given up.
    pub(super) fn is_room(&self) -> bool {
        self.is_held || free_bytes(&self.file).is_none_or(|free| free >= 2 * BALLAST_BYTES)
    }

    /// Takes the room again, if there is enough.
    pub(super) fn take_again(&mut self) {
        if self.is_held || !self.is_room() {
            return;
        }
        self.is_held = write(&self.file).is_ok();
        if !self.is_held {
            self.give_up();
        }
    }

    /// Gives the room to whoever needs it.
    pub(super) fn give_up(&mut self) {
        // What is not there takes no room either.
        fs::remove_file(&self.file).ok();
        self.is_held = false;
    }
}

/// Zeroes, not a hole: the room is to be taken.
fn write(file: &Path) -> io::Result<()> {
    let mut file = File::create(file)?;
    let zeroes = [0; 64 * 1024];
    for _ in 0..BALLAST_BYTES / zeroes.len() as u64 {
        file.write_all(&zeroes)?;
    }
    file.sync_all()
}

/// What is free on the file's disk for this process; nothing where the system does not say.
fn free_bytes(file: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(file.parent()?).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
