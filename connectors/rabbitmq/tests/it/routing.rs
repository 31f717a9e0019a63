use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use vodbridge_conformance::{event, publish_all, topic};
use vodbridge_core::{Cause, Connector as _, PublishError, Secret, Topic};
use vodbridge_rabbitmq::{Config, Connector};

use crate::one_broker::Broker;
use crate::subscriber::Subscriber;
use crate::support::{config, id};

/// How many events; `VODBRIDGE_TEST_EVENTS` says otherwise.
const EVENTS: usize = 20_000;

pub(crate) async fn a_tenth_unroutable_and_nothing_is_misjudged(broker: &Broker) {
    let config = Config { channels: 4, ..config(&broker.rabbitmq.url(), "tenth") };
    let queue = config.queue.as_ref().unwrap().name.clone();
    let connector = Connector::new(config).unwrap();
    let events = std::env::var_os("VODBRIDGE_TEST_EVENTS")
        .map_or(EVENTS, |count| count.into_string().unwrap().parse().unwrap());
    let nowhere = Topic::new("nowhere.at.all").unwrap();
    let is_unroutable = |number: usize| number % 10 == 7;
    let publish = |number: usize| {
        let (connector, nowhere) = (&connector, &nowhere);
        async move {
            let event = event(&format!("n-{number}"), 200);
            let topic = if is_unroutable(number) { nowhere.clone() } else { topic() };
            (number, connector.publish(&event, &topic).await)
        }
    };
    let numbers: Range<usize> = 0..events;
    let answers: Vec<_> = stream::iter(numbers).map(publish).buffer_unordered(64).collect().await;
    let (mut acknowledged, mut told, mut false_ok, mut false_error) = (0, 0, 0, 0);
    for (number, answer) in &answers {
        match (is_unroutable(*number), answer) {
            (true, Ok(())) => false_ok += 1,
            (true, Err(PublishError::Unavailable(why))) if why.cause == Cause::Topology => {
                told += 1
            }
            (false, Ok(())) => acknowledged += 1,
            (_, Err(_)) => false_error += 1,
        }
    }
    let subscriber = Subscriber::connect(&broker.rabbitmq.url()).await;
    let there: HashSet<String> = subscriber.drain(&queue).await.iter().map(id).collect();
    let absent = answers
        .iter()
        .filter(|(number, answer)| answer.is_ok() && !there.contains(&format!("n-{number}")))
        .count();
    println!(
        "routing: 64 in flight, {events} events, a tenth unroutable: acknowledged {acknowledged}, \
         told to be unroutable {told}, unroutable and acknowledged {false_ok}, routable and failed \
         {false_error}, acknowledged but absent {absent}"
    );
    assert_eq!((false_ok, false_error, absent), (0, 0, 0));
    assert_eq!(acknowledged + told, events);
    connector.close().await;
}

pub(crate) async fn twins_in_one_batch_are_never_acknowledged_for_each_other(broker: &Broker) {
    // One channel, so that they share batches: two events of one id, one of them for nobody.
    let config = Config { channels: 1, ..config(&broker.rabbitmq.url(), "twins") };
    let connector = Arc::new(Connector::new(config).unwrap());
    let nowhere = Topic::new("nowhere.at.all").unwrap();
    let events: Vec<_> = (0..500).map(|n| event(&format!("twin-{}", n / 2), 200)).collect();
    let topic = topic();
    let answers = stream::iter(events.iter().enumerate())
        .map(|(number, event)| {
            let topic = if number % 2 == 0 { &topic } else { &nowhere };
            let connector = Arc::clone(&connector);
            async move { connector.publish(event, topic).await }
        })
        .buffered(500)
        .collect::<Vec<_>>()
        .await;
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer.is_ok(), number % 2 == 0, "{number}: {answer:?}");
    }
    connector.close().await;
}

pub(crate) async fn a_refused_topic_is_told_and_its_neighbours_are_not(broker: &Broker) {
    broker.user("topical", "", [".*", ".*", ".*"]).await;
    let permit = |write: &str| {
        broker.rabbitmq.ctl(&["set_topic_permissions", "topical", "vod-topical", write, ".*"]);
    };
    permit("^vod\\.NewFileUpload$");
    let config = config(&broker.rabbitmq.url(), "topical");
    let (user, password) = ("topical".to_owned(), Secret::fixed("secret"));
    // One channel, so that they are pending together.
    let connector = Connector::new(Config { user, password, channels: 1, ..config }).unwrap();
    let refused = Topic::new("vod.NewFileUploaded").unwrap();
    connector.publish(&event("first", 10), &topic()).await.unwrap();
    let (mut told, mut ended) = (0, 0);
    for round in 0..10 {
        let events: Vec<_> = (0..100).map(|n| event(&format!("{round}-{n}"), 200)).collect();
        let allowed = topic();
        let answers = stream::iter(events.iter().enumerate())
            .map(|(number, event)| {
                let is_refused = number % 10 == 3;
                let topic = if is_refused { &refused } else { &allowed };
                let answer = connector.publish(event, topic);
                async move { (is_refused, answer.await) }
            })
            .buffered(100)
            .collect::<Vec<_>>()
            .await;
        for (is_refused, answer) in answers {
            match (is_refused, answer) {
                (false, Ok(())) => {}
                (true, Err(PublishError::Unavailable(why))) if why.cause == Cause::Topology => {
                    assert!(
                        why.message.contains("publish to topic \"vod.NewFileUploaded\""),
                        "{why}"
                    );
                    assert!(why.advice.unwrap().contains("set_topic_permissions"));
                    told += 1;
                }
                (_, Err(PublishError::Unavailable(why))) if why.cause == Cause::Outage => {
                    ended += 1;
                }
                (_, answer) => panic!("refused {is_refused}: {answer:?}"),
            }
        }
    }
    println!("routing: {told} told that their topic is refused, {ended} that the channel ended");
    assert!(told > 0 && ended > 0);
    // As advised.
    permit("^vod\\.");
    connector.publish(&event("last", 10), &refused).await.unwrap();
    connector.close().await;
}

pub(crate) async fn a_lone_event_goes_out_at_once(broker: &Broker) {
    let connector = Connector::new(config(&broker.rabbitmq.url(), "lone")).unwrap();
    let topic = topic();
    publish_all(&connector, &[event("first", 10)], &topic).await.remove(0).unwrap();
    let mut taken = Vec::new();
    for number in 0..20 {
        let event = event(&format!("lone-{number}"), 200);
        let began = tokio::time::Instant::now();
        connector.publish(&event, &topic).await.unwrap();
        taken.push(began.elapsed());
    }
    taken.sort();
    println!("routing: a lone event takes {:?} (median of 20)", taken[10]);
    // A timer that lingers would show in every one of them.
    assert!(taken[0].as_millis() < 100, "{taken:?}");
    connector.close().await;
}
