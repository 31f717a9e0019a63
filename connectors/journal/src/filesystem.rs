use std::fs;
use std::path::Path;

/// What the journal's directory lies on, as far as durability goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filesystem {
    /// A disk, or something that behaves like one.
    Disk,
    /// Memory: gone with the machine's power.
    Memory,
    /// The writable layer of a container, on a disk: gone with the container.
    Layer,
    /// Another machine's disk: what it does with a flush is not visible from here.
    Network,
    /// The system does not say.
    Unknown,
}

impl Filesystem {
    /// Reads the system's list of mounts (proc(5), `/proc/self/mountinfo`).
    pub(crate) fn of(directory: &Path) -> Self {
        let (Ok(directory), Ok(mounts)) =
            (fs::canonicalize(directory), fs::read_to_string("/proc/self/mountinfo"))
        else {
            return Self::Unknown;
        };
        kind(&mounts, &directory).map_or(Self::Unknown, Self::named)
    }

    fn named(kind: &str) -> Self {
        match kind {
            "tmpfs" | "ramfs" | "devtmpfs" => Self::Memory,
            "overlay" | "aufs" => Self::Layer,
            "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "virtiofs" | "ceph" => Self::Network,
            kind if kind.starts_with("fuse") => Self::Network,
            _ => Self::Disk,
        }
    }
}

/// The kind of the last mount on the longest path that leads to `directory`:
/// `36 35 98:0 / /mount/point rw,noatime shared:1 - ext3 /dev/sda1 rw`.
fn kind<'a>(mounts: &'a str, directory: &Path) -> Option<&'a str> {
    let mut best = None;
    let mut best_len = 0;
    for mount in mounts.lines() {
        let (place, kind) = mount.split_once(" - ")?;
        let point = place.split(' ').nth(4)?.replace("\\040", " ");
        if directory.starts_with(&point) && point.len() >= best_len {
            best_len = point.len();
            best = kind.split(' ').next();
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /var/lib/my\\040data rw shared:2 - tmpfs tmpfs rw
31 22 0:27 / /mnt rw - nfs4 host:/x rw
33 22 0:29 / /layer rw - overlay overlay rw
32 31 0:28 / /mnt rw - fuse.s3 s3 rw
";

    #[test]
    fn the_last_of_the_longest_mounts_decides() {
        for (directory, expected) in [
            ("/var/lib/other", Filesystem::Disk),
            ("/var/lib/my data/journal", Filesystem::Memory),
            ("/var/lib/my database", Filesystem::Disk),
            ("/mnt/x", Filesystem::Network),
            ("/layer/journal", Filesystem::Layer),
        ] {
            let found = kind(MOUNTS, Path::new(directory)).map(Filesystem::named);
            assert_eq!(found, Some(expected), "{directory}");
        }
    }
}
