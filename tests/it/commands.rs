//! The commands beside a running bridge, and without one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Home, PATH, Program};

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn post(program: &Program, event_type: &str, file: &str, task: &str) {
    let body = format!(
        r#"{{"EventType":"{event_type}","{event_type}Event":{{"TaskId":"{task}","FileId":"{file}"}}}}"#
    );
    assert_eq!(program.post(PATH, body.as_bytes()).status, 200);
}

#[test]
fn events_are_filtered_by_type_file_task_id_application_and_time() {
    let home = Home::new("");
    let program = home.start();
    post(&program, "PullComplete", "f1", "t1");
    post(&program, "PullComplete", "f2", "t2");
    post(&program, "TranscodeComplete", "f1", "t3");
    for (filter, ids) in [
        (&[][..], &["PullComplete:t1", "PullComplete:t2", "TranscodeComplete:t3"][..]),
        (&["--type", "PullComplete"], &["PullComplete:t1", "PullComplete:t2"]),
        (&["--file", "f1"], &["PullComplete:t1", "TranscodeComplete:t3"]),
        (&["--task", "t2"], &["PullComplete:t2"]),
        (&["--id", "PullComplete:t1"], &["PullComplete:t1"]),
        (&["--file", "f1", "--type", "PullComplete"], &["PullComplete:t1"]),
        (&["--application", "other"], &[]),
        (&["--since", "1h"], &["PullComplete:t1", "PullComplete:t2", "TranscodeComplete:t3"]),
        (&["--until", "1h"], &[]),
        (&["--since", "2200-01-01T00:00:00Z"], &[]),
    ] {
        let found = home.listed(&[&["events"], filter].concat());
        let found: Vec<_> = found.iter().map(|e| e["id"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{filter:?}");
    }
    let table = text(home.vodbridge(&["events", "--limit", "2"]).stdout);
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 3, "a heading and the newest two:\n{table}");
    assert!(rows[0].starts_with("SEQ") && rows[1].starts_with('3') && rows[2].starts_with('2'));
}

#[test]
fn follow_shows_what_is_there_and_then_each_event_as_it_comes() {
    let home = Home::new("");
    let program = home.start();
    post(&program, "PullComplete", "f", "before");
    let mut follow = Command::new(env!("CARGO_BIN_EXE_vodbridge"))
        .args(["events", "follow", "--format", "json", "--config"])
        .arg(home.config())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["id"], "PullComplete:before");
    for task in ["first", "second"] {
        post(&program, "PullComplete", "f", task);
        assert_eq!(next()["id"], format!("PullComplete:{task}"));
    }
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn showing_a_row_that_is_not_there_fails_and_says_so() {
    let home = Home::new("");
    drop(home.start());
    let output = home.vodbridge(&["events", "show", "7"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(output.stderr).contains("no row 7"));
    assert_eq!(text(home.vodbridge(&["dead-letters"]).stdout), "nothing found\n");
}

#[test]
fn listing_where_no_bridge_has_run_says_what_to_do() {
    let output = Home::new("").vodbridge(&["events"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(output.stderr).contains("run the bridge first"));
}

#[test]
fn explain_says_event_route_topic_key_and_attributes() {
    let home = Home::new(
        "connectors: { local: { type: journal } }\nroutes:\n\
         - { name: ai, match: { events: [\"Aigc*\"] }, drop: true }\n\
         - { name: rest, to: [local], topic: \"videos.{event_type}\", key: application }\n",
    );
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/connectors/vod/samples");
    let upload = format!("{samples}/NewFileUpload.callback.json");
    let aigc = format!("{samples}/AigcImageTaskComplete.callback.json");
    let output = home.vodbridge(&["explain", "--format", "json", &upload, &aigc]);
    assert!(output.status.success());
    let lines = text(output.stdout);
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["topic"], "videos.NewFileUpload");
    assert_eq!(lines[0]["key"], "default");
    assert_eq!(lines[0]["routes"][0]["why"], "match.events does not fit");
    assert_eq!(lines[0]["routes"][1]["why"], "takes it");
    assert_eq!(lines[0]["attributes"]["id"], "NewFileUpload:5285890784273533167");
    assert_eq!(lines[1]["end"], "dropped by ai");

    let people = text(home.vodbridge(&["explain", &upload]).stdout);
    for line in ["route ai: match.events does not fit", "route rest: takes it", "topic videos."] {
        assert!(people.contains(line), "{line} is missing in\n{people}");
    }
    home.configure(
        "connectors:\n  \
           a: { type: kafka, brokers: ['kafka:9092'] }\n  \
           b: { type: rabbitmq, urls: ['amqp://rabbit'], exchange: videos }\n  \
           c: { type: nats, servers: ['nats://nats:4222'] }\n\
         routes: [{ to: [a], also: [b, c] }]\n",
    );
    let people = text(home.vodbridge(&["explain", &upload]).stdout);
    for line in [
        "connector a (must acknowledge): a record of topic vod.NewFileUpload, key 52858907842735331\
         67, headers ce_*",
        "connector b (best effort): a message to exchange videos, routing key vod.NewFileUpload, \
         headers ce-*",
        "connector c (best effort): a message on vod.NewFileUpload of stream VOD, headers ce-*",
    ] {
        assert!(people.contains(line), "{line} is missing in\n{people}");
    }
    let nothing = home.path().join("nothing.json");
    fs::write(&nothing, "[]").unwrap();
    let output = home.vodbridge(&["explain", nothing.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(output.stdout).contains("no event: the message is an array"));
    assert!(!home.path().join("journal").exists(), "explain touches nothing");
}

#[test]
fn check_answers_with_the_exit_codes_of_nagios() {
    let home = Home::new("");
    let check = |arguments: &[&str]| home.vodbridge(&[&["check"], arguments].concat());
    let fresh = check(&[]);
    assert_eq!(fresh.status.code(), Some(0), "{}", text(fresh.stdout));
    assert!(!home.path().join("journal").exists(), "check creates nothing");

    let program = home.start();
    let running = check(&["--format", "json"]);
    let running: Value = serde_json::from_str(&text(running.stdout)).unwrap();
    assert_eq!(running["status"], "good");
    drop(program);

    home.configure("routes: [{ match: { events: [NewFileUplod] }, to: [journal] }]\n");
    let warned = check(&["--offline"]);
    assert_eq!(warned.status.code(), Some(1));
    assert!(text(warned.stdout).contains("NewFileUpload"), "the nearest type");

    fs::write(home.config(), "journal: 7\n").unwrap();
    let nagios = check(&["--format", "nagios"]);
    assert_eq!(nagios.status.code(), Some(2));
    assert!(text(nagios.stdout).starts_with("VODBRIDGE CRITICAL - "));
    assert_eq!(check(&["--no-such-flag"]).status.code(), Some(3));
    assert_eq!(home.vodbridge(&["run", "--no-such-flag"]).status.code(), Some(64));
}

/// A home with one letter that no route took, and one that is no event.
fn home_with_letters() -> Home {
    let home = Home::new(
        "applications: { default: { callback: { token: t } } }\n\
         connectors: { local: { type: journal } }\n\
         routes: [{ match: { events: [Never] }, to: [local] }]",
    );
    let program = home.start();
    let path = &format!("{PATH}?token=t");
    let event = br#"{"EventType":"PullComplete","PullCompleteEvent":{"TaskId":"a","FileId":"1"}}"#;
    for body in [&event[..], b"no event"] {
        assert_eq!(program.post(path, body).status, 200);
    }
    assert!(program.terminate().success());
    assert_eq!(home.listed(&["dead-letters"]).len(), 2);
    home
}

const ROUTED: &str = "applications: { default: { callback: { token: t } } }\n\
                      connectors: { local: { type: journal } }";

#[test]
fn a_letter_is_replayed_by_the_routes_of_today_and_goes_once_it_is_stored() {
    let home = home_with_letters();
    home.configure(ROUTED);
    let output = home.vodbridge(&["dead-letters", "replay", "--dry-run"]);
    let told = text(output.stdout);
    assert!(told.contains("PullComplete:a  vod.PullComplete to local"), "{told}");
    assert!(told.contains("is no event"), "{told}");
    assert_eq!(home.listed(&["dead-letters"]).len(), 2, "nothing was done");

    let output = home.vodbridge(&["dead-letters", "replay"]);
    assert_eq!(output.status.code(), Some(1), "one stays: {}", text(output.stderr));
    assert!(text(output.stdout).starts_with("1 dead letters replayed and removed; kept: 0"));
    let stored = home.listed(&["events"]);
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0]["id"], "PullComplete:a");
    let left = home.listed(&["dead-letters"]);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["vodreason"], "not_json", "{left:?}");
}

#[test]
fn two_letters_of_one_event_go_out_as_one() {
    let home = home_with_letters();
    // A bridge that starts anew does not know the event.
    let program = home.start();
    let event = br#"{"EventType":"PullComplete","PullCompleteEvent":{"TaskId":"a","FileId":"1"}}"#;
    assert_eq!(program.post(&format!("{PATH}?token=t"), event).status, 200);
    assert!(program.terminate().success());
    assert_eq!(home.listed(&["dead-letters"]).len(), 3);
    home.configure(ROUTED);
    let output = home.vodbridge(&["dead-letters", "replay", "--type", "PullComplete"]);
    assert!(output.status.success(), "{}", text(output.stderr));
    assert!(text(output.stdout).starts_with("2 dead letters replayed and removed; kept: 0"));
    assert_eq!(home.listed(&["events"]).len(), 1);
}

#[test]
fn a_letter_that_is_not_taken_again_stays_with_the_reason_said() {
    let home = home_with_letters();
    home.configure(ROUTED);
    let program = home.start();
    // The journal is the bridge's that runs.
    let output = home.vodbridge(&["dead-letters", "replay", "--type", "PullComplete"]);
    assert_eq!(output.status.code(), Some(1));
    let (out, errors) = (text(output.stdout), text(output.stderr));
    assert!(out.starts_with("0 dead letters replayed and removed; kept: 1"), "{out}");
    assert!(errors.contains("the journal belongs to the bridge that runs"), "{errors}");
    assert!(program.terminate().success());
    assert_eq!(home.listed(&["dead-letters"]).len(), 2);
    assert_eq!(home.listed(&["events"]).len(), 0);
}

#[test]
fn letters_are_exported_whole_and_removed_only_when_they_are_named() {
    let home = home_with_letters();
    let file = home.path().join("letters.jsonl");
    let arguments = ["dead-letters", "export", "--output", file.to_str().unwrap()];
    let output = home.vodbridge(&arguments);
    assert!(output.status.success(), "{}", text(output.stderr));
    let lines = std::fs::read_to_string(&file).unwrap();
    let ids: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["vodreason"].clone())
        .collect();
    assert_eq!(ids, ["unrouted", "not_json"]);
    assert!(!home.vodbridge(&arguments).status.success(), "nothing is written over");

    for (arguments, code, left) in [
        (&["dead-letters", "remove"][..], 64, 2),
        (&["dead-letters", "remove", "--all"], 64, 2),
        (&["dead-letters", "remove", "--all", "--dry-run"], 0, 2),
        (&["dead-letters", "remove", "--type", "PullComplete", "--yes"], 0, 1),
        (&["dead-letters", "remove", "--all", "--yes"], 0, 0),
    ] {
        let output = home.vodbridge(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(output.stderr));
        assert_eq!(home.listed(&["dead-letters"]).len(), left, "{arguments:?}");
    }
}
