//! What the journal promises, put to the real file system and to real processes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

mod age_and_room;
mod beside;
mod conformance;
mod full_disk;
mod history;
mod opening;
mod process;
mod spool;

use std::path::Path;

use vodbridge_conformance::{event, topic};
use vodbridge_core::Timestamp;
use vodbridge_journal::{AppendError, Cursor, Filter, Reader, Record, Seq, Settings, Store, Table};

/// A journal of 2 MiB, half of it for events and dead letters.
fn small(path: &Path) -> Settings {
    Settings { size_max_bytes: 2 << 20, ballast_bytes: 64 << 10, ..Settings::new(path) }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn append(store: &Store, table: Table, id: &str, now: u64) -> Result<Seq, AppendError> {
    store.append(table, &event(id, 10_000), &topic(), at(now)).await
}

/// Appends until the share is full and tells how many went in.
async fn fill(store: &Store, table: Table, now: u64) -> u64 {
    for number in 0..10_000 {
        match append(store, table, &format!("fill-{number}"), now).await {
            Ok(_) => {}
            Err(AppendError::ShareFull { .. }) => return number,
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("the share has no end")
}

/// Everything in the table, oldest first.
fn all(path: &Path, table: Table) -> Vec<Record> {
    let mut reader = Reader::open(path).unwrap();
    let mut cursor = Cursor::OLDEST;
    let mut records = Vec::new();
    loop {
        let page = reader.page(table, &Filter::default(), cursor, 500).unwrap();
        records.extend(page.records);
        if page.is_last {
            return records;
        }
        cursor = page.next;
    }
}

fn ids(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.event.id.as_str()).collect()
}
