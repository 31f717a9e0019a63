//! The engine alone: what the store's appends are measured against.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

type Append = (Bytes, oneshot::Sender<()>);

/// Appends `rows` blobs of `row_bytes` to a fresh database in `directory`, from `appenders` tasks
/// that each wait for the commit of one before they send the next, and tells how long it took.
///
/// A table of one blob column without an index, a write-ahead log that is synced at each commit,
/// one transaction for whatever is queued: the least that could be called stored.
///
/// # Errors
///
/// The engine's.
///
/// # Panics
///
/// If the system gives no thread.
pub fn group_commit(
    directory: &Path,
    appenders: usize,
    rows: usize,
    row_bytes: usize,
) -> rusqlite::Result<Duration> {
    let mut connection = Connection::open(directory.join("bare.db"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch("CREATE TABLE bare (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
    let (queue, mut queued) = mpsc::channel::<Append>(8192);
    let writer = std::thread::spawn(move || write(&mut connection, &mut queued));
    let took = time(appenders, rows, move || {
        let (queue, body) = (queue.clone(), Bytes::from(vec![b'x'; row_bytes]));
        move || {
            let (queue, body) = (queue.clone(), body.clone());
            async move {
                let (answer, answered) = oneshot::channel();
                queue.send((body, answer)).await.is_ok() && answered.await.is_ok()
            }
        }
    });
    writer.join().expect("the writer does not panic")?;
    Ok(took)
}

/// Calls what `appender` makes `rows` times from `appenders` tasks and tells how long it took.
///
/// # Panics
///
/// If a call fails, or the system gives no threads.
pub fn time<A, F>(appenders: usize, rows: usize, appender: impl Fn() -> A) -> Duration
where
    A: Fn() -> F + Send + 'static,
    F: Future<Output = bool> + Send,
{
    let each = rows / appenders;
    let begun = Instant::now();
    runtime().block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..appenders {
            let append = appender();
            tasks.spawn(async move {
                for _ in 0..each {
                    assert!(append().await, "an append failed");
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no append fails");
        }
    });
    begun.elapsed()
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().expect("the system gives two threads")
}

fn write(connection: &mut Connection, queued: &mut mpsc::Receiver<Append>) -> rusqlite::Result<()> {
    let mut batch = Vec::with_capacity(1024);
    while queued.blocking_recv_many(&mut batch, 1024) > 0 {
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO bare (body) VALUES (?1)")?;
            for (body, _) in &batch {
                insert.execute([body.as_ref()])?;
            }
        }
        transaction.commit()?;
        for (_, answer) in batch.drain(..) {
            // An appender that has gone is counted as failed on its side.
            answer.send(()).ok();
        }
    }
    Ok(())
}
