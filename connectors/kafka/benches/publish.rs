//! Publishes per second through the connector, against the bare client with as many in flight in
//! the same run: `cargo bench -p vodbridge-kafka`. The broker is a real one on the same machine, or
//! the one that `VODBRIDGE_TEST_KAFKA` names.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and ends by panics")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brokers::kafka::Kafka;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinSet;
use tokio::time::Instant;
use vodbridge_conformance::{event, topic};
use vodbridge_core::{Connector as _, ContentMode, Event, Provision};
use vodbridge_kafka::{Compression, Config, Connector, Idempotence, Topics};

const DATA_BYTES: usize = 1000;
const RUN_FOR: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() {
    let kafka = Kafka::started_or_named().await;
    let brokers = kafka.addresses();
    let connector = Arc::new(Connector::new(config(brokers.clone())).unwrap());
    connector.publish(&event("warm", DATA_BYTES), &topic()).await.unwrap();
    let bare: Arc<FutureProducer> = Arc::new(
        ClientConfig::new()
            .set("bootstrap.servers", brokers.join(","))
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("compression.codec", "lz4")
            .create()
            .unwrap(),
    );
    println!("{DATA_BYTES} bytes of data, medians of {ROUNDS} rounds of {RUN_FOR:?}");
    println!("tasks  connector/s  p50 us  p99 us    bare/s  p50 us  p99 us  ratio");
    for tasks in [1, 32, 128] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let connector = Arc::clone(&connector);
            ours.push(run(tasks, move |event| through(Arc::clone(&connector), event)).await);
            let bare = Arc::clone(&bare);
            theirs.push(run(tasks, move |event| directly(Arc::clone(&bare), event)).await);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "{tasks:5}  {:11.0}  {:6}  {:6}  {:8.0}  {:6}  {:6}  {:5.2}",
            ours.rate,
            ours.p50.as_micros(),
            ours.p99.as_micros(),
            theirs.rate,
            theirs.p50.as_micros(),
            theirs.p99.as_micros(),
            ours.rate / theirs.rate,
        );
    }
    connector.close().await;
}

struct Measured {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

async fn through(connector: Arc<Connector>, event: Arc<Event>) {
    connector.publish(&event, &topic()).await.unwrap();
}

/// The same headers, the same bytes, and an answer awaited.
async fn directly(producer: Arc<FutureProducer>, event: Arc<Event>) {
    let mut headers = OwnedHeaders::new_with_capacity(10);
    for (name, value) in event.attributes() {
        headers =
            headers.insert(Header { key: &format!("ce_{name}"), value: Some(value.as_ref()) });
    }
    let topic = topic();
    let record =
        FutureRecord::<(), [u8]>::to(topic.as_str()).payload(&event.data[..]).headers(headers);
    producer.send_result(record).map_err(|(error, _)| error).unwrap().await.unwrap().unwrap();
}

async fn run<F>(
    tasks: usize,
    publish: impl Fn(Arc<Event>) -> F + Clone + Send + Sync + 'static,
) -> Measured
where
    F: Future<Output = ()> + Send,
{
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let publish = publish.clone();
        running.spawn(async move {
            let event = Arc::new(event("bench", DATA_BYTES));
            let mut latencies = Vec::new();
            while begun.elapsed() < RUN_FOR {
                let sent = Instant::now();
                publish(Arc::clone(&event)).await;
                latencies.push(sent.elapsed());
            }
            latencies
        });
    }
    let mut all: Vec<_> = running.join_all().await.into_iter().flatten().collect();
    let rate = u32::try_from(all.len()).map(f64::from).unwrap() / begun.elapsed().as_secs_f64();
    all.sort_unstable();
    let at = |percent: usize| all[(all.len() - 1) * percent / 100];
    Measured { rate, p50: at(50), p99: at(99) }
}

fn median(mut all: Vec<Measured>) -> Measured {
    all.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    all.swap_remove(all.len() / 2)
}

fn config(brokers: Vec<String>) -> Config {
    Config {
        brokers,
        client_id: "vodbridge-bench".to_owned(),
        publish_timeout: Duration::from_secs(20),
        idempotence: Idempotence::Auto,
        linger: Duration::ZERO,
        compression: Compression::Lz4,
        message_bytes_max: 1_000_000,
        in_flight: 10_000,
        in_flight_bytes: 64 << 20,
        content_mode: ContentMode::Binary,
        topology: Provision::Create,
        topics: Topics { partitions: Some(3), replication_factor: Some(1), made_max: 16 },
        sasl: None,
        tls: None,
        verify_hostname: true,
        properties: BTreeMap::new(),
    }
}
