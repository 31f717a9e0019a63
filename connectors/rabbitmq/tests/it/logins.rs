use std::time::Duration;

use vodbridge_conformance::{event, topic};
use vodbridge_core::{Connector as _, Secret, Unavailable};
use vodbridge_rabbitmq::{Config, Connector, Mechanism};

use crate::one_broker::Broker;
use crate::support::config;

pub(crate) async fn the_virtual_host_and_the_user_are_named_when_refused(broker: &Broker) {
    let url = format!("{}/nowhere", broker.rabbitmq.url());
    let why = refused(config(&url, "vhost")).await;
    assert!(why.message.contains("refuses the virtual host \"nowhere\""), "{why}");
    assert!(why.advice.unwrap().contains("add_vhost nowhere"));

    let mut wrong = config(&broker.rabbitmq.url(), "user");
    wrong.password = Secret::fixed("hunter2");
    let why = refused(wrong).await;
    assert!(why.message.contains("refuses the user \"guest\" or its password"), "{why}");
    let everything = format!("{why:?} {why}");
    assert!(!everything.contains("hunter2"), "{everything}");

    let mut gone = config(&broker.rabbitmq.url(), "gone");
    gone.password = Secret::new(|| Err("no such file".into()));
    let why = refused(gone).await;
    assert!(why.message.contains("password for RabbitMQ cannot be read"), "{why}");
}

pub(crate) async fn tls_with_our_own_authority_publishes(broker: &Broker) {
    let tls = Some(broker.certificates.tls(None));
    let config = Config { tls, ..config(&broker.rabbitmq.tls_url(), "tls") };
    let connector = Connector::new(config).unwrap();
    connector.publish(&event("over-tls", 100), &topic()).await.unwrap();
    connector.close().await;
}

pub(crate) async fn the_client_certificate_logs_in(broker: &Broker) {
    broker.user("bridge", "", [".*", ".*", ".*"]).await;
    let external = |name: &str, identity: Option<&str>| {
        let tls = Some(broker.certificates.tls(identity));
        let mechanism = Mechanism::External;
        let password = Secret::fixed("not asked for");
        Config { tls, mechanism, password, ..config(&broker.rabbitmq.tls_url(), name) }
    };
    let connector = Connector::new(external("external", Some("bridge"))).unwrap();
    connector.publish(&event("by-certificate", 100), &topic()).await.unwrap();
    connector.close().await;
    // A certificate whose name is no user's, and none.
    for identity in [Some("stranger"), None] {
        let why = refused(external("external-no", identity)).await;
        assert!(why.message.contains("refuses the client certificate"), "{why:?}");
    }
}

pub(crate) async fn the_second_address_is_used_when_the_first_is_away(broker: &Broker) {
    let mut config = config(&broker.rabbitmq.url(), "second");
    config.urls.insert(0, "amqp://127.0.0.1:1".to_owned());
    let connector = Connector::new(config).unwrap();
    connector.publish(&event("to-the-second", 100), &topic()).await.unwrap();
    connector.close().await;
}

/// What the connector says of a connection that cannot be made, by publishing and by checking.
pub(crate) async fn refused(config: Config) -> Unavailable {
    let config = Config { publish_timeout: Duration::from_secs(15), ..config };
    let connector = Connector::new(config).unwrap();
    let answer = connector.publish(&event("nowhere", 100), &topic()).await;
    let Err(vodbridge_core::PublishError::Unavailable(published)) = answer else {
        panic!("{answer:?}")
    };
    let checked = connector.check(&[]).await.expect_err("there is no connection");
    assert_eq!(published.message, checked.message);
    assert!(checked.advice.is_some(), "{checked:?}");
    connector.close().await;
    checked
}
