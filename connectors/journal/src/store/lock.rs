use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// The right to write into a directory. Dropping it gives it back; the kernel does if the process is
/// killed.
#[derive(Debug)]
pub(crate) struct Lock(File);

// === impl Lock ===

impl Lock {
    /// Takes the lock of a directory, unless somebody has it (`None`).
    pub(crate) fn take(directory: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        Self::of(options.create(true).truncate(false), directory)
    }

    /// The same where nothing may be made: without the file it is an error.
    pub(crate) fn look(directory: &Path) -> io::Result<Option<Self>> {
        Self::of(&mut OpenOptions::new(), directory)
    }

    fn of(options: &mut OpenOptions, directory: &Path) -> io::Result<Option<Self>> {
        let file = options.write(true).open(directory.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started has a copy of it until it
        // runs its own program, and the lock belongs to all copies.
        self.0.unlock().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_free_while_a_copy_of_the_file_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let lock = Lock::take(directory.path()).unwrap().unwrap();
        let _copy = lock.0.try_clone().unwrap();
        assert!(Lock::take(directory.path()).unwrap().is_none(), "it is taken");
        drop(lock);
        assert!(Lock::take(directory.path()).unwrap().is_some(), "it is free");
    }
}
