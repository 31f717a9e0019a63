use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vodbridge_conformance::{event, publish_all, topic};
use vodbridge_core::{Connector as _, PublishError};
use vodbridge_rabbitmq::{Config, Connector};

use crate::one_broker::Broker;
use crate::support::{config, until_taken};

pub(crate) async fn a_blocked_connection_is_unavailable_and_goes_on(broker: &Broker) {
    let publish_timeout = Duration::from_secs(3);
    let config = Config { publish_timeout, ..config(&broker.rabbitmq.url(), "blocked") };
    let connector = Connector::new(config).unwrap();
    until_taken(&connector, &event("before", 10)).await;
    broker.rabbitmq.ctl(&["set_vm_memory_high_watermark", "0"]);
    // The first publish is what makes the broker say it.
    let began = Instant::now();
    let events: Vec<_> = (0..20).map(|n| event(&format!("blocked-{n}"), 10)).collect();
    for answer in publish_all(&connector, &events, &topic()).await {
        let Err(PublishError::Unavailable(why)) = answer else { panic!("{answer:?}") };
        assert!(!why.message.is_empty());
    }
    assert!(began.elapsed() < publish_timeout + Duration::from_millis(500));
    let why = connector.check(&[]).await.expect_err("the broker takes nothing");
    assert!(why.message.contains("connection.blocked") && why.message.contains("memory"), "{why}");
    // Also once the connection that saw it was given up.
    let answer = connector.publish(&events[0], &topic()).await;
    assert!(matches!(answer, Err(PublishError::Unavailable(_))), "{answer:?}");
    let why = connector.check(&[]).await.expect_err("the broker takes nothing");
    assert!(why.message.contains("connection.blocked"), "{why}");
    broker.rabbitmq.ctl(&["set_vm_memory_high_watermark", "0.6"]);
    until_taken(&connector, &event("after", 10)).await;
    connector.check(&[]).await.expect("it takes publishes again");
    connector.close().await;
}

pub(crate) async fn a_frozen_broker_is_answered_for_in_time_and_found_again(broker: &Broker) {
    let publish_timeout = Duration::from_secs(2);
    let config = Config { publish_timeout, ..config(&broker.rabbitmq.url(), "frozen") };
    let connector = Connector::new(config).unwrap();
    until_taken(&connector, &event("before", 10)).await;
    broker.rabbitmq.freeze();
    for round in 0..2 {
        let began = Instant::now();
        let events: Vec<_> = (0..200).map(|n| event(&format!("frozen-{round}-{n}"), 10)).collect();
        for answer in publish_all(&connector, &events, &topic()).await {
            assert!(matches!(answer, Err(PublishError::Unavailable(_))), "{answer:?}");
        }
        let elapsed = began.elapsed();
        assert!(elapsed < publish_timeout + Duration::from_millis(500), "{elapsed:?}");
    }
    // The connection was given up, and another cannot be made.
    let down = async {
        while connector.check(&[]).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), down).await.expect("it is seen to be away");
    broker.rabbitmq.thaw();
    until_taken(&connector, &event("after", 10)).await;
    connector.close().await;
}
