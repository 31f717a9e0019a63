//! Streams that are made, fit, unfit, full, gone.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType,
};
use brokers::{Nats, NatsSettings};
use vodbridge_conformance::{event, topic};
use vodbridge_core::Connector as _;
use vodbridge_core::{Cause, Provision, PublishError, Survives, Topic};
use vodbridge_nats::{Accept, Config};

use crate::support::{
    check, config, connector, jetstream, publish, publish_event, read, stream, told, unavailable,
    until_taken,
};

async fn server() -> (Nats, Context) {
    let nats = Nats::start(NatsSettings::default()).await;
    let operator = jetstream(&nats.url()).await;
    // With its last stream the server also removes the folder of them all, some time later, and
    // whoever makes a stream at that moment fails.
    let bystander = operator.create_stream(stream("BYSTANDER", &["bystander.>"])).await;
    bystander.expect("a stream can be made");
    (nats, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_is_made_as_configured_and_left_alone_when_it_is_there() {
    let (nats, operator) = server().await;
    let mut wanted = config(vec![nats.url()]);
    wanted.stream.max_age = Some(Duration::from_secs(3600));
    wanted.stream.max_bytes = Some(1 << 20);
    let maker = connector(wanted);
    publish(&maker, "first").await.unwrap();
    let made = operator.get_stream("VOD").await.unwrap().cached_info().config.clone();
    assert_eq!(made.subjects, ["vod.>"]);
    assert_eq!(made.storage, StorageType::File);
    assert_eq!(made.retention, RetentionPolicy::Limits);
    assert_eq!(made.max_age, Duration::from_secs(3600));
    assert_eq!(made.max_bytes, 1 << 20);
    assert_eq!(made.duplicate_window, Duration::from_secs(120));

    // Kept for less time than it would be known again.
    let mut short = config(vec![nats.url()]);
    short.stream.name = "SHORT".to_owned();
    short.stream.subjects = vec!["short.>".to_owned()];
    short.stream.max_age = Some(Duration::from_secs(30));
    let short = connector(short);
    short.publish(&event("short", 100), &Topic::new("short.x").unwrap()).await.unwrap();
    short.close().await;

    let other = connector(config(vec![nats.url()]));
    publish(&other, "second").await.unwrap();
    let still = operator.get_stream("VOD").await.unwrap().cached_info().config.clone();
    assert_eq!(still, made);
    maker.close().await;
    other.close().await;
}

/// Refused unless it is accepted by name; each on one server, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_acknowledgement_may_mean_nothing_takes_nothing() {
    let (nats, operator) = server().await;
    let good = || stream("", &["vod.>"]);
    let cases: [(StreamConfig, &str, Option<Accept>); 5] = [
        (StreamConfig { no_ack: true, ..good() }, "no_ack", None),
        (
            StreamConfig { storage: StorageType::Memory, ..good() },
            "in memory",
            Some(Accept::MemoryStorage),
        ),
        (
            StreamConfig { persist_mode: Some(PersistenceMode::Async), ..good() },
            "persist_mode async",
            Some(Accept::AsyncPersistence),
        ),
        (
            StreamConfig { retention: RetentionPolicy::Interest, ..good() },
            "no consumer wants",
            Some(Accept::InterestRetention),
        ),
        (StreamConfig { subjects: vec!["other.>".into()], ..good() }, "no stream takes", None),
    ];
    for (number, (mut unfit, word, accept)) in cases.into_iter().enumerate() {
        // A name may be taken again only some time after its stream was deleted.
        unfit.name = format!("VOD-{number}");
        let mut config = config(vec![nats.url()]);
        config.stream.name.clone_from(&unfit.name);
        let made = operator.create_stream(unfit).await;
        made.unwrap_or_else(|error| panic!("{word}: {error}\n{}", nats.printed()));
        let strict = connector(config.clone());
        let (text, advice) = unavailable(publish(&strict, word).await, Cause::Topology);
        assert!(text.contains(word), "{text}");
        assert!(!advice.is_empty(), "{text}");
        let why = check(&strict).await.expect_err("it is unfit");
        assert_eq!(why.cause, Cause::Topology);
        assert!(told(&why).0.contains(word), "{why:?}");
        // The broker itself is well.
        strict.check(&[]).await.unwrap();
        strict.close().await;
        if let Some(accept) = accept {
            let lax = connector(Config { accept: vec![accept], ..config.clone() });
            publish(&lax, word).await.unwrap();
            assert_eq!(check(&lax).await.unwrap().process.survives, Survives::No, "{word}");
            lax.close().await;
        }
        operator.delete_stream(&config.stream.name).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_interest_takes_what_a_consumer_wants_and_nothing_else() {
    let (nats, operator) = server().await;
    let interest =
        StreamConfig { retention: RetentionPolicy::Interest, ..stream("VOD", &["vod.>"]) };
    let made = operator.create_stream(interest).await.unwrap();
    let consumer = pull::Config {
        durable_name: Some("uploads".into()),
        filter_subject: topic().as_str().into(),
        ..pull::Config::default()
    };
    made.create_consumer(consumer).await.unwrap();
    let connector = connector(config(vec![nats.url()]));
    publish(&connector, "wanted").await.unwrap();
    let other = Topic::new("vod.FileDeleted").unwrap();
    let answer = connector.publish(&event("unwanted", 100), &other).await;
    assert!(unavailable(answer, Cause::Topology).0.contains("no consumer wants"));
    let answers = connector.check(&[topic(), other]).await.unwrap();
    assert!(answers[0].is_ok() && answers[1].is_err(), "{answers:?}");

    // The consumer goes: the next look at the stream sees it.
    made.delete_consumer("uploads").await.unwrap();
    check(&connector).await.unwrap_err();
    let answer = publish(&connector, "too late").await;
    assert!(unavailable(answer, Cause::Topology).0.contains("no consumer wants"));
    connector.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_told_with_the_command_that_makes_it() {
    let (nats, operator) = server().await;
    let verifying = connector(Config { topology: Provision::Verify, ..config(vec![nats.url()]) });
    let (text, advice) = unavailable(publish(&verifying, "early").await, Cause::Topology);
    assert!(text.contains("there is no stream VOD"), "{text}");
    assert!(advice.starts_with("nats stream add VOD --subjects 'vod.>'"), "{advice}");
    operator.create_stream(stream("VOD", &["vod.>"])).await.unwrap();
    until_taken(&verifying, "early").await;

    // Gone while the connection stands: nobody answers, and it is looked at again.
    operator.delete_stream("VOD").await.unwrap();
    let (text, _) = unavailable(publish(&verifying, "gone").await, Cause::Topology);
    assert!(text.contains("there is no stream VOD"), "{text}");
    operator.create_stream(stream("VOD", &["vod.>"])).await.unwrap();
    until_taken(&verifying, "gone").await;
    assert_eq!(read(&operator, "VOD").await.len(), 1);
    verifying.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_is_made_again() {
    let (nats, operator) = server().await;
    let connector = connector(config(vec![nats.url()]));
    publish(&connector, "before").await.unwrap();
    operator.delete_stream("VOD").await.unwrap();
    until_taken(&connector, "after").await;
    assert_eq!(read(&operator, "VOD").await.len(), 1);
    connector.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_of_another_stream_is_told_from_a_missing_one() {
    let (nats, operator) = server().await;
    operator.create_stream(stream("OTHER", &["vod.NewFileUpload"])).await.unwrap();
    // Ours cannot be made beside it.
    let making = connector(config(vec![nats.url()]));
    let (text, advice) = unavailable(publish(&making, "a").await, Cause::Topology);
    assert!(text.contains("another stream covers"), "{text}");
    assert!(!advice.is_empty());
    making.close().await;

    // It covered the subject when it was looked at; then another one took it over.
    operator.delete_stream("OTHER").await.unwrap();
    operator.create_stream(stream("VOD", &["vod.>"])).await.unwrap();
    let verifying = connector(Config { topology: Provision::Verify, ..config(vec![nats.url()]) });
    publish(&verifying, "b").await.unwrap();
    operator.update_stream(stream("VOD", &["vod.less.>"])).await.unwrap();
    operator.create_stream(stream("OTHER", &["vod.NewFileUpload"])).await.unwrap();
    let (text, _) = unavailable(publish(&verifying, "c").await, Cause::Topology);
    assert!(text.contains("belongs to another stream"), "{text}");
    assert_eq!(read(&operator, "OTHER").await.len(), 0);
    let why = check(&verifying).await.unwrap_err();
    assert!(told(&why).1.contains("nats stream edit VOD --subjects"), "{why:?}");
    verifying.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_is_an_outage_and_a_message_too_large_for_it_is_refused() {
    let (nats, operator) = server().await;
    let full = StreamConfig {
        max_messages: 2,
        discard: DiscardPolicy::New,
        max_message_size: 10_000,
        ..stream("VOD", &["vod.>"])
    };
    operator.create_stream(full).await.unwrap();
    let connector = connector(config(vec![nats.url()]));
    let too_large = publish_event(&connector, &event("large", 20_000)).await;
    assert!(matches!(too_large, Err(PublishError::Refused(_))), "{too_large:?}");
    publish(&connector, "1").await.unwrap();
    publish(&connector, "2").await.unwrap();
    let (text, advice) = unavailable(publish(&connector, "3").await, Cause::Outage);
    assert!(text.contains("is full") && text.contains("maximum messages exceeded"), "{text}");
    assert!(advice.contains("nats stream edit VOD"), "{advice}");
    operator.get_stream("VOD").await.unwrap().purge().await.unwrap();
    until_taken(&connector, "3").await;
    connector.close().await;
}

/// The whole message counts, headers included: to the byte.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_message_is_taken_and_one_byte_more_is_refused() {
    let (nats, operator) = server().await;
    let connector = connector(config(vec![nats.url()]));
    let (mut taken, mut refused) = (0_usize, 1 << 20);
    // The event's id must stay as long as it is.
    while refused - taken > 1 {
        let bytes = taken.midpoint(refused);
        let answer = publish_event(&connector, &event(&format!("{bytes:08}"), bytes)).await;
        match answer {
            Ok(()) => taken = bytes,
            Err(PublishError::Refused(why)) => {
                assert!(why.to_string().contains("max_payload"), "{why}");
                refused = bytes;
            }
            Err(PublishError::Unavailable(why)) => panic!("{why:?}"),
        }
    }
    let stored = read(&operator, "VOD").await;
    let largest = stored.iter().map(|message| message.payload.len()).max();
    assert_eq!(largest, Some(taken));
    connector.close().await;
}
