//! A journal at its limit, and a disk at its end: 503, never a 200 without its event.

use std::collections::HashSet;
use std::fs;
use std::process::Command;
use std::thread;

use brokers::SmallDisk;
use vodsim::callback::{self, Report, Sender};

use crate::program::{Home, PATH, Program};

/// What fits into a small journal.
const SMALL_BODIES: &str = "applications: { default: { callback: { body_max: 1MiB } } }\n";

/// Posts so many callbacks and returns what was answered.
fn storm(program: &Program, numbers: std::ops::Range<u64>) -> Report {
    Sender::new(program.callbacks).path(PATH).connections(32).numbers(numbers).run()
}

/// Every 200 of these reports has its event in the journal.
fn assert_kept(home: &Home, reports: &[&Report]) {
    let events = home.listed(&["events"]);
    let stored: HashSet<&str> = events.iter().map(|e| e["vodfileid"].as_str().unwrap()).collect();
    for n in reports.iter().flat_map(|r| r.confirmed()) {
        assert!(stored.contains(callback::file_id(n).as_str()), "callback {n} is gone");
    }
}

/// What `check` says and how it ends.
fn checked(home: &Home) -> (Option<i32>, String) {
    let output = home.vodbridge(&["check"]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_journal_at_its_limit_answers_503_and_goes_on_when_there_is_room() {
    let home = Home::new(&format!("JOURNAL , size_max: 16MiB, wal_max: 8MiB\n{SMALL_BODIES}"));
    let program = home.start();
    let filling = storm(&program, 0..20_000);
    assert!(filling.confirmed().count() > 1000, "the journal took nothing");
    assert!(filling.answered(503) > 0, "the limit was never reached");
    assert_kept(&home, &[&filling]);
    let (has, most) = ("vodbridge_journal_bytes", "vodbridge_journal_max_bytes");
    let events = r#"share="events""#;
    assert!(program.metric(has, events) > 0.8 * program.metric(most, events), "an alert asks this");
    assert_eq!(program.unaccounted(), 0.0);
    // Beside the bridge, and without it.
    let is_full = || {
        let (code, said) = checked(&home);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("events and dead letters: full, "), "{said}");
        assert!(said.contains("raise journal.size_max"), "{said}");
    };
    is_full();
    assert!(program.terminate().success());
    is_full();

    // More room, by the operator's hand.
    home.configure(&format!("JOURNAL , size_max: 64MiB, wal_max: 8MiB\n{SMALL_BODIES}"));
    let program = home.start();
    let after = storm(&program, 20_000..21_000);
    assert_eq!(after.confirmed().count(), 1000);
    assert_kept(&home, &[&filling, &after]);
    assert!(program.terminate().success());

    // Or the oldest events make room.
    home.configure(&format!(
        "JOURNAL , size_max: 16MiB, wal_max: 8MiB\n{SMALL_BODIES}\
         connectors: {{ journal: {{ type: journal, keep: newest }} }}\n"
    ));
    let program = home.start();
    let newest = storm(&program, 30_000..60_000);
    assert_eq!(newest.confirmed().count(), 30_000, "{newest:?}");
    let last = storm(&program, 60_000..60_500);
    assert_kept(&home, &[&last]);
    assert!(program.metric(has, events) > 0.0);
    assert!(
        !program.get("/metrics").body.contains(&format!("{most}{{{events}}}")),
        "full is as it should be"
    );
    assert!(program.terminate().success());
}

#[test]
fn a_directory_that_cannot_be_written_is_found_before_the_start() {
    let disk = SmallDisk::mount("1m,ro");
    for journal in [disk.path().join("journal"), disk.path().to_owned()] {
        let home = Home::with_journal(tempfile::tempdir().unwrap(), journal, "");
        let (code, said) = checked(&home);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("cannot be written; mount it writable"), "{said}");
    }
}

#[test]
fn a_full_disk_answers_503_and_goes_on_when_there_is_room() {
    let disk = SmallDisk::mount("48m");
    let journal = disk.path().join("journal");
    let home = Home::with_journal(tempfile::tempdir().unwrap(), journal, "");
    let program = home.start();
    let before = storm(&program, 0..2000);
    assert_eq!(before.confirmed().count(), 2000);
    let filler = disk.fill();
    let during = storm(&program, 2000..30_000);
    assert!(during.answered(503) > 0, "the disk was never full: {during:?}");
    assert_kept(&home, &[&before, &during]);
    fs::remove_file(filler).unwrap();
    // The breaker probes by itself, at the latest after its longest wait.
    let deadline = std::time::SystemTime::now() + crate::program::PATIENCE;
    let mut n = 30_000;
    while storm(&program, n..n + 1).confirmed().count() == 0 {
        assert!(std::time::SystemTime::now() < deadline, "no recovery");
        n += 1;
        thread::yield_now();
    }
    let after = storm(&program, 900_000..900_500);
    assert_eq!(after.confirmed().count(), 500, "{after:?}");
    assert_kept(&home, &[&before, &during, &after]);
    assert_eq!(program.unaccounted(), 0.0);
    program.kill();
    // And nothing is corrupt.
    let program = home.start();
    assert_kept(&home, &[&before, &during, &after]);
    assert!(program.terminate().success());
}

#[test]
fn a_journal_that_dies_with_its_pod_holds_no_dead_letters() {
    let disk = SmallDisk::mount("48m");
    let port = brokers::Port::take();
    let nats = format!(
        "connectors: {{ out: {{ type: nats, servers: [\"nats://{}\"] }} }}\n",
        port.address()
    );
    let journal = disk.path().join("journal");
    let earlier = Home::with_journal(tempfile::tempdir().unwrap(), journal.clone(), "").start();
    assert!(earlier.terminate().success());
    let start = |yaml: &str, in_pod: bool| {
        let journal = journal.clone();
        let home = Home::with_journal(tempfile::tempdir().unwrap(), journal, yaml);
        let mut command = Command::new(env!("CARGO_BIN_EXE_vodbridge"));
        if in_pod {
            command.env("KUBERNETES_SERVICE_HOST", "10.0.0.1");
        }
        // It sends on what waits, which is nothing, or does not start.
        let output = command.arg("drain").arg("--config").arg(home.config()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = start(&nats, true);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is gone with this pod") && said.contains("mount a volume"), "{said}");
    let (code, said) = start("", true);
    assert_eq!(code, Some(1), "a required connector: {said}");
    let (code, said) = start(&format!("{nats}dead_letter: {{ to: out }}\n"), true);
    assert_eq!(code, Some(0), "only the spool is there: {said}");
    assert_eq!(start("", false).0, Some(0), "no pod");
}
