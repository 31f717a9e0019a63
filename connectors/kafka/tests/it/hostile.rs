use std::time::Duration;

use brokers::Port;
use brokers::kafka::{Certificates, Flaw, Kafka, Setup};
use tokio::net::TcpListener;
use tokio::time::timeout;
use vodbridge_conformance::{event, publish_all};
use vodbridge_core::{Cause, Connector as _, Secret, Tls, Topic, Unavailable};
use vodbridge_kafka::{Config, Connector, Sasl};

use crate::support::{config, consume, eventually, header, publish, unavailable};

const USER: &str = "vodbridge";
const PASSWORD: &str = "correct-horse";

fn hasty(brokers: Vec<String>) -> Config {
    let mut config = config(brokers);
    config.publish_timeout = Duration::from_secs(4);
    config
}

/// What a publish and a check are told, both within the time that is set.
async fn told(config: Config) -> (Unavailable, Unavailable) {
    let within = config.publish_timeout;
    let connector = Connector::new(config).unwrap();
    let published = timeout(within, publish(&connector, "hostile", "vod.hostile")).await;
    let checked = timeout(Duration::from_secs(4), connector.check(&[])).await;
    connector.close().await;
    let published = unavailable(published.expect("answered in time"));
    (published, checked.expect("answered in time").expect_err("nobody good is there"))
}

fn assert_told(told: &(Unavailable, Unavailable), words: &str) {
    let (published, checked) = told;
    for why in [published, checked] {
        assert_eq!(why.cause, Cause::Outage, "{why:?}");
        assert!(why.message.contains(words), "{words}? {why:?}");
        assert!(why.advice.is_some(), "{why:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_address_is_told() {
    let port = Port::take();
    let nobody = hasty(vec![port.address()]);
    let nameless = hasty(vec!["no-such-host.invalid:9092".to_owned()]);
    let (nobody, nameless) = tokio::join!(told(nobody), told(nameless));
    assert_told(&nobody, "Connection refused");
    assert_told(&nameless, "Failed to resolve");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_never_answers_is_waited_for_no_longer_than_is_set() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = hasty(vec![silent.local_addr().unwrap().to_string()]);
    let (published, checked) = told(config).await;
    for why in [published, checked] {
        assert_eq!(why.cause, Cause::Outage, "{why:?}");
        assert!(why.advice.is_some(), "{why:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_right_certificate_and_login_are_let_in() {
    let good = Certificates::make(Flaw::None);
    let setup = Setup {
        users: vec![(USER, PASSWORD)],
        certificates: Some(good.clone()),
        ..Setup::default()
    };
    let kafka = Kafka::with(1, setup).await;
    let secure = kafka.secure_addresses();
    let password = || Secret::fixed(PASSWORD);
    let user = || USER.to_owned();
    let trusting = |certificates: &Certificates| {
        Some(Tls { ca_file: Some(certificates.ca_file()), identity: None })
    };
    let with = |brokers: Vec<String>, tls: Option<Tls>, sasl: Sasl| {
        let mut config = hasty(brokers);
        (config.tls, config.sasl) = (tls, Some(sasl));
        config
    };
    let plain = |password| Sasl::Plain { user: user(), password };

    let by_number = secure[0].replace("localhost", "127.0.0.1");
    let other_name = with(vec![by_number.clone()], trusting(&good), plain(password()));
    let stranger = Certificates::make(Flaw::None);
    let other_authority = with(secure.clone(), trusting(&stranger), plain(password()));
    let clear_text = with(secure.clone(), None, plain(password()));
    let mut wrong = with(secure.clone(), trusting(&good), plain(Secret::fixed("wrong")));
    // The refusal must come within the part of it that a publish waits for a topic.
    wrong.publish_timeout = Duration::from_secs(16);
    let (other_name, other_authority, clear_text, wrong) =
        tokio::join!(told(other_name), told(other_authority), told(clear_text), told(wrong));
    assert_told(&other_name, "certificate verify failed");
    assert_told(&other_authority, "certificate verify failed");
    assert_told(&clear_text, "do not answer");
    assert!(clear_text.0.advice.as_deref().unwrap().contains("speaks TLS"));
    assert_told(&wrong, "refuse the login");
    for why in [&wrong.0, &wrong.1] {
        let all = format!("{why:?}");
        assert!(all.contains(USER) && !all.contains("correct-horse"), "{all}");
    }

    // And the right ones are, by every mechanism; the name counts only if it should.
    let scram_256 = Sasl::ScramSha256 { user: user(), password: password() };
    let scram_512 = Sasl::ScramSha512 { user: user(), password: password() };
    let mut by_number = with(vec![by_number], trusting(&good), plain(password()));
    by_number.verify_hostname = false;
    for config in [
        with(secure.clone(), trusting(&good), plain(password())),
        with(secure.clone(), trusting(&good), scram_256),
        with(secure, trusting(&good), scram_512),
        by_number,
    ] {
        let connector = Connector::new(config).unwrap();
        publish(&connector, "let in", "vod.secure").await.unwrap();
        connector.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_told() {
    let expired = Certificates::make(Flaw::Expired);
    let setup = Setup { certificates: Some(expired.clone()), ..Setup::default() };
    let kafka = Kafka::with(1, setup).await;
    let mut config = hasty(kafka.secure_addresses());
    config.tls = Some(Tls { ca_file: Some(expired.ca_file()), identity: None });
    config.sasl = Some(Sasl::Plain { user: USER.to_owned(), password: Secret::fixed(PASSWORD) });
    assert_told(&told(config).await, "certificate verify failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_broker_is_answered_for_in_time_and_found_again() {
    let kafka = Kafka::start().await;
    let mut config = config(kafka.addresses());
    // So short that librdkafka, which looks once a second, is late with its own timeout.
    config.publish_timeout = Duration::from_secs(2);
    let connector = Connector::new(config).unwrap();
    eventually(async || publish(&connector, "warm", "vod.frozen").await, |a| a.is_ok())
        .await
        .unwrap();
    kafka.freeze(0);
    let topic = Topic::new("vod.frozen").unwrap();
    for round in 0..3 {
        let events: Vec<_> = (0..20).map(|n| event(&format!("frozen-{round}-{n}"), 100)).collect();
        let answers = publish_all(&connector, &events, &topic);
        let answers = timeout(Duration::from_secs(2), answers).await.expect("answered in time");
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
    }
    kafka.thaw(0);
    eventually(async || publish(&connector, "thawed", "vod.frozen").await, |a| a.is_ok())
        .await
        .unwrap();
    connector.close().await;
    let stored = consume(&kafka.addresses(), "vod.frozen").await;
    let ids: Vec<_> = stored.iter().filter_map(|record| header(record, "ce_id")).collect();
    assert!(ids.contains(&"thawed".to_owned()), "{ids:?}");
}

#[tokio::test]
async fn a_property_that_the_promise_owns_is_refused_by_name() {
    for (name, value) in [
        ("acks", "1"),
        ("request.required.acks", "0"),
        ("enable.idempotence", "false"),
        ("message.timeout.ms", "300000"),
        ("test.mock.num.brokers", "1"),
        ("sasl.password", "x"),
        ("delivery.report.only.error", "true"),
        ("no.such.property", "1"),
        ("socket.timeout.ms", "soon"),
    ] {
        let mut config = config(vec!["127.0.0.1:1".to_owned()]);
        config.properties.insert(name.to_owned(), value.to_owned());
        let error = Connector::new(config).unwrap_err().to_string();
        assert!(error.contains(name), "{name}: {error}");
    }
    let mut config = config(vec!["127.0.0.1:1".to_owned()]);
    config.properties.insert("partitioner".to_owned(), "murmur2_random".to_owned());
    Connector::new(config).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_cannot_be_read_is_told_and_waited_for() {
    let mut config = hasty(vec!["127.0.0.1:1".to_owned()]);
    let password = Secret::new(|| Err("/run/secrets/kafka: no such file".into()));
    config.sasl = Some(Sasl::Plain { user: USER.to_owned(), password });
    assert_told(&told(config).await, "/run/secrets/kafka: no such file");
}
