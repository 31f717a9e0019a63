use vodbridge_conformance::{event, topic};
use vodbridge_core::{Extension, KnownBy};
use vodbridge_journal::{
    AppendError, Cursor, Filter, Keep, Reader, Remover, Retention, Settings, State, Store, Table,
};

use crate::{all, append, at, ids, small};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_beside_the_writer_sees_what_was_acknowledged_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Settings::new(directory.path())).unwrap();
    append(&store, Table::Events, "0", 1).await.unwrap();
    let mut reader = Reader::open(directory.path()).unwrap();
    let mut cursor = Cursor::OLDEST;
    let mut seen = Vec::new();
    for number in 1..1200 {
        let event = event(&number.to_string(), 200);
        store.append(Table::Events, &event, &topic(), at(1)).await.unwrap();
        if number % 100 == 0 {
            let page = reader.page(Table::Events, &Filter::default(), cursor, 10_000).unwrap();
            assert!(page.is_last);
            cursor = page.next;
            seen.extend(page.records.into_iter().map(|record| record.event.id.to_string()));
            assert_eq!(seen.len(), number + 1, "what was acknowledged is seen");
        }
    }
    assert!(seen.iter().enumerate().all(|(number, id)| *id == number.to_string()));
    store.close().await;
}

#[tokio::test]
async fn an_event_comes_back_whole_with_its_topic_and_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    let mut letter = event("letter", 500);
    letter.known_by = KnownBy::Content;
    letter.data = letter.message.clone();
    for (name, value) in [
        ("vodconnector", "kafka"),
        ("voddetail", "the broker takes 1 MiB"),
        ("vodreason", "refused"),
        ("vodtopic", "vod.NewFileUpload"),
    ] {
        letter.extensions.push(Extension { name: name.into(), value: value.into() });
    }
    letter.extensions.sort_by(|a, b| a.name.cmp(&b.name));
    let seq = store.append(Table::DeadLetters, &letter, &topic(), at(77)).await.unwrap();
    let record = Reader::open(directory.path()).unwrap().get(Table::DeadLetters, seq);
    let record = record.unwrap().unwrap();
    assert_eq!(record.event, letter);
    assert_eq!((record.seq, record.stored, &record.topic), (seq, at(77), &topic()));
    assert_eq!(record.reason(), Some("refused"));
    assert_eq!(record.connector(), Some("kafka"));
    store.close().await;
}

#[tokio::test]
async fn a_filter_admits_what_it_says_and_a_listing_goes_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Settings::new(directory.path())).unwrap();
    // More than one look of a reader, so that rare rows lie in different ones.
    for number in 0_u64..1100 {
        let mut event = event(&format!("event-{number}"), 20);
        event.time = at(number);
        if number % 400 == 7 {
            event.extensions[0].value = "series".into();
            event.extensions[2].value = number.to_string().into();
        }
        store.append(Table::Events, &event, &topic(), at(1)).await.unwrap();
    }
    let mut reader = Reader::open(directory.path()).unwrap();
    let mut list = |filter: &Filter, from, limit| {
        let page = reader.page(Table::Events, filter, from, limit).unwrap();
        page.records.into_iter().map(|r| r.event.id.to_string()).collect::<Vec<_>>()
    };
    let series = Filter { application: Some("series".into()), ..Filter::default() };
    assert_eq!(list(&series, Cursor::OLDEST, 500), ["event-7", "event-407", "event-807"]);
    assert_eq!(list(&series, Cursor::NEWEST, 2), ["event-807", "event-407"]);
    for (filter, expected) in [
        (Filter { file: Some("407".into()), ..Filter::default() }, &["event-407"][..]),
        (Filter { id: Some("event-1099".into()), ..Filter::default() }, &["event-1099"]),
        (Filter { since: Some(at(1098)), ..Filter::default() }, &["event-1098", "event-1099"]),
        (Filter { until: Some(at(1)), ..Filter::default() }, &["event-0"]),
        (Filter { task: Some("none".into()), ..Filter::default() }, &[]),
        (Filter { event_types: vec!["FileDeleted".into()], ..Filter::default() }, &[]),
        (
            Filter {
                event_types: vec!["FileDeleted".into(), "NewFileUpload".into()],
                ..series.clone()
            },
            &["event-7", "event-407", "event-807"],
        ),
    ] {
        assert_eq!(list(&filter, Cursor::OLDEST, 500), expected, "{filter:?}");
    }
    store.close().await;
}

#[tokio::test]
async fn a_page_ends_when_its_events_are_large() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(Settings::new(directory.path())).unwrap();
    for number in 0..5 {
        let event = event(&number.to_string(), 3 << 20);
        store.append(Table::Events, &event, &topic(), at(1)).await.unwrap();
    }
    let mut reader = Reader::open(directory.path()).unwrap();
    let page = reader.page(Table::Events, &Filter::default(), Cursor::OLDEST, 500).unwrap();
    assert_eq!((ids(&page.records), page.is_last), (vec!["0", "1", "2"], false));
    let page = reader.page(Table::Events, &Filter::default(), page.next, 500).unwrap();
    assert_eq!((ids(&page.records), page.is_last), (vec!["3", "4"], true));
    store.close().await;
}

#[tokio::test]
async fn what_another_process_removes_makes_room_and_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    let rows = crate::fill(&store, Table::DeadLetters, 1).await;
    let seqs: Vec<_> =
        all(directory.path(), Table::DeadLetters).iter().map(|record| record.seq).collect();
    let mut remover = Remover::open(directory.path()).unwrap();
    assert_eq!(remover.remove(Table::DeadLetters, &seqs[..10]).unwrap(), 10);
    assert_eq!(remover.remove(Table::DeadLetters, &seqs[..10]).unwrap(), 0, "already gone");
    append(&store, Table::DeadLetters, "late", 1).await.unwrap();
    assert_eq!(store.usage().dead_letters.rows, rows - 10 + 1);
    store.close().await;
}

#[tokio::test]
async fn keep_newest_removes_nothing_where_another_process_has_made_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    store.retain(Retention { keep: Keep::Newest, max_age: None });
    while store.usage().share_max_bytes - store.usage().events.bytes > 10_000 {
        append(&store, Table::Events, "event", 1).await.unwrap();
    }
    let rows = store.usage().events.rows;
    let seqs: Vec<_> = all(directory.path(), Table::Events)[..10].iter().map(|r| r.seq).collect();
    Remover::open(directory.path()).unwrap().remove(Table::Events, &seqs).unwrap();
    for _ in 0..5 {
        append(&store, Table::Events, "event", 1).await.unwrap();
    }
    assert_eq!(store.usage().events.rows, rows - 10 + 5);
    store.close().await;
}

#[tokio::test]
async fn a_closed_journal_has_everything_and_takes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(small(directory.path())).unwrap();
    let other = store.clone();
    let event = event("queued", 100);
    let topic = topic();
    let (appended, ()) =
        tokio::join!(store.append(Table::Events, &event, &topic, at(1)), other.close());
    appended.unwrap();
    store.close().await;
    let error = append(&store, Table::Events, "late", 1).await.unwrap_err();
    assert!(matches!(error, AppendError::Closed), "{error:?}");
    assert!(matches!(store.state(), State::Unwritable(AppendError::Closed)));
    let left: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-wal"))
        .collect();
    assert_eq!(left, [""; 0], "the log is folded in");
    assert_eq!(ids(&all(directory.path(), Table::Events)), ["queued"]);
    Store::open(small(directory.path())).unwrap().close().await;
}
