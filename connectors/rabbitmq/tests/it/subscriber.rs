//! A reader of queues that knows nothing of the connector.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use tokio::time::timeout;

/// How long the reading of one queue may take.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// A connection as `guest`.
pub(crate) struct Subscriber {
    pub(crate) connection: Connection,
}

impl Subscriber {
    pub(crate) async fn connect(url: &str) -> Self {
        let url = url.replace("://", "://guest:guest@");
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        Self { connection }
    }

    /// Everything in a queue, which keeps it: what is not acknowledged goes back when the channel
    /// closes. Nothing, if there is no such queue.
    pub(crate) async fn read(&self, queue: &str) -> Vec<Delivery> {
        self.take(queue, false).await
    }

    /// The same, and the queue keeps nothing: a quorum queue hands out only so much that is not
    /// acknowledged.
    pub(crate) async fn drain(&self, queue: &str) -> Vec<Delivery> {
        self.take(queue, true).await
    }

    async fn take(&self, queue: &str, no_ack: bool) -> Vec<Delivery> {
        let channel = self.connection.create_channel().await.unwrap();
        let passive = QueueDeclareOptions { passive: true, ..<_>::default() };
        let none = FieldTable::default;
        let Ok(there) = channel.queue_declare(queue.into(), passive, none()).await else {
            return Vec::new();
        };
        // Without a word of ours a quorum queue stops at 2,000.
        channel.basic_qos(u16::MAX, <_>::default()).await.unwrap();
        let options = BasicConsumeOptions { no_ack, ..<_>::default() };
        let mut consumer =
            channel.basic_consume(queue.into(), "reader".into(), options, none()).await.unwrap();
        let counted = consumer.by_ref().take(there.message_count() as usize).collect::<Vec<_>>();
        let counted = timeout(READ_WITHIN, counted).await.expect("what was counted can be read");
        // The count lags behind what is there: more may be on its way, and more may come.
        channel.basic_cancel("reader".into(), <_>::default()).await.unwrap();
        let more = timeout(READ_WITHIN, consumer.collect::<Vec<_>>()).await.expect("it ends");
        let mut all: Vec<_> = counted.into_iter().chain(more).map(Result::unwrap).collect();
        let get = BasicGetOptions { no_ack };
        while let Some(more) = channel.basic_get(queue.into(), get).await.unwrap() {
            all.push(more.delivery);
        }
        channel.close(200, "read".into()).await.unwrap();
        all
    }

    /// A durable topic exchange, and a queue of the kind that is bound to it for `vod.#`.
    pub(crate) async fn provide(&self, exchange: &str, queue: &str, kind: &str) {
        let channel = self.connection.create_channel().await.unwrap();
        let durable = lapin::options::ExchangeDeclareOptions { durable: true, ..<_>::default() };
        let none = FieldTable::default;
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, none())
            .await
            .unwrap();
        let mut arguments = none();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
        let durable = QueueDeclareOptions { durable: true, ..<_>::default() };
        channel.queue_declare(queue.into(), durable, arguments).await.unwrap();
        let options = QueueBindOptions::default();
        channel
            .queue_bind(queue.into(), exchange.into(), "vod.#".into(), options, none())
            .await
            .unwrap();
        channel.close(200, "provided".into()).await.unwrap();
    }
}
