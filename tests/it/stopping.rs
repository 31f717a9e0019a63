//! SIGTERM, once and twice, and starts that cannot be.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use vodsim::callback::Sender;

use crate::program::{Home, PATH, Program, connect, raw, reply};

const EVENT: &str = r#"{"EventType":"X","XEvent":{"TaskId":"1"}}"#;

#[test]
fn a_stop_under_load_drops_nothing_that_was_answered_and_ends_in_order() {
    let home = Home::new("");
    let program = home.start();
    let storm = Sender::new(program.callbacks)
        .path(PATH)
        .connections(16)
        .numbers(0..1_000_000)
        .stop_at_disconnect();
    let storm = thread::spawn(move || storm.run());
    while program.metric("vodbridge_settled_total", "") < 2000.0 {
        thread::yield_now();
    }
    let status = program.terminate();
    assert_eq!(status.code(), Some(0));
    let report = storm.join().unwrap();
    let stored = home.listed(&["events"]).len();
    let answered = report.confirmed().count();
    assert!(answered >= 2000);
    assert_eq!(stored, answered, "everything taken in was answered, and everything answered kept");
}

#[test]
fn readiness_turns_red_before_anything_else_stops() {
    let program = Home::new("drain_delay: 30s\ngrace: 60s\n").start();
    assert_eq!(program.get("/livez").status, 200);
    while program.get("/readyz").status != 200 {
        thread::yield_now();
    }
    program.signal(Signal::TERM);
    program.wait_for_line("draining").unwrap();
    let ready = program.get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("draining"), "{}", ready.body);
    assert_eq!(
        program.post(PATH, EVENT.as_bytes()).status,
        200,
        "until the endpoints have forgotten us"
    );
}

fn request() -> String {
    let length = EVENT.len();
    format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{EVENT}")
}

/// A connection that has had an answer and may have more.
fn kept_alive(program: &Program) -> TcpStream {
    let mut stream = connect(program.callbacks);
    stream.write_all(request().as_bytes()).unwrap();
    let first = reply(&mut stream).unwrap();
    assert_eq!((first.status, first.head.contains("connection: close")), (200, false));
    stream
}

fn is_closed(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0; 1]).is_ok_and(|read| read == 0)
}

#[test]
fn a_caller_who_keeps_his_connection_is_told_to_come_back_by_another() {
    let program = Home::new("drain_delay: 30s\ngrace: 60s\n").start();
    let mut stream = kept_alive(&program);
    program.signal(Signal::TERM);
    program.wait_for_line("draining").unwrap();
    stream.write_all(request().as_bytes()).unwrap();
    let last = reply(&mut stream).unwrap();
    assert_eq!((last.status, last.head.contains("connection: close")), (200, true));
    assert!(is_closed(&mut stream));
}

#[test]
fn a_request_that_has_begun_and_a_connection_that_has_not_are_served_after_the_stop() {
    let mut program = Home::new("").start();
    let mut idle = kept_alive(&program);
    let request = request();
    let (begun, rest) = request.split_at(10);
    let (mut again, mut first, mut silent) =
        (kept_alive(&program), connect(program.callbacks), connect(program.callbacks));
    again.write_all(begun.as_bytes()).unwrap();
    first.write_all(begun.as_bytes()).unwrap();
    program.signal(Signal::TERM);
    assert!(is_closed(&mut idle), "nothing new is taken in");
    for (name, stream, bytes) in [
        ("a further request", &mut again, rest),
        ("a first request", &mut first, rest),
        ("a connection without a word", &mut silent, &request),
    ] {
        stream.write_all(bytes.as_bytes()).unwrap();
        let reply = reply(stream).unwrap_or_else(|| panic!("{name} is not answered"));
        assert_eq!(reply.status, 200, "{name}");
    }
    assert!(program.end().0.success());
}

#[test]
fn a_body_that_comes_byte_by_byte_does_not_take_the_time_to_end_in_order() {
    let mut program = Home::new("grace: 6s\n").start();
    let mut slow = connect(program.callbacks);
    let request = request();
    let (begun, rest) = request.split_at(request.len() - EVENT.len() + 1);
    slow.write_all(begun.as_bytes()).unwrap();
    // Its handler is at work on it once the program has answered somebody who came later.
    assert_eq!(program.post(PATH, EVENT.as_bytes()).status, 200);
    program.signal(Signal::TERM);
    let (status, log) = program.end();
    assert!(status.success());
    let says = |text| log.iter().any(|l| l["message"].as_str().is_some_and(|m| m.contains(text)));
    assert!(says("dropped") && !says("grace is over"), "{log:#?}");
    // It was told nothing.
    slow.write_all(rest.as_bytes()).ok();
    assert!(reply(&mut slow).is_none());
}

#[test]
fn connections_that_wait_at_the_door_are_served_before_it_closes() {
    let mut program = Home::new("limits: { connections: 1 }\n").start();
    let mut held = kept_alive(&program);
    let mut waiting: Vec<_> = (0..3).map(|_| connect(program.callbacks)).collect();
    for stream in &mut waiting {
        stream.write_all(request().as_bytes()).unwrap();
    }
    program.signal(Signal::TERM);
    assert!(is_closed(&mut held));
    for stream in &mut waiting {
        assert_eq!(reply(stream).expect("an answer").status, 200);
    }
    assert!(program.end().0.success());
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone() {
    let home = Home::new("");
    assert!(home.start().terminate().success());
    let database = home.path().join("journal/journal.db");
    let newer = rusqlite::Connection::open(&database).unwrap();
    newer.pragma_update(None, "user_version", 1000).unwrap();
    newer.close().unwrap();
    let before = fs::read(&database).unwrap();
    let log = home.try_start().err().expect("it started");
    let error = log.iter().find_map(|l| l["error"].as_str()).unwrap();
    assert!(error.contains("newer version (schema 1000"), "{error}");
    assert!(error.contains("run that version"), "{error}");
    let listing = home.vodbridge(&["events"]);
    assert_eq!(listing.status.code(), Some(1));
    let told = String::from_utf8(listing.stderr).unwrap();
    assert!(told.contains("newer version (schema 1000"), "{told}");
    assert_eq!(fs::read(&database).unwrap(), before);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut program = Home::new("drain_delay: 50s\ngrace: 60s\n").start();
    program.signal(Signal::TERM);
    program.wait_for_line("draining").unwrap();
    program.signal(Signal::TERM);
    assert_eq!(program.end().0.code(), Some(0), "nothing was owed");
}

#[test]
fn a_directory_that_cannot_be_a_journal_says_so_at_start_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"not a directory").unwrap();
    let missing = folder.path().join("no/such/place");
    for (name, journal) in [("a file", file), ("a missing parent", missing)] {
        let home = Home::with_journal(tempfile::tempdir().unwrap(), journal.clone(), "");
        let log = home.try_start().err().unwrap_or_else(|| panic!("{name}: it started"));
        let error = log.iter().find_map(|l| l["error"].as_str()).unwrap();
        assert!(error.contains(journal.to_str().unwrap()), "{name}: {error}");
    }
}

#[test]
fn a_port_that_is_taken_is_told_with_its_key_and_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (key, variable) in
        [("http.listen", "VODBRIDGE__HTTP__LISTEN"), ("admin.listen", "VODBRIDGE__ADMIN__LISTEN")]
    {
        let home = Home::new("");
        let log = home.try_start_with(&[(variable, &address)]).err().expect("it started");
        let error = log.iter().find_map(|line| line["error"].as_str()).unwrap();
        for part in [key, variable, "end what listens there", &address] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}

#[test]
fn a_second_bridge_on_the_same_journal_is_refused() {
    let home = Home::new("");
    let first = home.start();
    let log = home.try_start().err().expect("it started");
    let error = log.iter().find_map(|l| l["error"].as_str()).unwrap();
    assert!(error.contains("another"), "{error}");
    first.kill();
    // The kernel gives the lock back.
    assert!(home.start().terminate().success());
}

#[test]
fn a_wrong_configuration_starts_nothing_and_reports_every_error() {
    let home = Home::new("");
    fs::write(home.config(), "http: { lisen: 1 }\njournal: { size_max: lots }\n").unwrap();
    let output = home.vodbridge(&["run"]);
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    for part in
        ["vodbridge.yaml:1:", "http.lisen", "listen", "vodbridge.yaml:2:", "journal.size_max"]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!home.path().join("journal").exists());
}

#[test]
fn the_defaults_run() {
    let program = Program::with_defaults();
    let ready = loop {
        let ready = program.get("/readyz");
        assert_eq!(ready.status, 200, "it can keep events at once");
        let ready: serde_json::Value = serde_json::from_str(&ready.body).unwrap();
        if ready["status"] == "ready" {
            break ready;
        }
        thread::yield_now();
    };
    assert_eq!(ready["connectors"]["journal"]["survives"]["process"]["answer"], "yes");
}

#[test]
fn a_log_that_nobody_reads_any_more_ends_nothing() {
    let home = Home::new("log: { format: json, level: debug }\n");
    let mut child = Command::new(env!("CARGO_BIN_EXE_vodbridge"))
        .arg("run")
        .arg("--config")
        .arg(home.config())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = log.find_map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        line["message"].as_str()?.contains("callbacks").then(|| line["address"].clone())
    });
    drop(log);
    let address = address.unwrap().as_str().unwrap().parse().unwrap();
    for task in 0..3 {
        let body = format!(r#"{{"EventType":"X","XEvent":{{"TaskId":"{task}"}}}}"#);
        let request = format!(
            "POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(raw(address, request.as_bytes()).unwrap().status, 200);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
