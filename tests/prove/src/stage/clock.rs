//! A bridge's wall clock that can be put ahead and back while it runs: libfaketime, where it is
//! installed. Its monotonic clock is left alone, as a jump of the system's would.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

/// Where systems keep libraries.
const FOLDERS: [&str; 4] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/lib64"];

/// A file that the library reads the offset from at each call.
#[derive(Clone, Debug)]
pub struct Clock {
    library: PathBuf,
    folder: Arc<TempDir>,
}

/// Where the library is, if it is installed.
pub fn library() -> Option<PathBuf> {
    // The one for programs with threads first.
    let names = ["faketime/libfaketimeMT.so.1", "faketime/libfaketime.so.1"];
    let mut libraries = names.iter().flat_map(|name| FOLDERS.map(|f| Path::new(f).join(name)));
    libraries.find(|library| library.exists())
}

// === impl Clock ===

impl Clock {
    /// A clock that goes right.
    ///
    /// # Panics
    ///
    /// If the library is not installed.
    pub fn new() -> Self {
        let library = library().expect("the fault is not run without libfaketime");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let clock = Self { library, folder: Arc::new(folder) };
        clock.set(0);
        clock
    }

    /// Puts it so many seconds ahead of the true time.
    pub fn set(&self, seconds: i64) {
        // Moved into place, so that nobody reads half of it.
        let part = self.folder.path().join("part");
        fs::write(&part, format!("{seconds:+}\n")).expect("the folder can be written");
        fs::rename(part, self.file()).expect("within one folder");
    }

    /// The variables that make a process read it.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
