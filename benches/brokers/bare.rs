//! The brokers' own clients, as each is used best: nothing around them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures_util::future::join_all;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use vodsim::callback;

use crate::support::measured::{Measured, histogram};

/// A topic that is not the bridge's.
const TOPIC: &str = "bare";

/// Batches of RabbitMQ, and channels that have one each.
const BATCH: usize = 256;
const CHANNELS: usize = 4;

/// A client whose `publish` resolves with the broker's acknowledgement.
#[derive(Clone)]
pub(crate) enum Client {
    Kafka(FutureProducer),
    RabbitMq(mpsc::Sender<Work>, #[expect(dead_code, reason = "held until the end")] Arc<Channels>),
    Nats(Box<jetstream::Context>),
}

/// A connection and the tasks of its channels, which end with it.
pub(crate) struct Channels {
    _connection: Connection,
    _tasks: JoinSet<()>,
}

pub(crate) struct Work {
    body: Bytes,
    answer: oneshot::Sender<()>,
}

// === impl Client ===

impl Client {
    pub(crate) async fn connect(broker: &str, address: &str) -> Self {
        match broker {
            "kafka" => Self::Kafka(kafka(address).await),
            "rabbitmq" => {
                let (queue, channels) = rabbitmq(address).await;
                Self::RabbitMq(queue, Arc::new(channels))
            }
            _ => Self::Nats(Box::new(nats(address).await)),
        }
    }

    pub(crate) async fn publish(&self, id: &str, body: Bytes) {
        match self {
            Self::Kafka(producer) => {
                let record = FutureRecord::<(), _>::to(TOPIC).payload(&body[..]);
                producer.send_result(record).ok().unwrap().await.unwrap().unwrap();
            }
            Self::RabbitMq(queue, _) => {
                let (answer, answered) = oneshot::channel();
                queue.send(Work { body, answer }).await.ok().unwrap();
                answered.await.unwrap();
            }
            Self::Nats(context) => {
                let message = PublishMessage::build().payload(body).message_id(id);
                let ack: PublishAckFuture = context.send_publish(TOPIC, message).await.unwrap();
                ack.await.unwrap();
            }
        }
    }
}

async fn kafka(brokers: &str) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    // It may be there from an earlier round.
    admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    config
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("compression.codec", "lz4")
        .create()
        .unwrap()
}

async fn nats(server: &str) -> jetstream::Context {
    let context = jetstream::new(async_nats::connect(server).await.unwrap());
    let stream = jetstream::stream::Config {
        name: "BARE".to_owned(),
        subjects: vec![TOPIC.to_owned()],
        duplicate_window: Duration::from_secs(600),
        ..Default::default()
    };
    context.get_or_create_stream(stream).await.unwrap();
    context
}

/// One connection, and channels that take batches from one queue.
async fn rabbitmq(url: &str) -> (mpsc::Sender<Work>, Channels) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let setup = connection.create_channel().await.unwrap();
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    setup.exchange_declare(TOPIC.into(), ExchangeKind::Topic, durable, none()).await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    setup.queue_declare(TOPIC.into(), durable, arguments).await.unwrap();
    let bind = QueueBindOptions::default();
    setup.queue_bind(TOPIC.into(), TOPIC.into(), "#".into(), bind, none()).await.unwrap();
    let (queue, work) = mpsc::channel(4096);
    let work = Arc::new(Mutex::new(work));
    let mut tasks = JoinSet::new();
    for _ in 0..CHANNELS {
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        tasks.spawn(batches(channel, Arc::clone(&work)));
    }
    (queue, Channels { _connection: connection, _tasks: tasks })
}

async fn batches(channel: Channel, work: Arc<Mutex<mpsc::Receiver<Work>>>) {
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let properties = BasicProperties::default().with_delivery_mode(2);
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        if work.lock().await.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let publish = |work: &Work| {
            let (channel, properties, body) =
                (channel.clone(), properties.clone(), work.body.clone());
            async move {
                let sent =
                    channel.basic_publish(TOPIC.into(), TOPIC.into(), options, &body, properties);
                sent.await.unwrap().await.unwrap()
            }
        };
        let confirmations = join_all(batch.iter().map(publish)).await;
        for (work, confirmation) in batch.into_iter().zip(confirmations) {
            assert!(matches!(confirmation, Confirmation::Ack(None)), "{confirmation:?}");
            work.answer.send(()).unwrap();
        }
    }
}

/// Publishes from so many tasks, each of which waits for its acknowledgement before the next.
pub(crate) async fn measure(broker: &str, address: &str, tasks: usize, time: Duration) -> Measured {
    let client = Client::connect(broker, address).await;
    let body = Bytes::from(callback::body(0));
    client.publish("warm", body.clone()).await;
    let began = Instant::now();
    let mut all = JoinSet::new();
    for task in 0..tasks {
        let (client, body) = (client.clone(), body.clone());
        all.spawn(async move {
            let mut micros = histogram();
            let mut number = 0;
            while began.elapsed() < time {
                let sent = Instant::now();
                client.publish(&format!("{began:?}-{task}-{number}"), body.clone()).await;
                micros.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap());
                number += 1;
            }
            micros
        });
    }
    let each = all.join_all().await;
    let elapsed = began.elapsed();
    let mut micros = histogram();
    each.into_iter().for_each(|one| micros.add(one).unwrap());
    Measured::of(&micros, elapsed)
}
