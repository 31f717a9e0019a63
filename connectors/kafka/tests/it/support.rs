//! What the tests share: configurations, and a consumer that knows nothing of the connector.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Offset;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::time::Instant;
use vodbridge_conformance::event;
use vodbridge_core::{
    Connector as _, ContentMode, Durability, Provision, PublishError, Survives, Topic, Unavailable,
};
use vodbridge_kafka::{Compression, Config, Connector, Idempotence, Topics};

/// How long a consumer may take for anything.
const CONSUMED_WITHIN: Duration = Duration::from_secs(60);

/// The bytes of a record that the tests' connectors take.
pub(crate) const MESSAGE_BYTES_MAX: u32 = 1_000_000;

/// A configuration as the bridge fills it in, save for shorter waits.
pub(crate) fn config(brokers: Vec<String>) -> Config {
    Config {
        brokers,
        client_id: "vodbridge-test".to_owned(),
        publish_timeout: Duration::from_secs(8),
        idempotence: Idempotence::Auto,
        linger: Duration::ZERO,
        compression: Compression::Lz4,
        message_bytes_max: MESSAGE_BYTES_MAX,
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

/// Everything that lies in `topic`, read from the beginning to its end. Nothing if there is no such
/// topic.
pub(crate) async fn consume(brokers: &[String], topic: &str) -> Vec<OwnedMessage> {
    let (brokers, topic) = (brokers.join(","), topic.to_owned());
    tokio::task::spawn_blocking(move || read_all(&brokers, &topic)).await.unwrap()
}

/// A header's value, which must be text.
pub(crate) fn header(message: &OwnedMessage, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == name)?;
    Some(String::from_utf8(header.value?.to_vec()).unwrap())
}

fn read_all(brokers: &str, topic: &str) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "nobody")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "false")
        .create()
        .unwrap();
    let give_up = Instant::now() + CONSUMED_WITHIN;
    let partitions = loop {
        let metadata = consumer.fetch_metadata(Some(topic), CONSUMED_WITHIN).unwrap();
        let found = &metadata.topics()[0];
        match found.error().map(Code::from) {
            Some(Code::UnknownTopicOrPartition) => return Vec::new(),
            // After a restart leaders are elected one after the other.
            None if found.partitions().iter().all(|p| p.leader() >= 0) => {
                break found.partitions().iter().map(|p| p.id()).collect::<Vec<_>>();
            }
            _ => assert!(Instant::now() < give_up, "no leaders for {topic}"),
        }
    };
    let mut assignment = TopicPartitionList::new();
    let mut ends = BTreeMap::new();
    for partition in partitions {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        let (low, high) = loop {
            match consumer.fetch_watermarks(topic, partition, CONSUMED_WITHIN) {
                Ok(watermarks) => break watermarks,
                Err(error) => assert!(Instant::now() < give_up, "{error}"),
            }
        };
        if low < high {
            ends.insert(partition, high);
        }
    }
    consumer.assign(&assignment).unwrap();
    let mut all = Vec::new();
    while !ends.is_empty() {
        assert!(Instant::now() < give_up, "cannot read {topic}: {ends:?} are left");
        let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
        let Ok(message) = message else { continue };
        // Only transactions leave gaps before the end, and nobody uses any.
        if ends.get(&message.partition()) == Some(&(message.offset() + 1)) {
            ends.remove(&message.partition());
        }
        all.push(message.detach());
    }
    all
}

/// Makes a topic of three partitions, as an operator does.
pub(crate) async fn make_topic(
    brokers: &[String],
    topic: &str,
    replicas: i32,
    settings: &[(&str, &str)],
) {
    let new = NewTopic::new(topic, 3, TopicReplication::Fixed(replicas));
    make(brokers, topic, new, settings).await;
}

/// Makes a topic of one partition on these nodes.
pub(crate) async fn make_topic_on(
    brokers: &[String],
    topic: &str,
    nodes: &[i32],
    settings: &[(&str, &str)],
) {
    let assignment = [nodes];
    let new = NewTopic::new(topic, 1, TopicReplication::Variable(&assignment));
    make(brokers, topic, new, settings).await;
}

/// What a topic's settings are, as an operator sees them.
pub(crate) async fn setting(brokers: &[String], topic: &str, name: &str) -> String {
    let resources = [ResourceSpecifier::Topic(topic)];
    let options = AdminOptions::new().request_timeout(Some(CONSUMED_WITHIN));
    let described = admin(brokers).describe_configs(&resources, &options).await.unwrap();
    let topic = described.into_iter().next().unwrap().unwrap();
    topic.get(name).unwrap().value.clone().unwrap()
}

/// Publishes one event.
pub(crate) async fn publish(
    connector: &Connector,
    id: &str,
    topic: &str,
) -> Result<(), PublishError> {
    connector.publish(&event(id, 100), &Topic::new(topic).unwrap()).await
}

/// The reason for which an answer is no acknowledgement, and for which it is the event's turn later.
pub(crate) fn unavailable(answer: Result<(), PublishError>) -> Unavailable {
    match answer {
        Err(PublishError::Unavailable(why)) => why,
        Ok(()) | Err(PublishError::Refused(_)) => panic!("not unavailable: {answer:?}"),
    }
}

/// The four answers of a check as one word: y, n or ?.
pub(crate) fn word(durability: &Durability) -> String {
    let letter = |survives| match survives {
        Survives::Yes => 'y',
        Survives::No => 'n',
        Survives::Unknown => '?',
    };
    durability.answers().iter().map(|(_, answer)| letter(answer.survives)).collect()
}

/// Asks again until the answer is as wanted: what brokers learn of each other takes a while.
pub(crate) async fn eventually<T: std::fmt::Debug>(
    mut ask: impl AsyncFnMut() -> T,
    wanted: impl Fn(&T) -> bool,
) -> T {
    let give_up = Instant::now() + CONSUMED_WITHIN;
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < give_up, "still {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn admin(brokers: &[String]) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers.join(",")).create().unwrap()
}

async fn make(brokers: &[String], topic: &str, new: NewTopic<'_>, settings: &[(&str, &str)]) {
    let admin = admin(brokers);
    let mut new = new;
    for (name, value) in settings {
        new = new.set(name, value);
    }
    let options = AdminOptions::new()
        .request_timeout(Some(CONSUMED_WITHIN))
        .operation_timeout(Some(CONSUMED_WITHIN));
    let made = admin.create_topics([&new], &options).await.unwrap();
    assert_eq!(made, [Ok(topic.to_owned())]);
}
