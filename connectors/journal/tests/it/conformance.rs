use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use vodbridge_conformance::{Broker, Freeze, Stored, event};
use vodbridge_core::{Connector, Durability, Event, PublishError, Topic, Unavailable};
use vodbridge_journal::{Keep, Settings, Store, Table};

use crate::all;
use crate::process::Process;

/// The connector itself.
mod in_this_process {
    use super::InThisProcess;

    vodbridge_conformance::clauses!(InThisProcess::start();
        many_at_once_are_answered_each_for_itself,
        an_oversized_event_is_refused_and_harms_no_neighbour,
        a_closed_connector_is_unavailable,
        check_answers_for_each_topic_in_order,
    );
}

/// The connector in a process that can be killed, spoken to over pipes.
mod in_another_process {
    use super::InAnotherProcess;

    vodbridge_conformance::clauses!(InAnotherProcess::start().await;
        many_at_once_are_answered_each_for_itself,
        an_oversized_event_is_refused_and_harms_no_neighbour,
        what_was_acknowledged_is_there_after_a_kill,
        a_kill_under_load_loses_nothing_acknowledged,
        a_frozen_broker_acknowledges_nothing,
    );
}

/// More than half of the write-ahead log's 64 MiB.
const OVERSIZE_BYTES: usize = 33 << 20;

struct InThisProcess {
    directory: TempDir,
    store: Store,
}

impl InThisProcess {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Settings::new(directory.path())).unwrap();
        Self { directory, store }
    }
}

#[async_trait]
impl Broker for InThisProcess {
    async fn connector(&mut self) -> Box<dyn Connector> {
        let store = self.store.clone();
        Box::new(vodbridge_journal::Connector::new(store, Table::Events, Keep::All, None))
    }

    async fn stored(&mut self) -> Vec<Stored> {
        stored(&self.directory)
    }

    async fn kill(&mut self) {
        unreachable!("clauses that kill are put to the other one");
    }

    async fn restart(&mut self) {
        unreachable!("clauses that kill are put to the other one");
    }

    fn oversize_bytes(&self) -> usize {
        OVERSIZE_BYTES
    }
}

struct InAnotherProcess {
    directory: TempDir,
    pid: u32,
    pipe: Arc<Pipe>,
    /// Writes, reads and holds the process.
    tasks: JoinSet<()>,
    kill: Option<oneshot::Sender<()>>,
}

/// The bridge's end: what is asked, and who waits for an answer.
struct Pipe {
    asked: mpsc::Sender<String>,
    waiting: Waiting,
    next: AtomicU64,
}

/// Nothing once the process is gone.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<String>>>>>;

impl Pipe {
    fn wait_for(&self, number: u64) -> Option<oneshot::Receiver<String>> {
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap().as_mut()?.insert(number, answer);
        Some(answered)
    }
}

impl InAnotherProcess {
    async fn start() -> Self {
        Self::over(tempfile::tempdir().unwrap()).await
    }

    async fn over(directory: TempDir) -> Self {
        let Process { mut child, mut stdin, mut lines } = Process::start(directory.path()).await;
        let pid = child.id().unwrap();
        let (asked, mut to_ask) = mpsc::channel::<String>(10_000);
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (kill, killed) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Some(line) = to_ask.recv().await {
                if stdin.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        let answered = Arc::clone(&waiting);
        tasks.spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let ["answer", number, word] = line.split(' ').collect::<Vec<_>>()[..] {
                    let number = number.parse().unwrap();
                    let asker = answered.lock().unwrap().as_mut().unwrap().remove(&number);
                    asker.unwrap().send(word.to_owned()).ok();
                }
            }
            // The process is gone: nobody else will be answered.
            *answered.lock().unwrap() = None;
        });
        tasks.spawn(async move {
            killed.await.ok();
            child.kill().await.unwrap();
        });
        let pipe = Arc::new(Pipe { asked, waiting, next: AtomicU64::new(0) });
        Self { directory, pid, pipe, tasks, kill: Some(kill) }
    }

    /// Whether every thread is stopped: `<tid> (<name>) T ...` (proc(5)).
    fn stands_still(&self) -> bool {
        std::fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap().all(|thread| {
            let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
            stat.rsplit_once(')').unwrap().1.starts_with(" T")
        })
    }

    async fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([name, &self.pid.to_string()]).status().await;
        assert!(kill.unwrap().success());
    }
}

#[async_trait]
impl Broker for InAnotherProcess {
    async fn connector(&mut self) -> Box<dyn Connector> {
        Box::new(Remote(Arc::clone(&self.pipe)))
    }

    async fn stored(&mut self) -> Vec<Stored> {
        stored(&self.directory)
    }

    async fn kill(&mut self) {
        self.kill.take().unwrap().send(()).unwrap();
        // The writer waits for more to ask; the other two end with the process.
        for _ in 0..2 {
            self.tasks.join_next().await.unwrap().unwrap();
        }
    }

    async fn restart(&mut self) {
        let directory = std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap());
        *self = Self::over(directory).await;
    }

    fn oversize_bytes(&self) -> usize {
        OVERSIZE_BYTES
    }

    fn freezer(&mut self) -> Option<&mut dyn Freeze> {
        Some(self)
    }
}

#[async_trait]
impl Freeze for InAnotherProcess {
    async fn freeze(&mut self) {
        self.signal("-STOP").await;
        // The signal is on its way when kill(1) returns; its threads stop one after the other.
        timeout(Duration::from_secs(10), async {
            while !self.stands_still() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
    }

    async fn thaw(&mut self) {
        self.signal("-CONT").await;
    }
}

struct Remote(Arc<Pipe>);

#[async_trait]
impl Connector for Remote {
    async fn publish(&self, published: &Event, topic: &Topic) -> Result<(), PublishError> {
        let data_bytes = published.data.len();
        assert_eq!(*published, event(&published.id, data_bytes), "the other side makes its own");
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let ended = || Unavailable::outage("the process has ended");
        let answered = self.0.wait_for(number).ok_or_else(ended)?;
        let line = format!("{number} {topic} {} {data_bytes}\n", published.id);
        if self.0.asked.send(line).await.is_err() {
            return Err(ended().into());
        }
        match answered.await.as_deref() {
            Ok("ok") => Ok(()),
            Ok("refused") => Err(PublishError::Refused("refused".into())),
            Ok(_) | Err(_) => Err(ended().into()),
        }
    }

    async fn check(
        &self,
        _: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        unreachable!("put to the one in this process");
    }

    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        Ok(topics.iter().map(|_| Ok(())).collect())
    }

    async fn close(&self) {}
}

fn stored(directory: &TempDir) -> Vec<Stored> {
    all(directory.path(), Table::Events)
        .into_iter()
        .map(|r| Stored { id: r.event.id.to_string(), topic: r.topic.to_string() })
        .collect()
}
