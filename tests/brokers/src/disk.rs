use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A file system of its own, as large as we say; root only.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

// === impl SmallDisk ===

impl SmallDisk {
    /// Mounts one of a size such as `48m`.
    ///
    /// # Panics
    ///
    /// If it cannot be mounted: without root.
    pub fn mount(size: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(
            mount.is_ok_and(|s| s.success()),
            "this mounts a small file system and so needs root: run it as root"
        );
        Self(folder)
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes a file that takes what is left.
    ///
    /// # Panics
    ///
    /// If the disk does not become full.
    pub fn fill(&self) -> PathBuf {
        let path = self.path().join("somebody-elses-file");
        let status = Command::new("dd")
            .arg("if=/dev/zero")
            .arg(format!("of={}", path.display()))
            .arg("bs=64k")
            .stderr(Stdio::null())
            .status();
        assert!(!status.expect("dd can be run").success(), "the disk should have become full");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the program may still be ending.
        Command::new("umount").arg("-l").arg(self.path()).status().ok();
    }
}
