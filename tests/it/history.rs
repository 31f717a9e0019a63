//! What was delivered to a real NATS server, in the listing and sent again.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::SystemTime;

use async_nats::jetstream;
use brokers::{Nats, NatsSettings};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::program::{Home, PATH, PATIENCE, Program};

/// A server of the test's own.
pub(crate) struct Server {
    pub(crate) nats: Nats,
    pub(crate) runtime: Runtime,
}

/// What lies in the stream.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    msg_id: String,
    pub(crate) id: String,
    pub(crate) replay: Option<String>,
    payload: Vec<u8>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let nats = runtime.block_on(Nats::start(NatsSettings::default()));
        Self { nats, runtime }
    }

    /// A configuration with the connector `out` here and the journal as `local`.
    pub(crate) fn home(&self, journal: &str, routes: &str) -> Home {
        Home::new(&format!(
            "JOURNAL {journal}\n\
             applications: {{ default: {{ callback: {{ answer_within: 20s }} }} }}\n\
             connectors: {{ out: {{ type: nats, servers: [{:?}] }}, local: {{ type: journal }} }}\n\
             routes: {routes}",
            self.nats.url()
        ))
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.runtime.block_on(async {
            let client = async_nats::connect(self.nats.url()).await.unwrap();
            let stream = jetstream::new(client).get_stream("VOD").await.unwrap();
            let last = stream.get_info().await.unwrap().state.last_sequence;
            let mut messages = Vec::new();
            for sequence in 1..=last {
                let message = stream.get_raw_message(sequence).await.unwrap();
                let header = |name: &str| message.headers.get(name).map(|v| v.as_str().to_owned());
                messages.push(Message {
                    subject: message.subject.to_string(),
                    msg_id: header("Nats-Msg-Id").unwrap(),
                    id: header("ce-id").unwrap(),
                    replay: header("ce-vodreplay"),
                    payload: message.payload.to_vec(),
                });
            }
            messages
        })
    }
}

fn post(program: &Program, event_type: &str, task: &str) {
    let body = format!(
        r#"{{"EventType":"{event_type}","{event_type}Event":{{"TaskId":"{task}","FileId":"f"}}}}"#
    );
    assert_eq!(program.post(PATH, body.as_bytes()).status, 200);
}

/// Times of a listing are whole milliseconds: what falls into one has no order across two tables.
fn next_millisecond() {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let this = now();
    while now() == this {
        thread::yield_now();
    }
}

/// The events of a listing, once there are so many: the history is written a moment later.
fn listed(home: &Home, arguments: &[&str], count: usize) -> Vec<Value> {
    let give_up = SystemTime::now() + PATIENCE;
    loop {
        let found = home.listed(arguments);
        if found.len() >= count {
            return found;
        }
        assert!(SystemTime::now() < give_up, "not in time: {found:?}");
        thread::yield_now();
    }
}

fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["id"].as_str().unwrap()).collect()
}

fn run(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let output = home.vodbridge(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_connectors_and_the_journal_got_is_one_listing_in_the_order_of_time() {
    let server = Server::start();
    let home = server.home(
        "",
        "[{ name: both, match: { events: [\"Transcode*\"] }, to: [out, local] },\
          { name: kept, match: { events: [\"Compose*\"] }, to: [local] }, { name: rest, to: [out] }]",
    );
    let program = home.start();
    for (event_type, task) in [
        ("PullComplete", "a"),
        ("ComposeMediaComplete", "b"),
        ("PullComplete", "c"),
        ("TranscodeComplete", "d"),
    ] {
        post(&program, event_type, task);
        next_millisecond();
    }
    let all = ["PullComplete:a", "ComposeMediaComplete:b", "PullComplete:c", "TranscodeComplete:d"];
    assert_eq!(ids(&listed(&home, &["events"], 4)), all);
    assert_eq!(ids(&listed(&home, &["events", "--task", "c"], 1)), ["PullComplete:c"]);

    let (_, table, _) = run(&home, &["events"]);
    let rows: Vec<Vec<_>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
    let columns = |row: &[&str]| [row[0], row[5], row[6]].map(str::to_owned);
    let found: Vec<_> = rows.iter().map(|row| columns(row)).collect();
    assert_eq!(
        found,
        [
            ["SEQ", "ROUTE", "CONNECTORS"],
            ["2", "-", "-"],
            ["h2", "rest", "out"],
            ["1", "-", "-"],
            ["h1", "rest", "out"],
        ],
        "{table}"
    );
    let (code, shown, _) = run(&home, &["events", "show", "h2"]);
    assert_eq!(code, 0);
    for part in ["seq             h2", "route           rest", "acknowledged by out", r#""c""#] {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    assert!(run(&home, &["events", "show", "2"]).1.contains("TranscodeComplete:d"));
    assert!(run(&home, &["events", "show", "h9"]).2.contains("no row h9"));
    assert_eq!(run(&home, &["events", "show", "x"]).0, 64);
    assert_eq!(program.metric("vodbridge_history_skipped_total", ""), 0.0);
    assert!(program.metric("vodbridge_journal_bytes", r#"share="history""#) > 0.0);
    assert!(program.terminate().success());
}

#[test]
fn follow_shows_what_connectors_acknowledge_as_it_comes() {
    let server = Server::start();
    let home = server.home("", "[{ match: { events: [Compose*] }, to: [local] }, { to: [out] }]");
    let program = home.start();
    post(&program, "PullComplete", "before");
    listed(&home, &["events"], 1);
    let mut follow = Command::new(env!("CARGO_BIN_EXE_vodbridge"))
        .args(["events", "follow", "--format", "json", "--config"])
        .arg(home.config())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["id"], "PullComplete:before");
    for (event_type, task) in
        [("PullComplete", "a"), ("ComposeMediaComplete", "b"), ("PullComplete", "c")]
    {
        post(&program, event_type, task);
        assert_eq!(next()["id"], format!("{event_type}:{task}"));
    }
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn delivered_events_are_sent_again_beside_the_bridge_as_often_as_somebody_wants() {
    let server = Server::start();
    let home = server.home("", "[{ to: [out] }]");
    let program = home.start();
    post(&program, "PullComplete", "a");
    post(&program, "TranscodeComplete", "b");
    listed(&home, &["events"], 2);

    let replay = |arguments: &[&str]| run(&home, &[&["events", "replay"], arguments].concat());
    let (code, told, _) = replay(&["--dry-run", "--type", "PullComplete"]);
    assert_eq!((code, told.as_str()), (0, "h1  PullComplete:a  vod.PullComplete to out\n"));
    let (code, _, error) = replay(&[]);
    assert_eq!(code, 64, "nobody can be asked");
    assert!(error.contains("Send 2 events again?") && error.contains("--yes"), "{error}");
    assert_eq!(server.messages().len(), 2, "nothing was sent");

    for _ in 0..2 {
        let (code, told, error) = replay(&["--type", "PullComplete", "--yes"]);
        assert_eq!(code, 0, "{error}");
        assert!(told.starts_with("1 events sent again; not sent: 0"), "{told}");
    }
    assert_eq!(replay(&["h2", "--yes"]).0, 0);
    let messages = server.messages();
    let sent: Vec<_> = messages.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(
        sent,
        [
            "PullComplete:a",
            "TranscodeComplete:b",
            "PullComplete:a",
            "PullComplete:a",
            "TranscodeComplete:b"
        ]
    );
    for (again, first) in [(2, 0), (3, 0), (4, 1)] {
        let (again, first) = (&messages[again], &messages[first]);
        assert_eq!((&again.subject, &again.payload), (&first.subject, &first.payload));
        assert_eq!(first.replay, None);
        let replay = again.replay.as_deref().expect("the replay's id");
        assert_eq!(again.msg_id, format!("{}#replay:{replay}", first.msg_id));
    }
    assert_ne!(messages[2].replay, messages[3].replay);
    assert_eq!(listed(&home, &["events"], 2).len(), 2, "a replay leaves no history");
    assert!(program.terminate().success());
    // And without a bridge.
    assert_eq!(replay(&["--task", "b", "--yes"]).0, 0);
    assert_eq!(server.messages().len(), 6);
}

#[test]
fn an_event_that_is_listed_twice_is_sent_again_once() {
    let server = Server::start();
    let home = server.home("", "[{ to: [out], also: [local] }]");
    let program = home.start();
    post(&program, "PullComplete", "a");
    assert_eq!(ids(&listed(&home, &["events"], 2)), ["PullComplete:a"; 2]);
    assert!(program.terminate().success());
    let (code, told, error) = run(&home, &["events", "replay", "--yes"]);
    assert_eq!(code, 0, "{error}");
    assert!(told.starts_with("2 events sent again"), "{told}");
    assert_eq!(server.messages().len(), 2);
}

/// A file may rightly be deleted, restored and deleted again: only the content tells what such an
/// event is, and each letter is one of its own.
#[test]
fn letters_of_one_content_are_occurrences_and_each_goes_out_once() {
    let server = Server::start();
    let home = server.home("", "[{ match: { events: [Never] }, to: [out] }]");
    let program = home.start();
    let body = r#"{"EventType":"FileDeleted","FileDeleteEvent":{"FileIdSet":["f"]}}"#;
    for _ in 0..2 {
        assert_eq!(program.post(PATH, body.as_bytes()).status, 200);
        next_millisecond();
    }
    assert!(program.terminate().success());
    let url = server.nats.url();
    home.configure(&format!("connectors: {{ out: {{ type: nats, servers: [{url:?}] }} }}"));
    let (code, told, error) = run(&home, &["dead-letters", "replay"]);
    assert_eq!(code, 0, "{told}{error}");
    assert!(told.starts_with("2 dead letters replayed and removed; kept: 0"), "{told}");
    let messages = server.messages();
    assert_eq!(messages.len(), 2);
    assert_ne!(messages[0].msg_id, messages[1].msg_id);
    assert_eq!(messages[0].payload, messages[1].payload);
}

#[test]
fn a_replayed_letter_is_no_duplicate_of_what_it_speaks_of() {
    let server = Server::start();
    let home = server.home("", "[{ match: { events: [Never] }, to: [out] }]");
    let program = home.start();
    post(&program, "PullComplete", "a");
    assert!(program.terminate().success());
    let url = server.nats.url();
    home.configure(&format!("connectors: {{ out: {{ type: nats, servers: [{url:?}] }} }}"));
    let (code, told, error) = run(&home, &["dead-letters", "replay"]);
    assert_eq!(code, 0, "{told}{error}");
    let message = server.messages().remove(0);
    let replay = message.replay.expect("the replay's id");
    assert!(message.msg_id.ends_with(&format!("#replay:{replay}")), "{}", message.msg_id);
}

#[test]
fn without_payloads_events_are_found_and_cannot_be_sent_again() {
    let server = Server::start();
    let home = server.home(", history: { payloads: false }", "[{ to: [out] }]");
    let program = home.start();
    post(&program, "PullComplete", "a");
    let found = listed(&home, &["events", "--file", "f"], 1);
    assert_eq!((found[0]["id"].as_str(), found[0].get("data")), (Some("PullComplete:a"), None));
    assert!(run(&home, &["events", "show", "h1"]).1.contains("the payload was not kept"));
    let (code, _, error) = run(&home, &["events", "show", "h1", "--data"]);
    assert_eq!(code, 1);
    assert!(error.contains("the payload of h1 was not kept"), "{error}");
    let (code, told, _) = run(&home, &["events", "replay", "--yes"]);
    assert_eq!(code, 1);
    assert!(told.contains("0 events sent again") && told.contains("1 whose payload"), "{told}");
    assert_eq!(server.messages().len(), 1);
    assert!(program.terminate().success());
}

#[test]
fn what_was_delivered_last_is_there_after_a_stop_and_nothing_where_none_is_wanted() {
    let server = Server::start();
    for (history, count) in [("", 1), (", history: { events: 0 }", 0)] {
        let home = server.home(history, "[{ to: [out] }]");
        let program = home.start();
        post(&program, "PullComplete", &format!("{count}"));
        assert!(program.terminate().success());
        assert_eq!(home.listed(&["events"]).len(), count, "{history}");
    }
}
