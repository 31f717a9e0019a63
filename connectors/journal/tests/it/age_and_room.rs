use std::time::Duration;

use vodbridge_conformance::{event, topic};
use vodbridge_core::{Connector as _, PublishError};
use vodbridge_journal::{
    AppendError, Connector, Cursor, Keep, Reader, Retention, STEP_ROWS_MAX, State, Store, Table,
};

use crate::{all, append, at, fill, ids, small};

#[tokio::test]
async fn a_size_limit_makes_appends_unavailable_until_rows_are_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    fill(&store, Table::Events, 1).await;
    assert!(matches!(store.state(), State::Writable), "a full share is no broken journal");

    let connector = Connector::new(store.clone(), Table::Events, Keep::All, None);
    let answer = connector.publish(&event("late", 10_000), &topic()).await;
    let Err(PublishError::Unavailable(unavailable)) = answer else { panic!("{answer:?}") };
    assert!(unavailable.advice.unwrap().contains("journal.size_max"));
    assert!(connector.check(&[topic()]).await.is_ok(), "a small one would have fitted");
    let small = event("small", 10);
    while store.append(Table::Events, &small, &topic(), at(1)).await.is_ok() {}
    let unavailable = connector.check(&[topic()]).await.unwrap_err();
    assert!(unavailable.advice.unwrap().contains("max_age"));
    let records = all(directory.path(), Table::Events);
    assert_eq!(store.usage().events.rows, records.len() as u64);

    let oldest = records[..3].iter().map(|record| record.seq).collect();
    assert_eq!(store.remove(Table::Events, oldest).await.unwrap(), 3);
    for number in 0..3 {
        append(&store, Table::Events, &format!("again-{number}"), 2).await.unwrap();
    }
    assert_eq!(store.usage().events.rows, records.len() as u64);
    store.close().await;
}

#[tokio::test]
async fn the_share_is_half_of_the_file_and_the_file_is_no_larger() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    fill(&store, Table::Events, 1).await;
    store.close().await;
    let file_bytes = std::fs::metadata(directory.path().join("journal.db")).unwrap().len();
    let share_bytes = 1 << 20;
    assert!(file_bytes > share_bytes * 9 / 10, "{file_bytes} bytes: the share is not used");
    assert!(file_bytes < share_bytes * 11 / 10, "{file_bytes} bytes: the spool's part is taken");
}

#[tokio::test]
async fn keep_newest_lets_the_oldest_events_go_and_no_dead_letter() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    for number in 0..20 {
        append(&store, Table::DeadLetters, &format!("letter-{number}"), 1).await.unwrap();
    }
    store.retain(Retention { keep: Keep::Newest, max_age: None });
    for number in 0..300 {
        append(&store, Table::Events, &format!("event-{number}"), 1).await.unwrap();
    }
    append(&store, Table::DeadLetters, "one-more", 1).await.unwrap();
    let events = all(directory.path(), Table::Events);
    assert!(events.len() < 80 && events.len() > 40, "{} are kept", events.len());
    assert_eq!(events.last().unwrap().event.id, "event-299");
    let first: usize = events[0].event.id[6..].parse().unwrap();
    assert_eq!(first + events.len(), 300, "none from the middle went");
    assert_eq!(all(directory.path(), Table::DeadLetters).len(), 21);
    assert_eq!(store.usage().events.rows, events.len() as u64);
    store.close().await;
}

#[tokio::test]
async fn dead_letters_alone_can_fill_the_share_and_then_nothing_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    store.retain(Retention { keep: Keep::Newest, max_age: Some(Duration::from_millis(1)) });
    let rows = fill(&store, Table::DeadLetters, 1).await;
    let refused = append(&store, Table::DeadLetters, "late", 1_000).await.unwrap_err();
    assert!(refused.advice().unwrap().contains("dead letters"), "{refused:?}");
    assert_eq!(all(directory.path(), Table::DeadLetters).len() as u64, rows);
    store.close().await;
}

#[tokio::test]
async fn events_older_than_max_age_go_when_later_ones_come() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    store.retain(Retention { keep: Keep::All, max_age: Some(Duration::from_secs(60)) });
    let rows = STEP_ROWS_MAX + 100;
    for number in 0..rows {
        let event = event(&format!("old-{number}"), 100);
        store.append(Table::Events, &event, &topic(), at(1_000)).await.unwrap();
    }
    append(&store, Table::Events, "young", 1_001).await.unwrap();
    append(&store, Table::DeadLetters, "letter", 1_000).await.unwrap();
    append(&store, Table::Events, "at-the-limit", 61_000).await.unwrap();
    assert_eq!(store.usage().events.rows, rows as u64 + 2);
    append(&store, Table::Events, "late", 61_001).await.unwrap();
    // What is beyond one step goes while nobody waits, before anything else is answered.
    assert_eq!(store.remove(Table::Events, Vec::new()).await.unwrap(), 0);
    assert_eq!(ids(&all(directory.path(), Table::Events)), ["young", "at-the-limit", "late"]);
    assert_eq!(ids(&all(directory.path(), Table::DeadLetters)), ["letter"]);
    store.close().await;
}

#[tokio::test]
async fn old_events_make_room_in_a_full_share() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    fill(&store, Table::Events, 1_000).await;
    store.retain(Retention { keep: Keep::All, max_age: Some(Duration::from_secs(60)) });
    append(&store, Table::DeadLetters, "letter", 100_000).await.unwrap();
    assert_eq!(store.usage().events.rows, 0);
    store.close().await;
}

#[tokio::test]
async fn what_could_never_fit_is_refused_with_the_limit() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    let big = event("big", 1 << 20);
    let error = store.append(Table::Events, &big, &topic(), at(1)).await.unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { limit_bytes: 1_048_576, .. }), "{error:?}");
    let connector = Connector::new(store.clone(), Table::Events, Keep::All, None);
    let answer = connector.publish(&big, &topic()).await;
    assert!(matches!(answer, Err(PublishError::Refused(_))), "{answer:?}");
    store.close().await;
}

#[tokio::test]
async fn a_reader_that_never_ends_makes_appends_unavailable_and_no_longer_than_it_lasts() {
    let directory = tempfile::tempdir().unwrap();
    let settings = vodbridge_journal::Settings {
        wal_max_bytes: 1 << 20,
        ..vodbridge_journal::Settings::new(directory.path())
    };
    let store = Store::open(settings).unwrap();
    append(&store, Table::Events, "first", 1).await.unwrap();
    let stranger = rusqlite::Connection::open(directory.path().join("journal.db")).unwrap();
    stranger.execute_batch("BEGIN; SELECT seq FROM events;").unwrap();
    let error = loop {
        if let Err(error) = append(&store, Table::Events, "more", 1).await {
            break error;
        }
        assert!(store.usage().events.rows < 10_000, "the log has no end");
    };
    assert!(matches!(error, AppendError::WalTooLarge { .. }), "{error:?}");
    assert!(matches!(store.state(), State::Unwritable(_)));
    assert!(store.usage().wal_bytes > 1 << 20);
    stranger.execute_batch("COMMIT").unwrap();
    append(&store, Table::Events, "again", 1).await.unwrap();
    assert!(matches!(store.state(), State::Writable));
    store.close().await;
}

#[tokio::test]
async fn numbers_are_not_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    let first = append(&store, Table::Events, "first", 1).await.unwrap();
    store.remove(Table::Events, vec![first]).await.unwrap();
    store.close().await;
    let store = Store::open(small(directory.path())).unwrap();
    let second = append(&store, Table::Events, "second", 1).await.unwrap();
    assert!(second > first);
    let mut reader = Reader::open(directory.path()).unwrap();
    assert_eq!(reader.get(Table::Events, first).unwrap(), None);
    assert_eq!(reader.get(Table::Events, second).unwrap().unwrap().event.id, "second");
    let page = reader.page(Table::Events, &crate::Filter::default(), Cursor::After(first), 9);
    assert_eq!(ids(&page.unwrap().records), ["second"]);
    store.close().await;
}
