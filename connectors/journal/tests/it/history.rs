//! The history: bounded, first to go, and never in anybody's way.

use std::sync::Arc;

use vodbridge_conformance::{event, topic};
use vodbridge_core::Timestamp;
use vodbridge_journal::{Delivered, Delivery, OpenError, Reader, Settings, State, Store, Table};

use crate::{all, append, at, fill, ids, small};

fn delivered(id: &str, data_bytes: usize, now: u64) -> Delivered {
    let acknowledged = vec!["events".into(), "edge".into()];
    Delivered {
        event: event(id, data_bytes),
        topic: topic(),
        delivery: Arc::new(Delivery { route: "first".into(), acknowledged }),
        at: Timestamp::from_millis(now),
    }
}

/// Remembers so many, each in a transaction of its own, and tells how many were written.
async fn remember(store: &Store, count: u64, data_bytes: usize) -> u64 {
    let mut written = 0;
    for number in 0..count {
        let row = delivered(&format!("past-{number}"), data_bytes, number);
        written += store.remember(&[row]).await.unwrap();
    }
    written
}

#[tokio::test]
async fn a_row_tells_when_where_and_to_whom_an_event_went() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    assert_eq!(store.remember(&[delivered("one", 100, 7)]).await.unwrap(), 1);
    store.close().await;
    let record = all(directory.path(), Table::History).remove(0);
    assert_eq!(record.event, event("one", 100));
    assert_eq!((record.topic, record.stored), (topic(), at(7)));
    let delivery = record.delivery.unwrap();
    assert_eq!(delivery.route, "first");
    assert_eq!(delivery.acknowledged, ["events", "edge"]);
}

#[tokio::test]
async fn no_more_rows_are_kept_than_wanted_and_the_oldest_go_first() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { history_rows_max: 10, ..small(directory.path()) };
    let store = Store::open(settings).unwrap();
    assert_eq!(remember(&store, 25, 100).await, 25);
    let rows: Vec<_> = (0..12).map(|n| delivered(&format!("last-{n}"), 100, 99)).collect();
    assert_eq!(store.remember(&rows).await.unwrap(), 10, "all there is room for");
    assert_eq!(store.usage().history.rows, 10);
    store.close().await;
    let kept = all(directory.path(), Table::History);
    let wanted: Vec<_> = (0..10).map(|n| format!("last-{n}")).collect();
    assert_eq!(ids(&kept), wanted);
}

#[tokio::test]
async fn it_takes_a_quarter_of_the_file_at_the_most() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    assert_eq!(remember(&store, 300, 10_000).await, 300);
    let usage = store.usage();
    assert!(usage.history.bytes <= 512 << 10, "{usage:?}");
    assert!(usage.history.bytes > 400 << 10, "{usage:?}");
    assert_eq!(store.remember(&[delivered("large", 600 << 10, 1)]).await.unwrap(), 0);
    store.close().await;
    let kept = all(directory.path(), Table::History);
    assert_eq!(kept.last().unwrap().event.id, "past-299", "nothing made room in vain");
}

#[tokio::test]
async fn it_makes_room_for_everything_else() {
    let full = async |remembered: u64| {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(small(directory.path())).unwrap();
        remember(&store, remembered, 10_000).await;
        let events = fill(&store, Table::Events, 1).await;
        let mut spooled = 0;
        while store.spool(&event("spooled", 10_000), None, at(1)).await.is_ok() {
            spooled += 1;
        }
        assert!(matches!(store.state(), State::Writable));
        // Nor does it come back before there is room.
        let late = store.remember(&[delivered("late", 10_000, 1)]).await.unwrap();
        let usage = store.usage();
        assert_eq!(late, u64::from(usage.history.rows > 0));
        store.close().await;
        let file_bytes = std::fs::metadata(directory.path().join("journal.db")).unwrap().len();
        assert!(file_bytes <= 2 << 20, "{file_bytes}");
        (events, spooled, usage.history.rows)
    };
    let (events, spooled, _) = full(0).await;
    let (events_after, spooled_after, left) = full(200).await;
    assert_eq!((events_after, spooled_after), (events, spooled));
    assert!(left <= 3, "{left} rows stand in the way");
}

#[tokio::test]
async fn rows_that_are_wanted_no_more_go_with_the_next_appends() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    remember(&store, 30, 100).await;
    store.close().await;
    let settings = Settings { history_rows_max: 0, ..small(directory.path()) };
    let store = Store::open(settings).unwrap();
    assert_eq!(store.remember(&[delivered("late", 100, 1)]).await.unwrap(), 0);
    append(&store, Table::Events, "event", 1).await.unwrap();
    assert_eq!(store.remove(Table::Events, Vec::new()).await.unwrap(), 0);
    assert_eq!(store.usage().history.rows, 0);
    store.close().await;
    assert_eq!(ids(&all(directory.path(), Table::Events)), ["event"]);
}

#[tokio::test]
async fn what_keeps_it_from_being_written_says_nothing_of_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { wal_max_bytes: 1 << 20, ..Settings::new(directory.path()) };
    let store = Store::open(settings).unwrap();
    append(&store, Table::Events, "first", 1).await.unwrap();
    let stranger = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    stranger.execute_batch("BEGIN; SELECT seq FROM events;").unwrap();
    let mut written = 0;
    while store.remember(&[delivered("past", 10_000, 1)]).await.is_ok() {
        written += 1;
        assert!(written < 10_000, "the log has no end");
    }
    assert!(matches!(store.state(), State::Writable));
    append(&store, Table::Events, "second", 1).await.unwrap();
    stranger.execute_batch("COMMIT").unwrap();
    assert_eq!(store.remember(&[delivered("past", 10_000, 1)]).await.unwrap(), 1);
    store.close().await;
}

#[tokio::test]
async fn a_journal_of_the_version_before_is_opened_and_keeps_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    append(&store, Table::Events, "event", 1).await.unwrap();
    append(&store, Table::DeadLetters, "letter", 1).await.unwrap();
    store.spool(&event("spooled", 100), None, at(1)).await.unwrap();
    store.close().await;
    let before = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    before
        .execute_batch(
            "DROP TABLE history; DELETE FROM counters WHERE number = 4; PRAGMA user_version = 2;",
        )
        .unwrap();
    before.close().unwrap();
    let error = Reader::open(directory.path()).unwrap_err();
    assert!(matches!(error, OpenError::Older { found: 2, .. }), "{error:?}");

    let store = Store::open(small(directory.path())).unwrap();
    let usage = store.usage();
    assert_eq!((usage.events.rows, usage.dead_letters.rows, usage.spool.rows), (1, 1, 1));
    assert_eq!(remember(&store, 3, 100).await, 3);
    store.close().await;
    assert_eq!(ids(&all(directory.path(), Table::Events)), ["event"]);
    assert_eq!(ids(&all(directory.path(), Table::DeadLetters)), ["letter"]);
    assert_eq!(ids(&all(directory.path(), Table::History)), ["past-0", "past-1", "past-2"]);
}
