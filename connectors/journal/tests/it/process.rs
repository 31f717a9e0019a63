use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader, Lines, stdin};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use vodbridge_conformance::event;
use vodbridge_core::{Connector as _, PublishError, Topic};
use vodbridge_journal::{Connector, Keep, Settings, Store, Table};

/// Tells this test binary that it is to be a bridge's journal and not a run of tests.
const DIRECTORY: &str = "JOURNAL_TEST_DIRECTORY";

/// A journal in a process of its own, so that it can be killed.
///
/// A line in is `<number> <topic> <id> <data bytes>`, a line out is
/// `answer <number> <ok|unavailable|refused>`.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) stdin: ChildStdin,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
}

// === impl Process ===

impl Process {
    /// Starts it and waits until the journal is open.
    pub(crate) async fn start(directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::serves_a_journal_if_told_to", "--nocapture"])
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next_line().await.unwrap();
            if line.expect("the process opens its journal") == "ready" {
                return Self { child, stdin, lines };
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_a_journal_if_told_to() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else { return };
    let store = Store::open(Settings::new(directory)).unwrap();
    let connector = Arc::new(Connector::new(store.clone(), Table::Events, Keep::All, None));
    // The test harness has left its own line open.
    say("\nready".to_owned());
    let mut publishes = JoinSet::new();
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let connector = Arc::clone(&connector);
        publishes.spawn(async move { answer(&connector, &line).await });
    }
    publishes.join_all().await;
    store.close().await;
}

async fn answer(connector: &Connector, line: &str) {
    let [number, topic, id, bytes] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let event = event(id, bytes.parse().unwrap());
    let word = match connector.publish(&event, &Topic::new(topic).unwrap()).await {
        Ok(()) => "ok",
        Err(PublishError::Unavailable(_)) => "unavailable",
        Err(PublishError::Refused(_)) => "refused",
    };
    say(format!("answer {number} {word}"));
}

/// One write a line: a line is whole or not there when the process is killed.
fn say(line: String) {
    let mut out = stdout().lock();
    out.write_all((line + "\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}
