//! What reads from the brokers: their official Python clients and the CloudEvents SDK, none of it
//! the bridge's. The journal is read as the SQLite file that it is.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use brokers::fetched;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::oracle::Found;

/// Nothing that is read or operated here takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A table of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// What the connector keeps.
    Events,
    /// What no broker took.
    DeadLetters,
}

/// All that lies in a broker (`kafka`, `rabbitmq`, `nats`), read to the end.
///
/// # Panics
///
/// If it cannot be read.
pub async fn read(broker: &str, address: &str) -> Vec<Found> {
    let lines = python("tests/subscribers/read_to_the_end.py", &[broker, address]).await;
    lines.lines().map(|line| found(line, false)).collect()
}

/// All that lies in a table of the journal in this folder; nothing if there is no journal.
///
/// # Panics
///
/// If it cannot be read.
pub async fn read_journal(folder: &Path, table: Table) -> Vec<Found> {
    let file = folder.join("journal.db");
    if !file.exists() {
        return Vec::new();
    }
    let file = file.to_str().expect("a path in UTF-8");
    let name = match table {
        Table::Events => "events",
        Table::DeadLetters => "dead_letters",
    };
    let lines = python("tests/subscribers/read_to_the_end.py", &["journal", file, name]).await;
    lines.lines().map(|line| found(line, table == Table::DeadLetters)).collect()
}

/// Does to a broker what an operator may do: see `scripts/operate.py`.
///
/// # Panics
///
/// If it cannot be done.
pub async fn operate(broker: &str, address: &str, action: &[&str]) {
    let arguments = [&[broker, address], action].concat();
    python("tests/prove/scripts/operate.py", &arguments).await;
}

fn found(line: &str, is_dead_letter: bool) -> Found {
    let line: Value = serde_json::from_str(line).expect("a line of JSON for each message");
    let attribute = |name: &str| line["attributes"][name].as_str().unwrap_or_default().to_owned();
    let body = line["body"].as_str().expect("each has a body");
    Found {
        id: attribute("id"),
        file: attribute("vodfileid"),
        data: BASE64_STANDARD.decode(body).expect("bodies are in Base64"),
        is_dead_letter,
    }
}

/// Runs a script with the subscribers' Python and returns what it printed.
async fn python(script: &str, arguments: &[&str]) -> String {
    let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let output = Command::new(fetched("subscribers").join("venv/bin/python3"))
        .arg(workspace.join(script))
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await;
    let output = output.unwrap_or_else(|_| panic!("{script} {arguments:?} takes too long"));
    let output = output.expect("Python can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("JSON is UTF-8")
}
