//! Servers that are wrong, silent, away, slow.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use brokers::{Nats, NatsSettings, Port};
use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use vodbridge_core::Connector as _;
use vodbridge_core::{Cause, PublishError, Secret, Topic};
use vodbridge_nats::{Auth, Config};

use crate::support::{
    check, config, connector, jetstream, publish, read, unavailable, until_taken,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_listens_is_told_at_once() {
    let port = Port::take();
    let connector = connector(config(vec![format!("nats://{}", port.address())]));
    let began = Instant::now();
    let (text, advice) = unavailable(publish(&connector, "nobody").await, Cause::Outage);
    assert!(text.contains(&port.address()) && text.contains("refused"), "{text}");
    assert!(advice.contains("servers"), "{advice}");
    check(&connector).await.unwrap_err();
    // Known to be away: nobody waits for publish_timeout.
    for _ in 0..100 {
        unavailable(publish(&connector, "nobody").await, Cause::Outage);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    connector.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_resolved_and_an_address_that_is_none_are_told() {
    let away = connector(config(vec!["nats://nobody.invalid:4222".to_owned()]));
    let (text, advice) = unavailable(publish(&away, "name").await, Cause::Outage);
    assert!(text.contains("nobody.invalid:4222"), "{text}");
    assert!(!advice.is_empty());
    away.close().await;
    let bad = vodbridge_nats::Connector::new(config(vec!["nats://u:hunter2@[".to_owned()]));
    let why = bad.expect_err("this is no address").to_string();
    assert!(!why.contains("hunter2"), "{why}");
    let mut nameless = config(vec!["nats://127.0.0.1:4222".to_owned()]);
    nameless.stream.name = "VOD\r\nNats-Msg-Id: forged".to_owned();
    vodbridge_nats::Connector::new(nameless).expect_err("this is no name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_never_answers_is_given_up_within_publish_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let publish_timeout = Duration::from_secs(2);
    let connector = connector(Config { publish_timeout, ..config(vec![url]) });
    let answers = join_all((0..10).map(|_| publish(&connector, "silent")));
    let answers = timeout(publish_timeout * 2, answers).await.expect("in time, all at once");
    for answer in answers {
        unavailable(answer, Cause::Outage);
    }
    check(&connector).await.unwrap_err();
    timeout(Duration::from_secs(8), connector.close()).await.expect("closing ends");
    drop(listener);
}

/// Frozen for longer than the time that a publish has. What the server had received when it was
/// frozen may be stored when it goes on; what was never written is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_gets_nothing_after_the_answer() {
    let nats = Nats::start(NatsSettings::default()).await;
    let publish_timeout = Duration::from_secs(2);
    let connector =
        connector(Config { publish_timeout, in_flight: 10_000, ..config(vec![nats.url()]) });
    publish(&connector, "before").await.unwrap();
    nats.freeze().await;
    let began = Instant::now();
    // More than the buffers of the two sockets between us hold.
    let large: Vec<_> =
        (0..60).map(|n| vodbridge_conformance::event(&format!("large-{n}"), 1_000_000)).collect();
    let answers =
        join_all(large.iter().map(|event| crate::support::publish_event(&connector, event))).await;
    for answer in answers {
        unavailable(answer, Cause::Outage);
    }
    assert!(began.elapsed() < publish_timeout + Duration::from_secs(1), "{:?}", began.elapsed());
    nats.thaw();
    until_taken(&connector, "after").await;
    connector.close().await;
    // Whatever was still to be sent has been.
    until_alone(&nats).await;
    let stored = read(&jetstream(&nats.url()).await, "VOD").await;
    let late = stored.iter().filter(|message| message.payload.len() > 100_000).count();
    assert!(late < large.len() / 2, "{late} of {} were sent after their answer", large.len());
}

/// Nothing that failed while the server was away is sent when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_for_later() {
    let mut nats = Nats::start(NatsSettings::default()).await;
    let connector = connector(config(vec![nats.url()]));
    publish(&connector, "before").await.unwrap();
    nats.kill();
    let failed = join_all((0..200).map(|n| {
        let id = format!("away-{n}");
        let connector = &connector;
        async move { publish(connector, &id).await }
    }));
    assert!(failed.await.iter().all(Result::is_err), "acknowledged by a server that is gone");
    nats.restart().await;
    until_taken(&connector, "after").await;
    connector.close().await;
    until_alone(&nats).await;
    assert_eq!(read(&jetstream(&nats.url()).await, "VOD").await.len(), 2);
}

/// A connection that ends answers everything that was under way on it, long before its time.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_when_the_server_is_killed_is_answered_at_once() {
    let mut nats = Nats::start(NatsSettings::default()).await;
    let publish_timeout = Duration::from_secs(60);
    let connector = connector(Config { publish_timeout, ..config(vec![nats.url()]) });
    publish(&connector, "before").await.unwrap();
    nats.freeze().await;
    let publishes = join_all((0..100).map(|_| publish(&connector, "under way")));
    let kill = async {
        // They are on their way; how many were written before does not matter.
        sleep(Duration::from_millis(100)).await;
        nats.kill();
    };
    let began = Instant::now();
    let (answers, ()) = tokio::join!(publishes, kill);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for answer in answers {
        unavailable(answer, Cause::Outage);
    }
    connector.close().await;
}

/// A publish that is never answered stays in the client for ever, so that the client is built anew
/// when there are too many of them. The stream never answers what the server does not let through.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_without_an_answer_end_the_connection() {
    let users = r#"authorization { users: [
        { user: operator, password: o }
        { user: reader, password: r, permissions: { publish: ["$JS.API.>"] } }
    ] }"#;
    let settings = NatsSettings { extra: users.to_owned(), ..NatsSettings::default() };
    let nats = Nats::start(settings).await;
    let password = Secret::fixed("r");
    let connector = connector(Config {
        auth: Auth::User { user: "reader".to_owned(), password },
        // The client drops some of what the server tells by itself when much comes at once.
        publish_timeout: Duration::from_secs(1),
        ..config(vec![nats.url()])
    });
    for _ in 0..100 {
        let answers = join_all((0..100).map(|_| publish(&connector, "denied"))).await;
        assert!(answers.iter().all(Result::is_err), "acknowledged without the right to publish");
    }
    assert_eq!(varz(&nats).await.total_connections, 1);
    let anew = async {
        while varz(&nats).await.total_connections == 1 {
            publish(&connector, "denied").await.unwrap_err();
        }
    };
    timeout(Duration::from_secs(10), anew).await.expect("one more is one too many");
    connector.close().await;
}

/// Waits until nobody is connected to the server any more.
async fn until_alone(nats: &Nats) {
    let alone = async {
        while varz(nats).await.connections > 0 {
            // The server tells when it is asked.
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), alone).await.expect("a closed connector leaves");
}

/// What the server's monitoring says of its connections.
#[derive(serde::Deserialize)]
struct Varz {
    /// Those that there are.
    connections: u64,
    /// Those that there have been.
    total_connections: u64,
    /// Messages that came in.
    in_msgs: u64,
}

async fn varz(nats: &Nats) -> Varz {
    let address = nats.monitoring_url();
    let asked = tokio::task::spawn_blocking(move || ask_varz(&address));
    asked.await.expect("the monitoring address answers")
}

fn blocking_varz(nats: &Nats) -> Varz {
    ask_varz(&nats.monitoring_url())
}

fn ask_varz(url: &str) -> Varz {
    let mut server =
        TcpStream::connect(url.trim_start_matches("http://")).expect("somebody listens");
    server.write_all(b"GET /varz HTTP/1.0\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).expect("it answers");
    let body = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let body = body.expect("an answer has a head") + 4;
    serde_json::from_slice(&answer[body..]).expect("its body is JSON")
}

/// A connector that is dropped or whose caller goes away leaves no publish without an end.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_gives_its_room_back() {
    let nats = Nats::start(NatsSettings::default()).await;
    let publish_timeout = Duration::from_secs(60);
    let small = Config { in_flight: 2, publish_timeout, ..config(vec![nats.url()]) };
    let connector = connector(small);
    publish(&connector, "before").await.unwrap();
    nats.freeze().await;
    for _ in 0..5 {
        let patience = Duration::from_millis(20);
        assert!(timeout(patience, publish(&connector, "impatient")).await.is_err());
    }
    nats.thaw();
    for n in 0..5 {
        publish(&connector, &format!("patient-{n}")).await.unwrap();
    }
    connector.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_there_is_room_for_waits_and_is_taken() {
    let nats = Nats::start(NatsSettings::default()).await;
    // A message is larger than all the room that there is, and takes all of it.
    let small = Config { in_flight: 3, in_flight_bytes: 500, ..config(vec![nats.url()]) };
    let connector = connector(small);
    let answers: Vec<Result<(), PublishError>> = join_all((0..200).map(|n| {
        let id = format!("waits-{n}");
        let connector = &connector;
        async move { publish(connector, &id).await }
    }))
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(read(&jetstream(&nats.url()).await, "VOD").await.len(), 200);
    connector.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_server_is_taken_when_the_first_is_away() {
    let port = Port::take();
    let nats = Nats::start(NatsSettings::default()).await;
    let away = format!("nats://{}", port.address());
    for servers in [vec![away.clone(), nats.url()], vec![nats.url(), away]] {
        let connector = connector(config(servers));
        publish(&connector, "second").await.unwrap();
        connector.close().await;
    }
}

/// Long before it closes the connection it has ended its JetStream.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_about_to_leave_is_left() {
    let leaving = Nats::start(NatsSettings::default()).await;
    let staying = Nats::start(NatsSettings::default()).await;
    let connector = connector(config(vec![leaving.url(), staying.url()]));
    publish(&connector, "before").await.unwrap();
    assert_eq!(read(&jetstream(&leaving.url()).await, "VOD").await.len(), 1);
    leaving.leave();
    let began = Instant::now();
    let stayed = jetstream(&staying.url()).await;
    let moved = async {
        let mut number = 0;
        while read(&stayed, "VOD").await.is_empty() {
            let answer = publish(&connector, &format!("after-{number}")).await;
            assert!(!matches!(answer, Err(PublishError::Refused(_))), "{answer:?}");
            number += 1;
        }
    };
    timeout(Duration::from_secs(20), moved).await.expect("the other one takes events");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    connector.close().await;
}

/// The client drops some of what the server says by itself when there is much of it, and what it
/// says of the connection's end is among it. On one thread that is held up, until all of it comes
/// at once.
#[tokio::test]
async fn a_flood_of_denials_does_not_hide_the_end_of_a_connection() {
    let users = r#"authorization { users: [
        { user: bridge, password: b, permissions: { publish: ["$JS.API.>", "vod.NewFileUpload"] } }
    ] }"#;
    let settings = NatsSettings { extra: users.to_owned(), ..NatsSettings::default() };
    let mut nats = Nats::start(settings).await;
    let connector = connector(Config {
        auth: Auth::User { user: "bridge".to_owned(), password: Secret::fixed("b") },
        publish_timeout: Duration::from_secs(2),
        ..config(vec![nats.url()])
    });
    publish(&connector, "before").await.unwrap();
    let denied = Topic::new("vod.Denied").unwrap();
    let event = vodbridge_conformance::event("denied", 100);
    let flood = join_all((0..500).map(|_| connector.publish(&event, &denied)));
    let kill = async {
        // The client writes what it was given.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        // Nobody reads while this thread waits for the server to have read.
        let began = Instant::now();
        while blocking_varz(&nats).in_msgs < 300 {
            assert!(began.elapsed() < Duration::from_secs(10), "{}", nats.printed());
        }
        nats.kill();
    };
    let (answers, ()) = tokio::join!(flood, kill);
    assert!(answers.iter().all(Result::is_err), "acknowledged without the right to publish");
    nats.restart().await;
    until_taken(&connector, "after").await;
    connector.close().await;
}

/// A server without JetStream takes a core publish and says nothing; we do not even ask it to.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream_is_topology_to_repair() {
    let extra = "accounts { A: { users: [ { user: a, password: a } ] } }\nno_auth_user: a";
    let settings = NatsSettings { extra: extra.to_owned(), ..NatsSettings::default() };
    let nats = Nats::start(settings).await;
    let connector = connector(config(vec![nats.url()]));
    let (text, advice) = unavailable(publish(&connector, "core").await, Cause::Topology);
    assert!(text.contains("JetStream is not enabled"), "{text}");
    assert!(advice.contains("jetstream"), "{advice}");
    connector.close().await;
}
