//! The program with a collector beside it: which spans there are, what they say of one another,
//! what messages carry, and that no event ever suffers from it.

use std::net::TcpListener;

use rustix::process::Signal;
use tokio::runtime::Runtime;
use vodsim::{Options, Vod};

use crate::brokers::{BROKERS, Three};
use crate::program::{Home, PATH, PATIENCE, Program};
use crate::support::{Otlp, Seen};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const STATE: &str = "congo=t61rcWkgMzE";

/// What `span.kind` is in numbers.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const PRODUCER: i32 = 4;
const CONSUMER: i32 = 5;

/// How soon a test wants to see what has ended.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "20");

fn body(file: &str) -> String {
    format!(r#"{{"EventType":"NewFileUpload","FileUploadEvent":{{"FileId":"{file}"}}}}"#)
}

/// A bridge that tells this collector.
fn traced(home: &Home, collector: &Otlp, more: &[(&str, &str)]) -> Program {
    let url = collector.url();
    let mut variables = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), SOON];
    variables.extend(more);
    home.start_with(&variables)
}

/// The one event of the journal's connector, with its trace context.
fn listed(home: &Home) -> (Option<String>, Option<String>) {
    let events = home.listed(&["events"]);
    assert_eq!(events.len(), 1, "{events:#?}");
    let text = |key: &str| events[0][key].as_str().map(str::to_owned);
    (text("traceparent"), text("tracestate"))
}

fn log_of(mut program: Program) -> String {
    program.signal(Signal::TERM);
    let (status, log) = program.end();
    assert!(status.success());
    format!("{log:#?}")
}

#[test]
fn a_callback_is_one_trace_from_its_caller_to_the_message_and_the_answer() {
    let (collector, home) = (Otlp::start(), Home::new(""));
    let program = traced(
        &home,
        &collector,
        &[
            ("OTEL_SERVICE_NAME", "bridge"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ],
    );
    let path = format!("{PATH}?token=hunter3");
    let headers = [("traceparent", CALLER), ("tracestate", STATE)];
    let reply = program.request("POST", &path, &headers, body("1").as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.body);

    let callback = collector.one("POST /vod/default");
    let publish = collector.one("publish vod.NewFileUpload");
    assert_eq!(callback.trace(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(callback.parent(), "b7ad6b7169203331");
    assert_eq!(callback.span.trace_state, STATE);
    assert_eq!(publish.trace(), callback.trace());
    assert_eq!(publish.parent(), callback.id());
    assert_eq!((callback.span.kind, publish.span.kind), (SERVER, PRODUCER));
    assert_eq!(
        (callback.is_below_another_process(), publish.is_below_another_process()),
        (true, false)
    );
    for (span, key, value) in [
        (&callback, "http.request.method", "POST"),
        (&callback, "http.route", PATH),
        (&callback, "http.response.status_code", "200"),
        (&callback, "cloudevents.event_id", "NewFileUpload:1"),
        (&callback, "vodbridge.outcome", "delivered"),
        (&callback, "vodbridge.application", "default"),
        (&publish, "messaging.system", "vodbridge_journal"),
        (&publish, "messaging.operation.type", "send"),
        (&publish, "messaging.destination.name", "vod.NewFileUpload"),
        (&publish, "messaging.message.id", "NewFileUpload:1"),
        (&publish, "error.type", ""),
    ] {
        assert_eq!(span.attribute(key), value, "{key}");
    }
    assert!(!callback.has_failed() && !publish.has_failed());
    assert_eq!(callback.resource("service.name"), "bridge");
    assert_eq!(callback.resource("deployment.environment.name"), "test");
    assert!(callback.head.contains("api-key: hunter2\r\n"), "{}", callback.head);
    let spans = format!("{:?}", collector.spans().iter().map(|s| &s.span).collect::<Vec<_>>());
    assert!(!spans.contains("hunter"), "{spans}");

    assert_eq!(listed(&home), (Some(publish.traceparent()), Some(STATE.to_owned())));
    assert!(program.metric("vodbridge_spans_exported_total", "") >= 2.0);
    assert_eq!(program.metric("vodbridge_spans_dropped_total", ""), 0.0);
    let log = log_of(program);
    assert!(log.contains("traces are exported"), "{log}");
    assert!(!log.contains("hunter"), "{log}");
}

#[test]
fn what_is_pulled_is_a_trace_of_its_own_up_to_its_confirmation() {
    let runtime = Runtime::new().unwrap();
    let collector = Otlp::start();
    let vod = runtime.block_on(Vod::start(Options::default())).unwrap();
    let home = Home::new(&format!(
        "applications: {{ movies: {{ pull: {{ endpoint: {:?}, credentials: {{ from: static, \
         secret_id: AKIDexample, secret_key: example }} }} }} }}",
        vod.url()
    ));
    vod.issue_numbered(None, 0..3);
    let program = traced(&home, &collector, &[]);
    let confirmed = runtime.block_on(vod.until(|now| now.confirmed == 3, PATIENCE));
    confirmed.unwrap_or_else(|now| panic!("stuck at {now:?}"));

    let events = collector.named("process movies", 3);
    let published = collector.named("publish vod.NewFileUpload", 3);
    let settled = collector.named("settle movies", 3);
    let polls = collector.until(|spans| spans.iter().any(|s| s.span.name == "receive movies"));
    let polls: Vec<_> = polls.iter().filter(|s| s.span.name == "receive movies").collect();
    for event in &events {
        assert_eq!((event.span.kind, event.parent().as_str()), (CONSUMER, ""));
        let [poll] = event.links().try_into().unwrap();
        assert!(polls.iter().any(|seen| seen.id() == poll), "no poll {poll}");
        let below = |spans: &[Seen]| {
            let mut below = spans.iter().filter(|s| s.parent() == event.id());
            let one = below.next().expect("one below the event").clone();
            assert!(below.next().is_none());
            assert_eq!(one.trace(), event.trace());
            one
        };
        let (publish, settle) = (below(&published), below(&settled));
        assert_eq!((publish.span.kind, settle.span.kind), (PRODUCER, CLIENT));
        assert_eq!(settle.attribute("messaging.operation.name"), "ConfirmEvents");
        assert_eq!(settle.attribute("messaging.operation.type"), "settle");
        assert_eq!(event.attribute("vodbridge.outcome"), "delivered");
        assert!(!event.has_failed() && !settle.has_failed());
        assert!(publish.span.end_time_unix_nano <= settle.span.start_time_unix_nano);
        assert!(settle.span.end_time_unix_nano <= event.span.end_time_unix_nano);
    }
    let mut written: Vec<_> = home
        .listed(&["events"])
        .iter()
        .map(|e| e["traceparent"].as_str().unwrap().to_owned())
        .collect();
    let mut expected: Vec<_> = published.iter().map(Seen::traceparent).collect();
    written.sort_unstable();
    expected.sort_unstable();
    assert_eq!(written, expected);
    assert!(program.terminate().success());
}

#[test]
fn what_waited_in_the_spool_goes_on_in_the_trace_it_came_in_by() {
    let collector = Otlp::start();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let applications = "applications: { default: { callback: { answer_within: 1s } } }\n";
    let home = Home::new(&format!(
        "{applications}connectors: {{ x: {{ type: nats, servers: [\"nats://{nobody}\"] }} }}"
    ));
    let program = traced(&home, &collector, &[]);
    let reply = program.request("POST", PATH, &[("traceparent", CALLER)], body("1").as_bytes());
    assert_eq!((reply.status, reply.body.contains(r#""kept":true"#)), (503, true));
    let callback = collector.one("POST /vod/default");
    assert_eq!(callback.attribute("error.type"), "503");
    assert_eq!(callback.attribute("vodbridge.outcome"), "kept");
    let failed = collector.until(|spans| spans.iter().any(|s| s.span.name.starts_with("publish")));
    let failed = failed.iter().find(|s| s.span.name.starts_with("publish")).unwrap();
    assert!(failed.has_failed(), "{:#?}", failed.span);
    assert_eq!(failed.attribute("messaging.system"), "nats");
    assert_eq!(failed.attribute("error.type"), "outage");
    program.kill();

    let later = Otlp::start();
    home.configure(&format!("{applications}connectors: {{ x: {{ type: journal }} }}"));
    let program = traced(&home, &later, &[]);
    let resent = later.one("process spool default");
    let publish = later.one("publish vod.NewFileUpload");
    assert_eq!(resent.trace(), callback.trace());
    assert_eq!(resent.parent(), callback.id());
    assert_eq!(publish.parent(), resent.id());
    assert_eq!(resent.attribute("vodbridge.outcome"), "delivered");
    assert_eq!(listed(&home).0, Some(publish.traceparent()));
    assert!(program.terminate().success());
}

#[test]
fn who_joins_a_delivery_under_way_points_to_it() {
    let collector = Otlp::start();
    // Who connects here is never told anything.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::new(&format!(
        "applications: {{ default: {{ callback: {{ answer_within: 300ms }} }} }}\ngrace: 1s\n\
         connectors: {{ x: {{ type: nats, servers: [\"nats://{}\"] }} }}",
        silent.local_addr().unwrap()
    ));
    let program = traced(&home, &collector, &[]);
    for _ in 0..2 {
        assert_eq!(program.post(PATH, body("1").as_bytes()).status, 503);
    }
    let [first, second] = collector.named("POST /vod/default", 2).try_into().unwrap();
    assert_ne!(first.trace(), second.trace());
    assert_eq!((first.links(), second.links()), (vec![], vec![first.id()]));
    assert_eq!(second.attribute("vodbridge.joined"), "true");
}

#[test]
fn without_tracing_a_message_carries_what_its_caller_sent_and_nothing_else() {
    let home = Home::new("");
    let program = home.start();
    let headers = [("traceparent", CALLER), ("tracestate", STATE)];
    assert_eq!(program.request("POST", PATH, &headers, body("1").as_bytes()).status, 200);
    assert_eq!(listed(&home), (Some(CALLER.to_owned()), Some(STATE.to_owned())));
    assert!(program.terminate().success());

    let home = Home::new("");
    let program = home.start_with(&[("OTEL_SERVICE_NAME", "bridge")]);
    assert_eq!(program.post(PATH, body("1").as_bytes()).status, 200);
    assert_eq!(listed(&home), (None, None));
    assert!(!log_of(program).contains("traces"));
}

#[test]
fn what_is_not_sampled_is_handed_on_and_not_exported() {
    let (collector, home) = (Otlp::start(), Home::new(""));
    let program = traced(&home, &collector, &[("OTEL_TRACES_SAMPLER", "always_off")]);
    let headers = [("traceparent", CALLER)];
    assert_eq!(program.request("POST", PATH, &headers, body("1").as_bytes()).status, 200);
    let (parent, _) = listed(&home);
    let parent = parent.unwrap();
    assert!(parent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{parent}");
    assert!(parent.ends_with("-00") && !parent.contains("b7ad6b7169203331"), "{parent}");
    assert!(program.terminate().success());
    assert_eq!(collector.posts(), 0);
}

#[test]
fn a_stop_sends_what_has_ended() {
    let (collector, home) = (Otlp::start(), Home::new(""));
    let program = traced(&home, &collector, &[("OTEL_BSP_SCHEDULE_DELAY", "3600000")]);
    assert_eq!(program.post(PATH, body("1").as_bytes()).status, 200);
    assert_eq!(collector.posts(), 0);
    assert!(program.terminate().success());
    let mut names: Vec<_> = collector.spans().into_iter().map(|seen| seen.span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["POST /vod/default", "publish vod.NewFileUpload"]);
}

#[test]
fn a_dead_collector_changes_no_answer_and_is_told_of_once() {
    // One that is not there, and one that takes connections and says nothing.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [gone, silent.local_addr().unwrap()] {
        let (url, home) = (format!("http://{address}"), Home::new(""));
        let program = home.start_with(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
            SOON,
        ]);
        for n in 0..50 {
            assert_eq!(program.post(PATH, body(&n.to_string()).as_bytes()).status, 200);
        }
        let began = tokio::time::Instant::now();
        while program.metric("vodbridge_spans_dropped_total", "") < 50.0 {
            assert!(began.elapsed() < PATIENCE, "{}", program.get("/metrics").body);
        }
        assert_eq!(program.metric("vodbridge_spans_exported_total", ""), 0.0);
        assert_eq!(program.unaccounted(), 0.0);
        let log = log_of(program);
        assert_eq!(log.matches("spans cannot be exported").count(), 1, "{log}");
        assert!(log.matches("more spans end than are exported").count() <= 1, "{log}");
        assert!(!log.contains("hunter"), "{log}");
    }
}

#[test]
fn a_collector_that_asks_for_patience_gets_the_same_spans_again() {
    let (collector, home) = (Otlp::start(), Home::new(""));
    collector.answer(503);
    let program = traced(&home, &collector, &[]);
    assert_eq!(program.post(PATH, body("1").as_bytes()).status, 200);
    let began = tokio::time::Instant::now();
    while collector.posts() == 0 {
        assert!(began.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    collector.answer(200);
    collector.one("POST /vod/default");
    collector.one("publish vod.NewFileUpload");
    assert_eq!(program.metric("vodbridge_spans_dropped_total", ""), 0.0);
    assert!(program.terminate().success());
}

#[test]
fn a_collector_behind_tls_is_called_by_the_certificate_that_is_named() {
    let (collector, home) = (Otlp::start_tls(), Home::new(""));
    let certificate = home.path().join("collector.crt");
    std::fs::write(&certificate, collector.certificate()).unwrap();
    let certificate = certificate.to_str().unwrap();
    let named = ("OTEL_EXPORTER_OTLP_CERTIFICATE", certificate);
    let program = traced(&home, &collector, &[named]);
    assert_eq!(program.post(PATH, body("1").as_bytes()).status, 200);
    collector.one("POST /vod/default");
    assert!(program.terminate().success());

    let program = traced(&home, &collector, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "200")]);
    assert_eq!(program.post(PATH, body("2").as_bytes()).status, 200);
    let log = log_of(program);
    assert!(log.contains("spans cannot be exported"), "{log}");
    assert!(log.contains("certificate"), "{log}");
}

#[test]
fn what_is_no_event_belongs_to_its_trace_too() {
    let collector = Otlp::start();
    let home = Home::new("applications: { default: { callback: { token: hunter2 } } }");
    let program = traced(&home, &collector, &[]);
    let headers = [("traceparent", CALLER), ("authorization", "Bearer hunter2")];
    let reply = program.request("POST", PATH, &headers, b"no JSON");
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(program.post(PATH, body("1").as_bytes()).status, 401);
    let letter = collector.one("publish vod.dead-letter");
    assert_eq!(letter.trace(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(home.listed(&["dead-letters"])[0]["traceparent"], letter.traceparent().as_str());
    let callbacks = collector.named("POST /vod/default", 2);
    let outcomes = callbacks.iter().map(|seen| seen.attribute("vodbridge.outcome"));
    assert_eq!(outcomes.collect::<Vec<_>>(), ["rejected", "wrong_token"]);
    assert!(!callbacks[1].has_failed(), "a caller's fault is none of the server's");
    assert!(!format!("{:?}", collector.spans()).contains("hunter2"));
    assert!(program.terminate().success());
}

#[test]
fn a_protocol_that_is_not_supported_is_said_at_the_start() {
    let (collector, home) = (Otlp::start(), Home::new(""));
    let program = traced(&home, &collector, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert_eq!(program.post(PATH, body("1").as_bytes()).status, 200);
    let log = log_of(program);
    assert!(log.contains("only http/protobuf is supported"), "{log}");
    assert_eq!(collector.posts(), 0);
}

#[test]
fn each_broker_gets_the_context_of_its_own_publish() {
    let (three, collector) = (Three::start(), Otlp::start());
    let connectors: Vec<_> =
        BROKERS.iter().map(|b| format!("{}: {{ {} }}", b.name(), three.keys(*b))).collect();
    let home = Home::new(&format!("connectors: {{ {} }}", connectors.join(", ")));

    let program = traced(&home, &collector, &[]);
    let headers = [("traceparent", CALLER), ("tracestate", STATE)];
    let reply = program.request("POST", PATH, &headers, body("1").as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.body);
    let callback = collector.one("POST /vod/default");
    let published = collector.named("publish ", 3);
    assert!(program.terminate().success());
    // The same with tracing off, and another event.
    let program = home.start();
    assert_eq!(program.request("POST", PATH, &headers, body("2").as_bytes()).status, 200);

    for broker in BROKERS {
        let system = |seen: &&Seen| seen.attribute("messaging.system") == broker.name();
        let publish = published.iter().find(system).unwrap();
        assert_eq!((publish.trace(), publish.parent()), (callback.trace(), callback.id()));
        let read = three.read(broker, "2");
        for (file, parent) in [("1", publish.traceparent().as_str()), ("2", CALLER)] {
            let id = format!("NewFileUpload:{file}");
            let message = read.iter().find(|m| m["attributes"]["id"] == id.as_str()).unwrap();
            for place in ["attributes", "context"] {
                assert_eq!(message[place]["traceparent"], parent, "{broker:?} {place}");
                assert_eq!(message[place]["tracestate"], STATE, "{broker:?} {place}");
            }
        }
    }
    assert!(program.terminate().success());
}
