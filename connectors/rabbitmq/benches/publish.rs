//! How many events a second go through the connector, beside the bare client with as many under
//! way, on the same broker in the same run.
//!
//! `cargo bench -p vodbridge-rabbitmq`; RabbitMQ 4 is started for it, or the one that
//! `VODBRIDGE_TEST_RABBITMQ` names is used.

#![allow(clippy::print_stdout, reason = "a bench prints its table")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use brokers::{RabbitMq, RabbitMqOptions, RabbitMqVersion, running_rabbitmq};
use futures_util::{StreamExt, stream};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::task::JoinSet;
use tokio::time::Instant;
use vodbridge_conformance::{event, topic};
use vodbridge_core::{Connector as _, ContentMode, Event, Provision, Secret};
use vodbridge_rabbitmq::{Config, Connector, HeaderPrefix, Mechanism, Queue, QueueKind};

const BODY_BYTES: usize = 1024;
const RUNS: usize = 5;
const QUEUE: &str = "vod.events-bench";
const EXCHANGE: &str = "vod-bench";

/// One run: publishes per second, and how long each took, sorted.
struct Run {
    per_second: f64,
    took: Vec<Duration>,
}

#[tokio::main]
async fn main() {
    let own = match running_rabbitmq() {
        Some(_) => None,
        None => Some(RabbitMq::start(RabbitMqOptions::new(RabbitMqVersion::V4)).await),
    };
    let url = own.as_ref().map_or_else(|| running_rabbitmq().unwrap(), RabbitMq::url);
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let connector = Arc::new(Connector::new(config(&url)).unwrap());
    connector.publish(&event("warm", BODY_BYTES), &topic()).await.unwrap();
    let login = url.replace("://", "://guest:guest@");
    let bare = Connection::connect(&login, ConnectionProperties::default()).await.unwrap();
    let channel = bare.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();

    println!("publishes/s of {BODY_BYTES} byte events, one quorum queue; median of {RUNS} runs");
    println!(
        "{:>9} {:>10} {:>10} {:>6} {:>9} {:>9} {:>9} {:>9}",
        "in flight", "bare", "connector", "ratio", "bare p50", "bare p99", "p50", "p99"
    );
    for (in_flight, events) in [(1, 1_000), (32, 20_000), (128, 40_000)] {
        let (mut bares, mut connectors) = (Vec::new(), Vec::new());
        // In turns, so that a slower minute of the machine slows both.
        for _ in 0..RUNS {
            bares.push(bare_run(&channel, in_flight, events).await);
            channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await.unwrap();
            connectors.push(connector_run(&connector, in_flight, events).await);
            channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await.unwrap();
        }
        let (bare, connector) = (median(bares), median(connectors));
        let millis = |run: &Run, percent: usize| {
            format!("{:.2} ms", run.took[run.took.len() * percent / 100].as_secs_f64() * 1e3)
        };
        println!(
            "{in_flight:>9} {:>10.0} {:>10.0} {:>6.2} {:>9} {:>9} {:>9} {:>9}",
            bare.per_second,
            connector.per_second,
            connector.per_second / bare.per_second,
            millis(&bare, 50),
            millis(&bare, 99),
            millis(&connector, 50),
            millis(&connector, 99),
        );
    }
    connector.close().await;
}

/// One channel, one task, a window that is always full: the fastest that lapin does, and one that
/// does not notice what has no queue.
async fn bare_run(channel: &Channel, in_flight: usize, events: usize) -> Run {
    let body = event("bare", BODY_BYTES).data;
    let properties = properties(&event("bare", BODY_BYTES));
    let began = Instant::now();
    let publish = |_| {
        let (properties, body) = (properties.clone(), &body);
        async move {
            let began = Instant::now();
            let options = BasicPublishOptions::default();
            let key = topic().as_str().into();
            let confirm = channel
                .basic_publish(EXCHANGE.into(), key, options, body, properties)
                .await
                .unwrap();
            assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
            began.elapsed()
        }
    };
    let took = stream::iter(0..events).map(publish).buffer_unordered(in_flight).collect().await;
    Run::new(began.elapsed(), took)
}

async fn connector_run(connector: &Arc<Connector>, in_flight: usize, events: usize) -> Run {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (connector, next) = (Arc::clone(connector), Arc::clone(&next));
        tasks.spawn(async move {
            let (event, topic) = (event("NewFileUpload:387702292285462759", BODY_BYTES), topic());
            let mut took = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= events {
                    return took;
                }
                let event = Event { id: number.to_string().into(), ..event.clone() };
                let began = Instant::now();
                connector.publish(&event, &topic).await.unwrap();
                took.push(began.elapsed());
            }
        });
    }
    let took = tasks.join_all().await.concat();
    Run::new(began.elapsed(), took)
}

impl Run {
    fn new(elapsed: Duration, mut took: Vec<Duration>) -> Self {
        took.sort();
        Self { per_second: took.len() as f64 / elapsed.as_secs_f64(), took }
    }
}

fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    runs.swap_remove(runs.len() / 2)
}

fn properties(event: &Event) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in event.attributes() {
        let value = AMQPValue::LongString(value.as_bytes().into());
        headers.insert(format!("ce-{name}").into(), value);
    }
    BasicProperties::default().with_delivery_mode(2).with_headers(headers)
}

fn config(url: &str) -> Config {
    Config {
        urls: vec![url.to_owned()],
        user: "guest".to_owned(),
        password: Secret::fixed("guest"),
        mechanism: Mechanism::Plain,
        tls: None,
        client_id: "vodbridge-bench".to_owned(),
        publish_timeout: Duration::from_secs(20),
        exchange: EXCHANGE.to_owned(),
        queue: Some(Queue { name: QUEUE.to_owned(), kind: QueueKind::Quorum, length_max: None }),
        channels: std::env::var_os("VODBRIDGE_BENCH_CHANNELS")
            .map_or(2, |channels| channels.to_str().unwrap().parse().unwrap()),
        batch_max: 500,
        in_flight: 1024,
        in_flight_bytes: 64 << 20,
        message_bytes_max: 1 << 20,
        content_mode: ContentMode::Binary,
        header_prefix: HeaderPrefix::Ce,
        topology: Provision::Create,
        management: None,
    }
}
