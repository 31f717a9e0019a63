//! What a callback brought is kept until a connector has it: through outages, kills and stops.

use std::collections::HashSet;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use brokers::Port;
use serde_json::Value;
use vodsim::callback::{self, Report, Sender};

use crate::program::{Home, PATH, Program, connect, reply};

/// One connector, called `out`, that nobody answers.
fn nobody(port: &Port, rest: &str) -> String {
    let address = port.address();
    format!("connectors: {{ out: {{ type: nats, servers: [\"nats://{address}\"] }} }}\n{rest}")
}

/// The same connector, in the journal.
fn somebody(rest: &str) -> String {
    format!("connectors: {{ out: {{ type: journal }} }}\n{rest}")
}

fn storm(program: &Program, numbers: std::ops::Range<u64>) -> Report {
    Sender::new(program.callbacks).path(PATH).connections(32).numbers(numbers).run()
}

fn until(mut is_so: impl FnMut() -> bool) {
    let give_up = std::time::SystemTime::now() + crate::program::PATIENCE;
    while !is_so() {
        assert!(std::time::SystemTime::now() < give_up, "not in time");
        thread::yield_now();
    }
}

fn files(home: &Home) -> Vec<String> {
    let file = |event: &Value| event["vodfileid"].as_str().unwrap().to_owned();
    home.listed(&["events"]).iter().map(file).collect()
}

#[test]
fn what_no_connector_takes_is_kept_and_sent_on_by_the_next_process() {
    let port = Port::take();
    let home = Home::new(&nobody(
        &port,
        "applications: { default: { callback: { answer_within: 1s } } }\n",
    ));
    let program = home.start();
    let body = callback::body(7);
    let reply = program.post(PATH, &body);
    assert_eq!(reply.status, 503);
    let said: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(said["kept"], true, "{said}");
    let report = storm(&program, 100..600);
    assert_eq!(report.answered(503), 500);
    until(|| program.spooled() == 501.0);
    assert_eq!(program.unaccounted(), 0.0);
    let ready = program.get("/readyz");
    assert_eq!(ready.status, 200, "it keeps what comes: {}", ready.body);
    program.kill();

    home.configure(&somebody(""));
    let program = home.start();
    until(|| program.metric("vodbridge_settled_total", "") == 501.0);
    assert_eq!(program.metric("vodbridge_recovered_total", ""), 501.0);
    assert_eq!(program.metric("vodbridge_waiting", ""), 0.0);
    assert_eq!(program.unaccounted(), 0.0);
    let stored = files(&home);
    assert_eq!(stored.len(), 501, "each once");
    let stored: HashSet<_> = stored.into_iter().collect();
    for n in (100..600).chain([7]) {
        assert!(stored.contains(&callback::file_id(n)), "callback {n} is gone");
    }
    assert!(program.terminate().success());
    // They went: the next process finds none.
    let program = home.start();
    assert_eq!(program.metric("vodbridge_recovered_total", ""), 0.0);
    assert!(program.terminate().success());
}

/// Callbacks one after the other until the program is gone; the numbers that it said are kept.
fn told_kept(to: SocketAddr, numbers: Range<u64>, told: &AtomicUsize) -> Vec<u64> {
    let mut stream = connect(to);
    let mut kept = Vec::new();
    for n in numbers {
        let body = callback::body(n);
        let head =
            format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).ok();
        let Some(reply) = reply(&mut stream) else { break };
        let said: Value = serde_json::from_str(&reply.body).unwrap();
        if said["kept"] == true {
            kept.push(n);
            told.fetch_add(1, Ordering::Relaxed);
        }
    }
    kept
}

#[test]
fn who_was_told_that_his_event_is_kept_finds_it_after_kill_9() {
    let port = Port::take();
    let home = Home::new(&nobody(
        &port,
        "applications: { default: { callback: { answer_within: 1s } } }\n",
    ));
    let program = home.start();
    let (to, told) = (program.callbacks, Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..32)
        .map(|n| {
            let told = Arc::clone(&told);
            thread::spawn(move || told_kept(to, n * 100_000..(n + 1) * 100_000, &told))
        })
        .collect();
    until(|| told.load(Ordering::Relaxed) >= 2000);
    program.kill();
    let kept: Vec<u64> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
    assert!(kept.len() >= 2000);

    home.configure(&somebody(""));
    let program = home.start();
    until(|| program.unsettled() == 0.0);
    let stored: HashSet<_> = files(&home).into_iter().collect();
    let lost: Vec<_> = kept.iter().filter(|n| !stored.contains(&callback::file_id(**n))).collect();
    assert!(lost.is_empty(), "{} of {} are gone: {lost:?}", lost.len(), kept.len());
    assert!(program.terminate().success());
}

#[test]
fn a_stop_leaves_what_waits_in_the_spool_and_is_in_order() {
    let port = Port::take();
    let home = Home::new(&nobody(
        &port,
        "applications: { default: { callback: { answer_within: 1s } } }\n",
    ));
    let program = home.start();
    assert_eq!(storm(&program, 0..50).answered(503), 50);
    assert!(program.terminate().success(), "what is kept is safe");
    home.configure(&somebody(""));
    let program = home.start();
    until(|| program.metric("vodbridge_settled_total", "") == 50.0);
    assert_eq!(files(&home).len(), 50);
    assert!(program.terminate().success());
}

#[test]
fn what_an_application_left_behind_is_routed_when_it_is_configured_no_more() {
    let port = Port::take();
    let left =
        "applications: { default: { callback: { path: /vod/default, answer_within: 1s } } }\n";
    let home = Home::new(&nobody(&port, left));
    let program = home.start();
    assert_eq!(storm(&program, 0..20).answered(503), 20);
    program.kill();
    home.configure(&somebody(
        "applications: { other: { callback: { path: /vod/default } } }\n\
         routes: [ { match: { applications: [default] }, to: [out], topic: \"old.{event_type}\" } ]\n",
    ));
    let program = home.start();
    until(|| program.metric("vodbridge_settled_total", "application=\"default\"") == 20.0);
    let events = home.listed(&["events"]);
    assert_eq!(events.len(), 20);
    assert!(events.iter().all(|e| e["vodapplication"] == "default"), "{events:?}");
    assert!(program.terminate().success());
}

#[test]
fn a_full_spool_refuses_nothing_that_a_connector_takes() {
    let port = Port::take();
    let small = "JOURNAL , size_max: 16MiB, wal_max: 8MiB\n";
    let limited =
        "applications: { default: { callback: { body_max: 1MiB, answer_within: 1s } } }\n";
    let home = Home::new(&format!("{small}{}", nobody(&port, limited)));
    let program = home.start();
    let mut kept = 0.0;
    let mut next = 0_u32;
    until(|| {
        let report = storm(&program, u64::from(next)..u64::from(next) + 2000);
        next += 2000;
        kept = program.metric("vodbridge_waiting", "");
        report.answered(503) == 2000 && kept < f64::from(next)
    });
    assert!(kept > 1000.0, "only {kept} were kept");
    assert_eq!(program.get("/readyz").status, 503, "neither kept nor taken");
    assert_eq!(program.unaccounted(), 0.0);
    let reply = program.post(PATH, &callback::body(next.into()));
    let said: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!((reply.status, &said["kept"]), (503, &Value::Bool(false)));
    // A row may be written after its callback was answered.
    until(|| program.unsettled() == program.spooled());
    let kept = program.spooled();
    assert!(program.terminate().success());

    // The journal's other share takes them all, and what comes meanwhile.
    home.configure(&format!(
        "{small}applications: {{ default: {{ callback: {{ body_max: 1MiB }} }} }}\n\
         connectors: {{ out: {{ type: journal, keep: newest }} }}\n"
    ));
    let program = home.start();
    let report = storm(&program, 1_000_000..1_000_500);
    assert_eq!(report.confirmed().count(), 500, "{report:?}");
    until(|| program.metric("vodbridge_waiting", "") == 0.0);
    assert_eq!(program.metric("vodbridge_recovered_total", ""), kept);
    assert!(program.terminate().success());
}

/// Whoever hears that nothing is left deletes the volume, and it may be another that he meant.
#[test]
fn a_directory_without_a_journal_is_not_drained() {
    let home = Home::new("");
    let drained = home.vodbridge(&["drain"]);
    let said = String::from_utf8(drained.stderr).unwrap();
    assert_eq!(drained.status.code(), Some(1), "{said}");
    assert!(said.contains("there is no journal in"), "{said}");
    assert!(!home.path().join("journal").exists(), "it was made");
}

#[test]
fn a_journal_whose_bridge_does_not_come_back_is_drained() {
    let port = Port::take();
    let home = Home::new(&nobody(
        &port,
        "applications: { default: { callback: { answer_within: 1s } } }\n",
    ));
    let program = home.start();
    assert_eq!(storm(&program, 0..300).answered(503), 300);
    let busy = home.vodbridge(&["drain"]);
    assert_eq!(busy.status.code(), Some(1));
    let said = String::from_utf8(busy.stderr).unwrap();
    assert!(said.contains("belongs to another running bridge"), "{said}");
    program.kill();

    // Nobody takes them: they stay.
    let vain = home.vodbridge(&["drain", "--within", "1s"]);
    let said = String::from_utf8(vain.stderr).unwrap();
    assert_eq!(vain.status.code(), Some(1), "{said}");
    assert!(said.contains("\"left\":300"), "{said}");

    home.configure(&somebody(""));
    let drained = home.vodbridge(&["drain"]);
    let said = String::from_utf8(drained.stderr).unwrap();
    assert_eq!(drained.status.code(), Some(0), "{said}");
    assert!(said.contains("nothing is left"), "{said}");
    assert_eq!(files(&home).into_iter().collect::<HashSet<_>>().len(), 300);
    let again = home.vodbridge(&["drain"]);
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(files(&home).len(), 300, "each once");
}
