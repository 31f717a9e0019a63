//! What a subscriber finds: read by a consumer, against a server of its own or a running one.

use brokers::{Nats, NatsSettings};
use bytes::Bytes;
use vodbridge_conformance::{event, topic};
use vodbridge_core::Connector as _;
use vodbridge_core::{ContentDigest, ContentMode, Event, Extension, KnownBy, Timestamp, Topic};
use vodbridge_nats::Config;

use crate::support::{config, connector, header, jetstream, publish_event, read};

/// One server for all cases of one test, or the one that somebody runs.
struct Server {
    url: String,
    _nats: Option<Nats>,
}

impl Server {
    async fn find() -> Self {
        if let Some(url) = Nats::running() {
            // Of an earlier run; there may be none.
            jetstream(&url).await.delete_stream("VOD").await.ok();
            return Self { url, _nats: None };
        }
        Self::find_own().await
    }

    /// One that nobody else writes to.
    async fn find_own() -> Self {
        let nats = Nats::start(NatsSettings::default()).await;
        Self { url: nats.url(), _nats: Some(nats) }
    }

    fn config(&self) -> Config {
        config(vec![self.url.clone()])
    }
}

fn hostile() -> Event {
    let mut event = event("hostile", 1000);
    event.subject = Some("视频\r\nNats-Msg-Id: forged\r\n\r\n\"a b\" 100%".into());
    event.extensions.push(Extension { name: "vodtaskid".into(), value: "é\nü".into() });
    event.data = Bytes::from_static(
        b"{\"FileId\": 18446744073709551617.10, \"Name\": \"\xf0\x9f\x98\x80\"}",
    );
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_reads_the_event_as_it_was() {
    let server = Server::find().await;
    let binary = connector(server.config());
    let structured = connector(Config { content_mode: ContentMode::Structured, ..server.config() });
    let sent = hostile();
    publish_event(&binary, &sent).await.unwrap();
    let mut other = sent.clone();
    other.id = "structured".into();
    publish_event(&structured, &other).await.unwrap();

    let jetstream = jetstream(&server.url).await;
    let messages = read(&jetstream, "VOD").await;
    let [first, second] = messages.as_slice() else { panic!("two were sent") };
    assert_eq!(first.subject.as_str(), "vod.NewFileUpload");
    assert_eq!(first.payload, sent.data);
    assert_eq!(header(first, "ce-id"), Some("hostile"));
    assert_eq!(header(first, "ce-specversion"), Some("1.0"));
    assert_eq!(header(first, "ce-type"), Some("com.tencentcloud.vod.NewFileUpload"));
    assert_eq!(header(first, "ce-datacontenttype"), Some("application/json"));
    assert_eq!(header(first, "content-type"), Some("application/json"));
    let subject = "%E8%A7%86%E9%A2%91%0D%0ANats-Msg-Id:%20forged%0D%0A%0D%0A%22a%20b%22%20100%25";
    assert_eq!(header(first, "ce-subject"), Some(subject));
    assert_eq!(header(first, "ce-vodtaskid"), Some("%C3%A9%0A%C3%BC"));
    assert_eq!(header(first, "Nats-Msg-Id"), Some("movies:hostile~00000000"));

    assert_eq!(header(second, "content-type"), Some("application/cloudevents+json"));
    let object: serde_json::Value = serde_json::from_slice(&second.payload).unwrap();
    assert_eq!(object["id"], "structured");
    assert_eq!(object["subject"].as_str(), sent.subject.as_deref());
    assert!(second.payload.windows(sent.data.len()).any(|part| part == sent.data));
    binary.close().await;
    structured.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_acknowledged_and_kept_once_and_what_only_looks_like_one_is_kept() {
    let server = Server::find_own().await;
    let connector = connector(server.config());
    let first = event("twice", 100);
    let mut other_content = first.clone();
    other_content.content = ContentDigest([1; 8]);
    let mut other_application = first.clone();
    other_application.extensions[0].value = "series".into();
    let mut letter = first.clone();
    letter.extensions.push(Extension { name: "vodreason".into(), value: "topology".into() });
    let mut occurrence = first.clone();
    occurrence.known_by = KnownBy::Content;
    let mut later = occurrence.clone();
    later.time = Timestamp::from_millis(first.time.as_millis() + 1);
    let all = [first, other_content, other_application, letter, occurrence, later];
    for event in all.iter().chain(&all) {
        publish_event(&connector, event).await.unwrap();
    }
    let kept = read(&jetstream(&server.url).await, "VOD").await;
    assert_eq!(kept.len(), all.len());
    connector.close().await;
}

/// One event goes to one topic of a connector. Were it otherwise, this is what happens: the stream
/// knows it again whatever the subject, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn one_event_on_two_subjects_of_a_stream_is_there_under_the_first() {
    let server = Server::find_own().await;
    let connector = connector(server.config());
    let event = event("both", 100);
    let other = Topic::new("vod.Other").unwrap();
    connector.publish(&event, &topic()).await.unwrap();
    connector.publish(&event, &other).await.unwrap();
    let kept = read(&jetstream(&server.url).await, "VOD").await;
    let [only] = kept.as_slice() else { panic!("once, and not {} times", kept.len()) };
    assert_eq!(only.subject.as_str(), topic().as_str());
    connector.close().await;
}
