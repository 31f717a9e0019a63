use std::error::Error;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use vodbridge_journal::{OpenError, Reader, Settings, Store, Table};

use crate::process::Process;
use crate::{all, append, ids, small};

#[tokio::test]
async fn a_directory_is_created_if_its_parent_exists() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let store = Store::open(small(&path)).unwrap();
    append(&store, Table::Events, "first", 1).await.unwrap();
    store.close().await;
    assert_eq!(ids(&all(&path, Table::Events)), ["first"]);

    let error = Store::open(small(&directory.path().join("no/journal"))).unwrap_err();
    assert!(matches!(error, OpenError::NoParent(_)), "{error:?}");
}

#[test]
fn what_is_no_directory_is_said_to_be_none() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [file.path().to_owned(), file.path().join("below")] {
        let error = Store::open(small(&path)).unwrap_err();
        assert!(matches!(error, OpenError::NotADirectory(_)), "{error:?}");
        assert!(error.to_string().contains("set journal.path"), "{error}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_said_to_be_none() {
    // Root may write anywhere but where the kernel itself says no.
    let error = Store::open(small(Path::new("/sys/kernel"))).unwrap_err();
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");
}

#[test]
fn a_size_that_holds_nothing_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { size_max_bytes: 1000, ..Settings::new(directory.path()) };
    let error = Store::open(settings).unwrap_err();
    assert!(matches!(error, OpenError::TooSmall { .. }), "{error:?}");
}

#[tokio::test]
async fn a_second_owner_is_turned_away_until_the_first_has_closed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    let error = Store::open(small(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::Locked(_)), "{error:?}");
    assert!(error.to_string().contains("stop that one"), "{error}");
    store.close().await;
    Store::open(small(directory.path())).unwrap().close().await;
}

#[tokio::test]
async fn a_killed_owner_leaves_the_directory_free() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::start(directory.path()).await;
    assert!(matches!(Store::open(small(directory.path())), Err(OpenError::Locked(_))));
    process.child.kill().await.unwrap();
    Store::open(small(directory.path())).unwrap().close().await;
}

#[tokio::test]
async fn a_newer_journal_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    Store::open(small(directory.path())).unwrap().close().await;
    let database = directory.path().join("journal.db");
    let newer = rusqlite::Connection::open(&database).unwrap();
    newer.pragma_update(None, "user_version", 1000).unwrap();
    newer.close().unwrap();
    let before = fs::read(&database).unwrap();
    for error in [
        Store::open(small(directory.path())).unwrap_err(),
        Reader::open(directory.path()).unwrap_err(),
    ] {
        assert!(matches!(error, OpenError::Newer { found: 1000, .. }), "{error:?}");
        assert!(error.to_string().contains("newer version"), "{error}");
    }
    assert_eq!(fs::read(&database).unwrap(), before);
}

#[test]
fn a_damaged_journal_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("journal.db");
    fs::write(&database, vec![0x42; 10_000]).unwrap();
    for error in [
        Store::open(small(directory.path())).unwrap_err(),
        Reader::open(directory.path()).unwrap_err(),
    ] {
        assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("move the directory away"), "{error}");
        assert!(error.source().is_some());
    }
    assert_eq!(fs::read(&database).unwrap(), vec![0x42; 10_000]);
}

#[tokio::test]
async fn damage_within_the_file_is_an_error_and_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    for number in 0..20 {
        append(&store, Table::Events, &number.to_string(), 1).await.unwrap();
    }
    store.close().await;
    let file = fs::OpenOptions::new().write(true).open(directory.path().join("journal.db"));
    // All but the header and the schema.
    file.unwrap().write_all_at(&vec![0x42; 100_000], 4096).unwrap();
    let error = Store::open(small(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[test]
fn another_programs_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let theirs = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    theirs.execute_batch("CREATE TABLE theirs (x)").unwrap();
    theirs.close().unwrap();
    let error = Store::open(small(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::Foreign(_)), "{error:?}");
}

#[test]
fn a_reader_says_that_there_is_no_journal() {
    let directory = tempfile::tempdir().unwrap();
    let error = Reader::open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::NoJournal(_)), "{error:?}");
}

#[tokio::test]
async fn counters_agree_with_the_rows_after_every_kill() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let mut process = Process::start(directory.path()).await;
        let lines: String =
            (0..500).map(|n| format!("{n} vod.x {round}-{n} {}\n", n * 7)).collect();
        tokio::io::AsyncWriteExt::write_all(&mut process.stdin, lines.as_bytes()).await.unwrap();
        // Killed in the middle: at some answer that differs from round to round.
        for _ in 0..=round * 40 {
            process.lines.next_line().await.unwrap().unwrap();
        }
        process.child.kill().await.unwrap();
        let store = Store::open(Settings::new(directory.path())).unwrap();
        let usage = store.usage().events;
        store.close().await;
        let database = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
        let counted = database
            .query_row("SELECT count(*), sum(bytes) FROM events", [], |row| {
                Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64))
            })
            .unwrap();
        assert_eq!((usage.rows, usage.bytes), counted, "round {round}");
        assert!(usage.rows > 0);
    }
}
