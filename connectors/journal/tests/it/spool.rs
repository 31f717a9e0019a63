//! What is kept until it has settled.

use std::collections::HashSet;

use tokio::task::JoinSet;
use vodbridge_conformance::event;
use vodbridge_core::{Event, Extension};
use vodbridge_journal::{
    AppendError, Changes, Done, Failures, Letter, Seq, Settings, Spooled, Store, Table, Waiting,
    Withdrawal,
};

use crate::{all, append, at, fill, ids, small};

fn of(application: &str, id: &str, bytes: usize) -> Event {
    let mut event = event(id, bytes);
    event.extensions.retain(|extension| extension.name != "vodapplication");
    let value = application.into();
    event.extensions.push(Extension { name: "vodapplication".into(), value });
    event.extensions.sort_by(|a, b| a.name.cmp(&b.name));
    event
}

fn waiting(spooled: &mut Spooled, application: &str) -> Vec<Waiting> {
    spooled.after(application, Seq::default(), 1000).unwrap().waiting
}

#[tokio::test]
async fn what_is_written_is_found_by_the_next_owner_with_what_was_done_for_it() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings::new(home.path());
    let store = Store::open(settings.clone()).unwrap();
    assert_eq!(store.recovered().applications, []);
    let (first, second) = (of("movies", "first", 300), of("movies", "second", 200_000));
    let first_seq = store.spool(&first, None, at(1)).await.unwrap();
    let letter = Letter { reason: "not_json".into(), detail: "it is no JSON".to_owned() };
    let second_seq = store.spool(&second, Some(letter.clone()), at(2)).await.unwrap();
    store.spool(&of("series", "third", 300), None, at(3)).await.unwrap();
    let done = Done {
        panics: 2,
        acknowledged: vec!["kafka".into(), "edge".into()],
        lettered: vec!["rabbit".into()],
    };
    let changes = Changes { marked: vec![(second_seq, done.clone())], ..Changes::default() };
    store.change(changes).await.unwrap();
    store.close().await;

    let store = Store::open(settings).unwrap();
    let applications = [("movies".into(), 2), ("series".into(), 1)];
    assert_eq!(store.recovered().applications, applications);
    let mut spooled = Spooled::open(home.path()).unwrap();
    let found = waiting(&mut spooled, "movies");
    let seqs: Vec<_> = found.iter().map(|one| one.seq).collect();
    assert_eq!(seqs, [first_seq, second_seq]);
    assert_eq!((&found[0].done, &found[0].letter), (&Done::default(), &None));
    assert_eq!((&found[1].done, &found[1].letter), (&done, &Some(letter)));
    assert_eq!(found[1].bytes, second.message.len());
    assert!(found[1].event.message.is_empty(), "its body is not read yet");
    let whole: Vec<_> =
        found.into_iter().map(|one| spooled.complete(one).unwrap().unwrap()).collect();
    assert_eq!(whole, [first, second]);
}

#[tokio::test]
async fn what_has_settled_is_gone_and_counted_no_more() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(Settings::new(home.path())).unwrap();
    let mut seqs = Vec::new();
    for n in 0..600 {
        seqs.push(store.spool(&of("movies", &n.to_string(), 100), None, at(n)).await.unwrap());
    }
    let left = seqs.split_off(598);
    // Once more, and one that never was: nothing is counted twice.
    seqs.extend([seqs[0], Seq::new(1_000_000)]);
    let removed = store.change(Changes { settled: seqs, ..Changes::default() }).await.unwrap();
    assert_eq!(removed, 598);
    assert_eq!(store.usage().spool.rows, 2);
    let mut spooled = Spooled::open(home.path()).unwrap();
    let found: Vec<_> = waiting(&mut spooled, "movies").iter().map(|one| one.seq).collect();
    assert_eq!(found, left);
    store.change(Changes { settled: left, ..Changes::default() }).await.unwrap();
    assert_eq!((store.usage().spool.rows, store.usage().spool.bytes), (0, 0));
    store.close().await;
    assert_eq!(Store::open(Settings::new(home.path())).unwrap().recovered().applications, []);
}

#[tokio::test]
async fn a_mark_of_a_row_that_is_gone_is_not_kept() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(Settings::new(home.path())).unwrap();
    let seq = store.spool(&of("movies", "a", 100), None, at(1)).await.unwrap();
    let done = Done { panics: 1, ..Done::default() };
    store.change(Changes { settled: vec![seq], ..Changes::default() }).await.unwrap();
    let late = Changes { marked: vec![(seq, done)], ..Changes::default() };
    store.change(late).await.unwrap();
    let next = store.spool(&of("movies", "b", 100), None, at(2)).await.unwrap();
    assert!(next > seq, "numbers are not used again");
    let mut spooled = Spooled::open(home.path()).unwrap();
    let found = waiting(&mut spooled, "movies");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].done, Done::default());
}

#[tokio::test]
async fn the_spool_has_a_share_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(small(home.path())).unwrap();
    let events = fill(&store, Table::Events, 1).await;
    let mut kept = Vec::new();
    let full = loop {
        match store.spool(&of("movies", &kept.len().to_string(), 10_000), None, at(1)).await {
            Ok(seq) => kept.push(seq),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, AppendError::ShareFull { table: Table::Spool, .. }), "{full:?}");
    assert!(full.to_string().contains("spool"), "{full}");
    assert!(kept.len() > 50, "only {} rows", kept.len());
    let usage = store.usage();
    assert!(usage.spool.bytes <= usage.spool_max_bytes);
    // Events can be appended no more, and the spool's rows did not change that.
    assert!(append(&store, Table::Events, "late", 1).await.is_err());
    assert_eq!(store.failures(), Failures::default(), "a limit is no failure");
    store.change(Changes { settled: kept, ..Changes::default() }).await.unwrap();
    store.spool(&of("movies", "later", 10_000), None, at(1)).await.unwrap();
    assert_eq!(all(home.path(), Table::Events).len() as u64, events);
}

#[tokio::test]
async fn a_journal_of_the_first_schema_keeps_what_is_in_it() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(Settings::new(home.path())).unwrap();
    append(&store, Table::Events, "kept", 1).await.unwrap();
    append(&store, Table::DeadLetters, "letter", 1).await.unwrap();
    store.close().await;
    let connection = rusqlite::Connection::open(home.path().join("journal.db")).unwrap();
    connection
        .execute_batch(
            "DROP TABLE history; DROP TABLE spool; DROP TABLE spool_progress;
             DROP TABLE spool_applications;
             DELETE FROM counters WHERE number >= 3; PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(connection);

    let store = Store::open(Settings::new(home.path())).unwrap();
    store.spool(&of("movies", "new", 100), None, at(2)).await.unwrap();
    assert_eq!(ids(&all(home.path(), Table::Events)), ["kept"]);
    assert_eq!(ids(&all(home.path(), Table::DeadLetters)), ["letter"]);
    assert_eq!(store.usage().spool.rows, 1);
}

#[tokio::test]
async fn a_row_that_was_withdrawn_in_time_is_not_written() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(Settings::new(home.path().join("journal"))).unwrap();
    let withdrawal = Withdrawal::default();
    assert!(withdrawal.withdraw(), "the writer never gets it");
    let kept = store.spool_unless(&withdrawal, &of("movies", "a", 100), None, at(1)).await;
    assert_eq!(kept.unwrap(), None);
    assert_eq!(store.usage().spool.rows, 0);
    store.close().await;
}

#[tokio::test]
async fn what_is_withdrawn_while_it_is_written_is_answered_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(Settings::new(home.path().join("journal"))).unwrap();
    let mut writing = JoinSet::new();
    let mut withdrawn_too_late = 0;
    for n in 0..500 {
        let (store, withdrawal) = (store.clone(), Withdrawal::default());
        let its = withdrawal.clone();
        writing.spawn(async move {
            store.spool_unless(&its, &of("movies", &n.to_string(), 100), None, at(n)).await.unwrap()
        });
        tokio::task::yield_now().await;
        withdrawn_too_late += usize::from(n % 2 == 0 && !withdrawal.withdraw());
    }
    let rows: HashSet<_> = writing.join_all().await.into_iter().flatten().collect();
    assert!(withdrawn_too_late > 0, "no row was withdrawn while it was written");
    assert!((250..500).contains(&rows.len()), "{} rows", rows.len());
    assert_eq!(store.usage().spool.rows, rows.len() as u64);
    store.close().await;
}
