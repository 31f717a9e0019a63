//! What several tests need.

use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use futures_util::StreamExt;
use tokio::time::timeout;
use vodbridge_conformance::{event, topic};
use vodbridge_core::Connector as _;
use vodbridge_core::{Cause, ContentMode, Durability, Event, Provision, PublishError, Unavailable};
use vodbridge_nats::{Auth, Config, Connector, Stream};

/// The longest that a subscriber waits for what is there.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// More than any publish may take: `publish_timeout` and something for a slow machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// How long a connector may take to notice that what was wrong is right.
const REPAIRED_WITHIN: Duration = Duration::from_secs(30);

/// A connector's configuration for the servers named.
pub(crate) fn config(servers: Vec<String>) -> Config {
    Config {
        servers,
        client_id: "vodbridge-test".to_owned(),
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

/// An operator's or a subscriber's own connection.
pub(crate) async fn jetstream(url: &str) -> jetstream::Context {
    jetstream_with(url, async_nats::ConnectOptions::new()).await
}

/// The same by other means to log in.
pub(crate) async fn jetstream_with(
    url: &str,
    options: async_nats::ConnectOptions,
) -> jetstream::Context {
    let client = options.connect(url).await.expect("the server lets its operator in");
    jetstream::ContextBuilder::new().timeout(Duration::from_secs(10)).build(client)
}

/// Everything that the stream holds, read by a consumer; nothing if there is no such stream.
pub(crate) async fn read(
    jetstream: &jetstream::Context,
    name: &str,
) -> Vec<async_nats::jetstream::Message> {
    let Ok(mut stream) = jetstream.get_stream(name).await else { return Vec::new() };
    let count = stream.info().await.expect("a stream tells how much it holds").state.messages;
    let consumer = timeout(READ_WITHIN, async {
        loop {
            // A cluster that has just lost or found a server may not answer the first time.
            match stream.create_consumer(consumer::pull::OrderedConfig::default()).await {
                Ok(consumer) => return consumer,
                Err(error) => assert_eq!(error.kind(), stream::ConsumerErrorKind::TimedOut),
            }
        }
    })
    .await
    .expect("a consumer can be made");
    let messages = consumer.messages().await.expect("a consumer can read");
    let count = usize::try_from(count).expect("fewer than there is memory for");
    timeout(READ_WITHIN, messages.take(count).map(|m| m.expect("a message")).collect())
        .await
        .expect("what a stream holds can be read in time")
}

/// The value of a header, if it is there once.
pub(crate) fn header<'a>(message: &'a async_nats::Message, name: &str) -> Option<&'a str> {
    let mut values = message.headers.as_ref()?.get_all(name);
    let value = values.next()?;
    assert!(values.next().is_none(), "{name} is there twice");
    Some(value.as_str())
}

/// A stream as an operator makes it.
pub(crate) fn stream(name: &str, subjects: &[&str]) -> stream::Config {
    stream::Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|s| (*s).to_owned()).collect(),
        ..stream::Config::default()
    }
}

/// A connector of this configuration.
pub(crate) fn connector(config: Config) -> Connector {
    Connector::new(config).expect("the addresses are some")
}

/// How one event is answered, in time.
pub(crate) async fn publish(connector: &Connector, id: &str) -> Result<(), PublishError> {
    publish_event(connector, &event(id, 1000)).await
}

/// How this event is answered, in time.
pub(crate) async fn publish_event(
    connector: &Connector,
    event: &Event,
) -> Result<(), PublishError> {
    timeout(ANSWERED_WITHIN, connector.publish(event, &topic()))
        .await
        .expect("every publish is answered in time")
}

/// Why an event was not taken, as an operator reads it: the message with its causes, and advice.
pub(crate) fn unavailable(answer: Result<(), PublishError>, cause: Cause) -> (String, String) {
    let Err(PublishError::Unavailable(why)) = answer else {
        panic!("unavailable, and then {answer:?}")
    };
    assert_eq!(why.cause, cause, "{why:?}");
    told(&why)
}

/// What an operator reads.
pub(crate) fn told(why: &Unavailable) -> (String, String) {
    let mut text = why.to_string();
    let mut cause = std::error::Error::source(why);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    (text, why.advice.as_deref().unwrap_or_default().to_owned())
}

/// Publishes one event again and again until it is taken, as a route does.
pub(crate) async fn until_taken(connector: &Connector, id: &str) {
    let taken = async {
        while let Err(why) = publish(connector, id).await {
            assert!(matches!(why, PublishError::Unavailable(_)), "{why:?}");
            // The distance between a route's attempts; nothing depends on it.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(REPAIRED_WITHIN, taken).await.expect("a connector goes on once all is repaired");
}

/// The only answer of a check about one topic.
pub(crate) async fn check(connector: &Connector) -> Result<Durability, Unavailable> {
    connector.check(&[topic()]).await.map(|mut answers| answers.remove(0))?
}
