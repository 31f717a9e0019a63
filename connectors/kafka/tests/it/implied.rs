//! What librdkafka's own broker for tests can do and a real one only by chance.

use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use vodbridge_conformance::{event, publish_all, topic};
use vodbridge_core::{Provision, PublishError};
use vodbridge_kafka::Connector;

use crate::support::{config, consume, eventually, header, publish};

/// Seen with a real broker: the first batch of a producer is refused while the partition's leader
/// settles in, the second is taken, and librdkafka reports both as delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_implied_by_a_later_record_is_not_acknowledged() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(topic().as_str(), 1, 1).unwrap();
    let brokers = vec![mock.bootstrap_servers()];
    let mut config = config(brokers.clone());
    config.topology = Provision::Verify;
    // Several batches are under way at once.
    config.properties.insert("batch.num.messages".to_owned(), "1".to_owned());
    let connector = Connector::new(config).unwrap();
    let warm = publish_all(&connector, &[event("warm", 100)], &topic()).await;
    assert!(warm[0].is_ok(), "{warm:?}");
    mock.broker_round_trip_time(1, Duration::from_millis(200)).unwrap();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    mock.request_errors(RDKafkaApiKey::Produce, &[refused]);

    let events: Vec<_> = (0..5).map(|n| event(&format!("implied-{n}"), 100)).collect();
    let answers = publish_all(&connector, &events, &topic()).await;
    vodbridge_core::Connector::close(&connector).await;

    let stored = consume(&brokers, topic().as_str()).await;
    let stored: Vec<_> = stored.iter().filter_map(|message| header(message, "ce_id")).collect();
    for (event, answer) in events.iter().zip(&answers) {
        if answer.is_ok() {
            assert!(stored.contains(&event.id.to_string()), "{} of {stored:?}", event.id);
        }
    }
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

/// librdkafka looks for timeouts once a second, so that it is late for so short a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_late_is_forced_by_a_purge() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(topic().as_str(), 1, 1).unwrap();
    let mut config = config(vec![mock.bootstrap_servers()]);
    config.topology = Provision::Verify;
    config.publish_timeout = Duration::from_millis(600);
    let connector = Connector::new(config).unwrap();
    let publish = async || publish(&connector, "late", topic().as_str()).await;
    eventually(publish, |answer| answer.is_ok()).await.unwrap();

    mock.broker_round_trip_time(1, Duration::from_secs(60)).unwrap();
    let is_purged = |answer: &Result<(), PublishError>| match answer {
        Err(PublishError::Unavailable(why)) => format!("{:?}", why.source).contains("Purge"),
        Ok(()) | Err(PublishError::Refused(_)) => panic!("{answer:?}"),
    };
    eventually(publish, is_purged).await.unwrap_err();

    mock.broker_round_trip_time(1, Duration::ZERO).unwrap();
    eventually(publish, |answer| answer.is_ok()).await.unwrap();
    vodbridge_core::Connector::close(&connector).await;
}
