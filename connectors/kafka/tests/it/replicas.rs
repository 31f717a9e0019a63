use brokers::kafka::{Kafka, Setup};
use vodbridge_core::{Cause, Connector as _, Topic};
use vodbridge_kafka::Connector;

use crate::support::{config, eventually, make_topic_on, publish, setting, unavailable, word};

/// Three nodes are dear; they are started once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_in_sync_set_that_shrinks_turns_the_answers() {
    let mut kafka = Kafka::with(3, Setup::default()).await;
    let brokers = kafka.addresses();
    make_topic_on(&brokers, "vod.lenient", &[1, 3], &[("min.insync.replicas", "1")]).await;
    make_topic_on(&brokers, "vod.strict", &[1, 3], &[("min.insync.replicas", "2")]).await;
    let unclean = [("min.insync.replicas", "2"), ("unclean.leader.election.enable", "true")];
    make_topic_on(&brokers, "vod.unclean", &[1, 2, 3], &unclean).await;
    let flushing = [("min.insync.replicas", "2"), ("flush.messages", "1")];
    make_topic_on(&brokers, "vod.flushing", &[1, 2, 3], &flushing).await;
    let mut config = config(brokers.clone());
    config.topics.replication_factor = Some(3);
    let connector = Connector::new(config).unwrap();

    // Ours: three replicas, and what they need.
    publish(&connector, "healthy", "vod.made").await.unwrap();
    assert_eq!(setting(&brokers, "vod.made", "min.insync.replicas").await, "2");
    let names = ["vod.made", "vod.lenient", "vod.strict", "vod.unclean", "vod.flushing"];
    let topics = names.map(|name| Topic::new(name).unwrap());
    let ask = async || {
        let answers = connector.check(&topics).await;
        answers.map(|all| {
            let word = |one: &Result<_, _>| one.as_ref().map_or("-".to_owned(), word);
            all.iter().map(word).collect::<Vec<_>>()
        })
    };
    let is = |wanted: [&'static str; 5]| {
        move |answer: &Result<Vec<String>, _>| answer.as_ref().is_ok_and(|words| *words == wanted)
    };
    eventually(ask, is(["yyyn", "y??n", "yyyn", "y??n", "yyyy"])).await.unwrap();
    publish(&connector, "strict", "vod.strict").await.unwrap();

    kafka.kill(2);
    // Two of three still acknowledge; one of two is alone, or too few.
    eventually(ask, is(["yyyn", "ynnn", "-", "y??n", "yyyy"])).await.unwrap();
    publish(&connector, "two of three", "vod.made").await.unwrap();
    publish(&connector, "alone", "vod.lenient").await.unwrap();
    let too_few = unavailable(publish(&connector, "too few", "vod.strict").await);
    assert_eq!(too_few.cause, Cause::Outage);
    // The topic itself is asked now, and says why.
    let too_few = unavailable(publish(&connector, "too few", "vod.strict").await);
    assert_eq!(too_few.cause, Cause::Outage);
    assert!(too_few.message.contains("min.insync.replicas is 2"), "{too_few}");
    assert!(too_few.advice.is_some());

    kafka.restart(2).await;
    eventually(ask, is(["yyyn", "y??n", "yyyn", "y??n", "yyyy"])).await.unwrap();
    let answer = eventually(
        async || publish(&connector, "again", "vod.strict").await,
        |answer| answer.is_ok(),
    );
    answer.await.unwrap();
    connector.close().await;
}
