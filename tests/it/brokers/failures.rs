//! Failures of this field that a caller sees, against real brokers: `docs/failures.md` is the list.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::SystemTime;

use brokers::kafka::Kafka;
use brokers::{Nats, NatsSettings, RabbitMqOptions, RabbitMqVersion};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use vodsim::callback::{Sender, body, file_id};

use super::{Broker, read};
use crate::program::{Home, PATH, PATIENCE, Program, Reply};

/// Answered before anybody's patience ends.
const QUICKLY: &str = "applications: { default: { callback: { answer_within: 1s } } }\n";

fn until(mut is_so: impl FnMut() -> bool) {
    let give_up = SystemTime::now() + PATIENCE;
    while !is_so() {
        assert!(SystemTime::now() < give_up, "not in time");
        thread::yield_now();
    }
}

/// 503, with the time after which to come again, and that the event is kept.
fn assert_kept(reply: &Reply) {
    assert_eq!(reply.status, 503, "{}", reply.body);
    assert!(reply.head.contains("retry-after: "), "{}", reply.head);
    let said: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(said["kept"], true, "{said}");
}

fn settled(program: &Program) -> f64 {
    program.metric("vodbridge_settled_total", "outcome=\"delivered\"")
}

#[test]
fn what_rabbitmq_can_route_nowhere_is_not_answered_200_and_goes_out_once_it_can() {
    let runtime = Runtime::new().unwrap();
    let options = RabbitMqOptions { management: true, ..RabbitMqOptions::new(RabbitMqVersion::V3) };
    let rabbitmq = runtime.block_on(brokers::RabbitMq::start(options));
    let url = rabbitmq.url();
    // The exchange is made, and no queue.
    let connector = format!("rabbit: {{ type: rabbitmq, urls: [{url:?}], queue: null }}");
    let program = Home::new(&format!("{QUICKLY}connectors: {{ {connector} }}\n")).start();
    for n in 0..3 {
        assert_kept(&program.post(PATH, &body(n)));
    }
    assert_eq!(settled(&program), 0.0);
    let bindings = "/api/bindings/%2F/e/vod/q/vod.events";
    runtime.block_on(async {
        let queue = r#"{"durable":true}"#;
        rabbitmq.api("PUT", "/api/queues/%2F/vod.events", queue).await;
        rabbitmq.api("POST", bindings, r##"{"routing_key":"vod.#"}"##).await;
    });
    until(|| settled(&program) == 3.0);
    let address = url.replace("amqp://", "amqp://guest:guest@");
    assert_eq!(files(&read(Broker::RabbitMq, &address, "3")), [0, 1, 2].map(file_id));
    assert_eq!(program.unaccounted(), 0.0);
}

#[test]
fn what_is_too_large_for_its_broker_is_answered_200_once_its_dead_letter_is_stored() {
    let runtime = Runtime::new().unwrap();
    let extra = "max_payload: 4096".to_owned();
    let settings = NatsSettings { extra, ..NatsSettings::default() };
    let nats = runtime.block_on(Nats::start(settings));
    let program = Home::new(&over_nats(&nats)).start();
    until(|| program.post(PATH, &body(0)).status == 200);
    let name = "x".repeat(8192);
    let large = format!(
        r#"{{"EventType":"NewFileUpload","FileUploadEvent":{{"FileId":"1","N":"{name}"}}}}"#
    );
    let reply = program.post(PATH, large.as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains(r#""outcome":"rejected""#), "{}", reply.body);
    let letters = program.home().listed(&["dead-letters"]);
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0]["vodreason"], "refused", "{letters:?}");
    let neighbour = program.post(PATH, &body(1));
    assert_eq!(neighbour.status, 200, "{}", neighbour.body);
    assert_eq!(files(&read(Broker::Nats, &nats.url(), "2")), [0, 1].map(file_id));
    assert_eq!(program.unaccounted(), 0.0);
}

#[test]
fn what_no_route_matches_is_answered_200_once_its_dead_letter_is_stored() {
    let runtime = Runtime::new().unwrap();
    let nats = runtime.block_on(Nats::start(NatsSettings::default()));
    let routes = "routes: [{ match: { events: [PullComplete] }, to: [edge] }]\n";
    let program = Home::new(&format!("{routes}{}", over_nats(&nats))).start();
    let reply = program.post(PATH, &body(0));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.body.contains(r#""outcome":"rejected""#), "{}", reply.body);
    let letters = program.home().listed(&["dead-letters"]);
    let letters: Vec<_> = letters.iter().map(|l| (&l["vodreason"], &l["vodfileid"])).collect();
    assert_eq!(letters, [(&json!("unrouted"), &json!(file_id(0)))]);
    assert_eq!(program.unaccounted(), 0.0);
}

/// What the frozen broker had in its socket it may store when it goes on, after its caller was told
/// that it is not acknowledged. Nobody can prevent that; everybody can see it.
#[test]
fn what_a_frozen_broker_got_late_is_known_by_its_id() {
    let runtime = Runtime::new().unwrap();
    let kafka = runtime.block_on(Kafka::start());
    let address = kafka.addresses().remove(0);
    let connector =
        format!("events: {{ type: kafka, brokers: [{address:?}], publish_timeout: 3s }}");
    let program = Home::new(&format!("{QUICKLY}connectors: {{ {connector} }}\n")).start();
    let send = |numbers| Sender::new(program.callbacks).connections(20).numbers(numbers).run();
    until(|| program.post(PATH, &body(0)).status == 200);
    kafka.freeze(0);
    let told = send(1..21);
    assert_eq!((told.answered(503), told.unanswered()), (20, 0), "{told:?}");
    // Long enough for the client to have given them up.
    until(|| program.metric("vodbridge_published_total", "unavailable") >= 20.0);
    kafka.thaw(0);
    until(|| settled(&program) == 21.0);
    assert_eq!(program.unaccounted(), 0.0);
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in read(Broker::Kafka, &address, "all") {
        let text = |name: &str| message["attributes"][name].as_str().unwrap().to_owned();
        ids.entry(text("vodfileid")).or_default().insert(text("id"));
    }
    assert_eq!(ids.len(), 21, "{ids:?}");
    assert!(ids.values().all(|ids| ids.len() == 1), "an event with two ids: {ids:?}");
}

#[test]
fn a_bridge_that_starts_before_its_broker_is_ready_keeps_what_comes_and_delivers_it() {
    let runtime = Runtime::new().unwrap();
    let mut nats = runtime.block_on(Nats::start(NatsSettings::default()));
    nats.kill();
    let program = Home::new(&format!("{QUICKLY}{}", over_nats(&nats))).start();
    assert_kept(&program.post(PATH, &body(0)));
    let ready = program.get("/readyz");
    assert_eq!(ready.status, 200, "it can keep events: {}", ready.body);
    assert!(ready.body.contains("degraded"), "{}", ready.body);
    runtime.block_on(nats.restart());
    until(|| settled(&program) == 1.0);
    assert_eq!(program.post(PATH, &body(1)).status, 200);
    assert_eq!(files(&read(Broker::Nats, &nats.url(), "2")), [0, 1].map(file_id));
    assert_eq!(program.unaccounted(), 0.0);
}

fn over_nats(nats: &Nats) -> String {
    format!("connectors: {{ edge: {{ type: nats, servers: [{:?}] }} }}\n", nats.url())
}

/// The files of events, in their order.
fn files(messages: &[Value]) -> Vec<String> {
    let file = |message: &Value| message["attributes"]["vodfileid"].as_str().unwrap().to_owned();
    let mut files: Vec<_> = messages.iter().map(file).collect();
    files.sort_unstable();
    files
}
