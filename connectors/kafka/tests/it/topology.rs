use brokers::kafka::Kafka;
use rdkafka::admin::AdminOptions;
use rdkafka::message::Message;
use vodbridge_conformance::{event, publish_all};
use vodbridge_core::{
    Cause, Connector as _, ContentMode, Extension, Fault, Provenance, PublishError, Topic, to_json,
};
use vodbridge_kafka::{Compression, Connector};

use crate::support::{
    admin, config, consume, eventually, header, make_topic, publish, setting, unavailable, word,
};

/// One broker for all that needs no fault: each case has topics of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_made_judged_and_written_to_as_they_should_be() {
    let kafka = Kafka::start().await;
    let brokers = kafka.addresses();
    a_made_topic_is_as_the_promise_needs_it(&brokers).await;
    a_topic_that_only_compacts_is_refused(&brokers).await;
    no_more_topics_are_made_than_may_be(&brokers).await;
    a_deleted_topic_is_made_again(&brokers).await;
    a_batch_that_is_too_large_refuses_no_record_that_is_not(&brokers).await;
    attributes_arrive_as_they_are_in_both_modes(&brokers).await;
    every_compression_is_understood(&brokers).await;
    statistics_come_by_and_by(&brokers).await;
}

async fn a_made_topic_is_as_the_promise_needs_it(brokers: &[String]) {
    let connector = Connector::new(config(brokers.to_vec())).unwrap();
    let topic = Topic::new("vod.made").unwrap();
    let missing = connector.check(std::slice::from_ref(&topic)).await.unwrap().remove(0);
    let missing = missing.unwrap_err();
    assert_eq!(missing.cause, Cause::Pending);
    assert!(missing.advice.unwrap().contains("kafka-topics"));

    publish(&connector, "made", "vod.made").await.unwrap();
    assert_eq!(setting(brokers, "vod.made", "cleanup.policy").await, "delete");
    assert_eq!(setting(brokers, "vod.made", "unclean.leader.election.enable").await, "false");
    let topics = [topic.clone(), Topic::new("vod.absent").unwrap(), topic];
    let answers = connector.check(&topics).await.unwrap();
    let [Ok(first), Err(absent), Ok(third)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(absent.cause, Cause::Pending);
    assert_eq!((word(first), first), ("ynnn".to_owned(), third));
    let told: Vec<_> = first.answers().iter().map(|(_, answer)| answer.provenance).collect();
    assert_eq!(told[1..], [Provenance::Broker; 3]);
    assert_eq!(first.answers()[1].0, Fault::Machine);
    connector.close().await;
}

async fn a_topic_that_only_compacts_is_refused(brokers: &[String]) {
    make_topic(brokers, "vod.compact", 1, &[("cleanup.policy", "compact")]).await;
    make_topic(brokers, "vod.both", 1, &[("cleanup.policy", "compact,delete")]).await;
    let connector = Connector::new(config(brokers.to_vec())).unwrap();
    let why = unavailable(publish(&connector, "compact", "vod.compact").await);
    assert_eq!(why.cause, Cause::Topology);
    assert!(why.message.contains("cleanup.policy=compact"), "{why}");
    assert!(why.advice.unwrap().contains("cleanup.policy=delete"));
    let checked = connector.check(&[Topic::new("vod.compact").unwrap()]).await.unwrap();
    assert_eq!(checked[0].as_ref().unwrap_err().cause, Cause::Topology);

    // A compacting topic wants keys, and a record without one is the topic's fault.
    let why = unavailable(publish(&connector, "keyless", "vod.both").await);
    assert_eq!(why.cause, Cause::Topology, "{why:?}");
    connector.close().await;
}

async fn no_more_topics_are_made_than_may_be(brokers: &[String]) {
    let mut config = config(brokers.to_vec());
    config.topics.made_max = 1;
    let connector = Connector::new(config).unwrap();
    publish(&connector, "first", "vod.first").await.unwrap();
    let why = unavailable(publish(&connector, "second", "vod.second").await);
    assert_eq!(why.cause, Cause::Topology);
    assert!(why.message.contains("vod.second"), "{why}");
    assert!(why.advice.is_some());
    publish(&connector, "again", "vod.first").await.unwrap();
    connector.close().await;
}

async fn a_deleted_topic_is_made_again(brokers: &[String]) {
    let connector = Connector::new(config(brokers.to_vec())).unwrap();
    publish(&connector, "before", "vod.deleted").await.unwrap();
    let options = AdminOptions::new();
    admin(brokers).delete_topics(&["vod.deleted"], &options).await.unwrap();
    // Deleting is done in the background; until then the old topic takes records.
    eventually(async || consume(brokers, "vod.deleted").await, Vec::is_empty).await;
    eventually(async || publish(&connector, "after", "vod.deleted").await, |answer| answer.is_ok())
        .await
        .unwrap();
    let ids: Vec<_> = consume(brokers, "vod.deleted").await;
    assert!(ids.iter().any(|record| header(record, "ce_id").as_deref() == Some("after")));
    connector.close().await;
}

async fn a_batch_that_is_too_large_refuses_no_record_that_is_not(brokers: &[String]) {
    make_topic(brokers, "vod.narrow", 1, &[("max.message.bytes", "20000")]).await;
    let mut config = config(brokers.to_vec());
    // Several fill one batch, which the topic does not take.
    config.linger = std::time::Duration::from_millis(50);
    config.compression = Compression::None;
    let connector = Connector::new(config).unwrap();
    let mut events: Vec<_> = (0..30).map(|n| event(&format!("narrow-{n}"), 8000)).collect();
    events.push(event("too-wide", 30_000));
    let mut answers = publish_all(&connector, &events, &Topic::new("vod.narrow").unwrap()).await;
    let refused = answers.pop().unwrap();
    assert!(matches!(refused, Err(PublishError::Refused(_))), "{refused:?}");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(consume(brokers, "vod.narrow").await.len(), 30);
    connector.close().await;
}

async fn attributes_arrive_as_they_are_in_both_modes(brokers: &[String]) {
    let mut sent = event("with \u{1F3AC}\r\nx: y", 100);
    sent.subject = Some("\u{89C6}\u{9891}/a b".into());
    let key = Extension { name: "partitionkey".into(), value: "387702292285462759".into() };
    sent.extensions.insert(0, key);
    for (mode, topic) in
        [(ContentMode::Binary, "vod.binary"), (ContentMode::Structured, "vod.structured")]
    {
        let mut config = config(brokers.to_vec());
        config.content_mode = mode;
        let connector = Connector::new(config).unwrap();
        connector.publish(&sent, &Topic::new(topic).unwrap()).await.unwrap();
        connector.close().await;
        let record = consume(brokers, topic).await.remove(0);
        assert_eq!(record.key().unwrap(), b"387702292285462759");
        let content_type = header(&record, "content-type").unwrap();
        if mode == ContentMode::Binary {
            assert_eq!(content_type, "application/json");
            assert_eq!(header(&record, "ce_id").unwrap(), sent.id);
            assert_eq!(header(&record, "ce_subject").unwrap(), sent.subject.as_deref().unwrap());
            assert_eq!(record.payload().unwrap(), &sent.data[..]);
        } else {
            assert_eq!(content_type, "application/cloudevents+json; charset=UTF-8");
            assert_eq!(record.payload().unwrap(), to_json(&sent));
        }
    }
}

async fn every_compression_is_understood(brokers: &[String]) {
    let all = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for compression in all {
        let mut config = config(brokers.to_vec());
        config.compression = compression;
        let connector = Connector::new(config).unwrap();
        publish(&connector, &format!("{compression:?}"), "vod.compressed").await.unwrap();
        connector.close().await;
    }
    assert_eq!(consume(brokers, "vod.compressed").await.len(), all.len());
}

async fn statistics_come_by_and_by(brokers: &[String]) {
    let connector = Connector::new(config(brokers.to_vec())).unwrap();
    publish(&connector, "counted", "vod.made").await.unwrap();
    let stats =
        eventually(async || connector.client_stats().unwrap(), |s| s.round_trip_p99.is_some())
            .await;
    assert_eq!((stats.queued, stats.queued_bytes), (0, 0));
    connector.close().await;
}
