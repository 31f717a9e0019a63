//! How fast the connector publishes, beside the bare client in the same run: the same message,
//! the same number under way, each awaiting its PubAck.
//!
//! `cargo bench -p vodbridge-nats --bench publish`; starts a nats-server of its own, with its data
//! in the directory for temporary files.

#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{ContextBuilder, message::PublishMessage};
use brokers::{Nats, NatsSettings};
use tokio::task::JoinSet;
use tokio::time::Instant;
use vodbridge_conformance::{event, topic};
use vodbridge_core::{Connector as _, ContentMode, Event, Provision};
use vodbridge_nats::{Auth, Config, Connector, Stream};

const DATA_BYTES: usize = 1000;
const RUNS: usize = 25;

/// Each message has an id of its own, so that none is a duplicate.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// What one run came to.
struct Run {
    per_second: f64,
    p50: Duration,
    p99: Duration,
}

#[tokio::main]
async fn main() {
    let nats = Nats::start(NatsSettings::default()).await;
    let connector = Arc::new(Connector::new(config(nats.url())).expect("an address"));
    connector.publish(&numbered(), &topic()).await.expect("a broker that works");
    let client = async_nats::connect(nats.url()).await.expect("a broker that works");
    // Waiting for its own permits is not what is measured.
    let jetstream = ContextBuilder::new().max_ack_inflight(10_000).build(client);

    println!("publishes/s of {DATA_BYTES} bytes of data, medians of {RUNS} pairs of runs");
    println!(
        "{:>6} {:>9} {:>8} {:>8} {:>9} {:>8} {:>8} {:>6}",
        "tasks", "client/s", "p50 us", "p99 us", "ours/s", "p50 us", "p99 us", "ratio"
    );
    for (tasks, each) in [(1, 1_500), (32, 250), (128, 100)] {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        // In turns, so that a slower minute of the machine slows both.
        for _ in 0..RUNS {
            let jetstream = jetstream.clone();
            bare.push(
                run(tasks, each, move |event| {
                    let jetstream = jetstream.clone();
                    async move { publish_bare(&jetstream, event).await }
                })
                .await,
            );
            let connector = Arc::clone(&connector);
            ours.push(
                run(tasks, each, move |event| {
                    let connector = Arc::clone(&connector);
                    async move { connector.publish(&event, &topic()).await.is_ok() }
                })
                .await,
            );
        }
        let mut ratios: Vec<_> =
            bare.iter().zip(&ours).map(|(bare, ours)| ours.per_second / bare.per_second).collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[RUNS / 2];
        let (bare, ours) = (median(bare), median(ours));
        println!(
            "{tasks:>6} {:>9.0} {:>8} {:>8} {:>9.0} {:>8} {:>8} {:>6.2}",
            bare.per_second,
            bare.p50.as_micros(),
            bare.p99.as_micros(),
            ours.per_second,
            ours.p50.as_micros(),
            ours.p99.as_micros(),
            ratio
        );
    }
    connector.close().await;
}

/// The least that a careful program does: an id to be known by, the attributes that everybody
/// sends, and the acknowledgement awaited.
async fn publish_bare(jetstream: &async_nats::jetstream::Context, event: Event) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in event.attributes() {
        headers.insert(format!("ce-{name}").as_str(), value.as_ref());
    }
    let message = PublishMessage::build()
        .headers(headers)
        .message_id(event.id.as_str())
        .expected_stream("VOD")
        .payload(event.data.clone());
    match jetstream.send_publish(topic().as_str().to_owned(), message).await {
        Ok(acknowledged) => acknowledged.await.is_ok(),
        Err(_) => false,
    }
}

async fn run<F, P>(tasks: usize, each: usize, publish: F) -> Run
where
    F: Fn(Event) -> P + Clone + Send + 'static,
    P: Future<Output = bool> + Send,
{
    let began = Instant::now();
    let mut set = JoinSet::new();
    for _ in 0..tasks {
        let publish = publish.clone();
        set.spawn(async move {
            let mut took = Vec::with_capacity(each);
            for _ in 0..each {
                let began = Instant::now();
                assert!(publish(numbered()).await, "a broker that works takes every event");
                took.push(began.elapsed());
            }
            took
        });
    }
    let mut took: Vec<_> = set.join_all().await.into_iter().flatten().collect();
    let whole = began.elapsed();
    took.sort_unstable();
    Run {
        per_second: took.len() as f64 / whole.as_secs_f64(),
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
    }
}

fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    runs.swap_remove(runs.len() / 2)
}

fn numbered() -> Event {
    event(&format!("NewFileUpload:{}", NEXT.fetch_add(1, Ordering::Relaxed)), DATA_BYTES)
}

fn config(url: String) -> Config {
    Config {
        servers: vec![url],
        client_id: "bench".to_owned(),
        auth: Auth::None,
        tls: None,
        tls_first: false,
        publish_timeout: Duration::from_secs(20),
        stream: Stream {
            name: "VOD".to_owned(),
            subjects: vec!["vod.>".to_owned()],
            replicas: 1,
            max_age: None,
            max_bytes: None,
            duplicate_window: Duration::from_secs(120),
        },
        in_flight: 512,
        in_flight_bytes: 64 << 20,
        content_mode: ContentMode::Binary,
        topology: Provision::Create,
        accept: Vec::new(),
        monitoring_url: None,
    }
}
