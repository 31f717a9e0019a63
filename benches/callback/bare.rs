//! The engine alone: one blob to a row, no index, one transaction for whatever has queued up,
//! synced at each commit. The least that could be called stored.

use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use vodsim::callback;

use crate::support::measured::{Measured, histogram};

type Append = (Vec<u8>, oneshot::Sender<()>);

/// Appends from so many tasks, each of which waits for the commit of one row before it sends the
/// next.
pub(crate) fn group_commit(appenders: usize, time: Duration) -> Measured {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("bare.db")).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    let table = "CREATE TABLE bare (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)";
    connection.execute_batch(table).unwrap();
    let (queue, queued) = mpsc::channel(4096);
    let writer = thread::spawn(move || write(connection, queued));
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let measured = runtime.block_on(append(queue, appenders, time));
    writer.join().unwrap();
    measured
}

async fn append(queue: mpsc::Sender<Append>, appenders: usize, time: Duration) -> Measured {
    let row = callback::body(0);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..appenders {
        let (queue, row) = (queue.clone(), row.clone());
        tasks.spawn(async move {
            let mut micros = histogram();
            while began.elapsed() < time {
                let sent = Instant::now();
                let (answer, answered) = oneshot::channel();
                queue.send((row.clone(), answer)).await.unwrap();
                answered.await.unwrap();
                micros.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap());
            }
            micros
        });
    }
    let all = tasks.join_all().await;
    let elapsed = began.elapsed();
    let mut micros = histogram();
    all.into_iter().for_each(|one| micros.add(one).unwrap());
    Measured::of(&micros, elapsed)
}

fn write(mut connection: Connection, mut queued: mpsc::Receiver<Append>) {
    let mut batch = Vec::with_capacity(512);
    while queued.blocking_recv_many(&mut batch, 512) > 0 {
        let transaction = connection.transaction().unwrap();
        {
            let insert = "INSERT INTO bare (body) VALUES (?1)";
            let mut insert = transaction.prepare_cached(insert).unwrap();
            for (body, _) in &batch {
                insert.execute([body]).unwrap();
            }
        }
        transaction.commit().unwrap();
        for (_, answer) in batch.drain(..) {
            // Everybody waits for theirs.
            answer.send(()).unwrap();
        }
    }
}
