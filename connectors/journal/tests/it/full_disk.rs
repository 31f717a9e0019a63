use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;
use vodbridge_journal::{AppendError, Failures, OpenError, Settings, State, Store, Table};

use crate::{all, append};

/// Tells this test binary that it stands in a mount namespace with a small file system there.
const MOUNTED: &str = "JOURNAL_TEST_MOUNTED";

/// Fills a real file system to the last byte, which takes root and a mount namespace of its own.
#[tokio::test]
async fn a_full_disk_loses_nothing_and_rows_can_still_be_removed() {
    let directory = tempfile::tempdir().unwrap();
    let mount = r#"mount -t tmpfs -o size=12m none "$MOUNT" && exec "$@""#;
    let run = Command::new("unshare")
        .args(["--mount", "sh", "-c", mount, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full_disk::fills_a_disk_if_told_to", "--nocapture"])
        .env("MOUNT", directory.path())
        .env(MOUNTED, directory.path())
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(120), run).await.unwrap();
    let output = output.expect("this test needs unshare(1) of util-linux");
    let said = String::from_utf8_lossy(&output.stderr);
    let cannot = said.contains("unshare failed") || said.contains("permission denied");
    assert!(!cannot, "this test mounts a small file system: run it as root\n{said}");
    assert!(output.status.success(), "{}\n{said}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn fills_a_disk_if_told_to() {
    let Some(disk) = std::env::var_os(MOUNTED).map(PathBuf::from) else { return };
    let settings = Settings { ballast_bytes: 2 << 20, ..Settings::new(disk.join("journal")) };
    let store = Store::open(settings.clone()).unwrap();
    let mut taken = 0;
    for _ in 0..10 {
        append(&store, Table::Events, &taken.to_string(), 1).await.unwrap();
        taken += 1;
    }
    let hog = hog(&disk, "hog");
    let error = loop {
        match append(&store, Table::Events, &taken.to_string(), 1).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::DiskFull), "{error:?}");
    assert!(matches!(store.state(), State::Unwritable(AppendError::DiskFull)));
    assert!(!settings.path.join("ballast").exists(), "given up");
    let records = all(&settings.path, Table::Events);
    assert_eq!(records.len(), taken, "exactly what was acknowledged");

    let oldest = records[..5].iter().map(|record| record.seq).collect();
    assert_eq!(store.remove(Table::Events, oldest).await.unwrap(), 5);
    let error = append(&store, Table::Events, "late", 1).await.unwrap_err();
    assert!(matches!(error, AppendError::DiskFull), "the ballast's room is not for appends");
    assert_eq!(store.failures(), Failures { append: 2, ..Failures::default() });

    store.close().await;
    let hog_after = self::hog(&disk, "hog-after");
    for path in [settings.path.clone(), disk.join("other")] {
        let error = Store::open(Settings { path, ..settings.clone() }).unwrap_err();
        assert!(matches!(error, OpenError::DiskFull { .. }), "not a byte, no ballast: {error:?}");
    }

    fs::remove_file(hog_after).unwrap();
    let store = Store::open(settings.clone()).unwrap();
    fs::remove_file(hog).unwrap();
    recovered(&store).await;
    append(&store, Table::Events, "late", 1).await.unwrap();
    assert!(settings.path.join("ballast").exists(), "taken back");
    assert_eq!(all(&settings.path, Table::Events).len(), taken - 5 + 1);

    // The disk fills up while nobody runs: the ballast pays for opening.
    store.close().await;
    let hog = self::hog(&disk, "hog");
    let store = Store::open(settings.clone()).unwrap();
    let records = all(&settings.path, Table::Events);
    assert_eq!(records.len(), taken - 5 + 1);
    let error = append(&store, Table::Events, "later", 1).await.unwrap_err();
    assert!(matches!(error, AppendError::DiskFull), "{error:?}");
    assert_eq!(store.remove(Table::Events, vec![records[0].seq]).await.unwrap(), 1);
    fs::remove_file(hog).unwrap();
    recovered(&store).await;
    append(&store, Table::Events, "later", 1).await.unwrap();
    store.close().await;
}

/// Waits until the journal can be written, as whoever reads its state sees it.
async fn recovered(store: &Store) {
    let writable = async {
        while let State::Unwritable(_) = store.state() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), writable).await.expect("asking is enough to recover");
}

/// Takes what is left of the disk.
fn hog(disk: &Path, name: &str) -> PathBuf {
    let path = disk.join(name);
    let mut file = File::create(&path).unwrap();
    for bytes in [64 << 10, 4096, 1] {
        while file.write_all(&vec![1; bytes]).is_ok() {}
    }
    path
}
