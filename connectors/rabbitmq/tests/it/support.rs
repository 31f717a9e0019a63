use std::sync::Once;
use std::time::Duration;

use lapin::message::Delivery;
use tokio::time::{sleep, timeout};
use vodbridge_conformance::topic;
use vodbridge_core::{Connector as _, ContentMode, Event, Provision, PublishError, Secret};
use vodbridge_rabbitmq::{
    Config, Connector, HeaderPrefix, Management, Mechanism, Queue, QueueKind,
};

use crate::one_broker::Broker;

/// A configuration for the user `guest`, with an exchange and a queue named after `name`.
pub(crate) fn config(url: &str, name: &str) -> Config {
    install_crypto();
    Config {
        urls: vec![url.to_owned()],
        user: "guest".to_owned(),
        password: Secret::fixed("guest"),
        mechanism: Mechanism::Plain,
        tls: None,
        client_id: "vodbridge-test".to_owned(),
        publish_timeout: Duration::from_secs(20),
        exchange: format!("vod-{name}"),
        queue: Some(Queue {
            name: format!("vod.events-{name}"),
            kind: QueueKind::Quorum,
            length_max: None,
        }),
        channels: 2,
        batch_max: 500,
        in_flight: 10_000,
        in_flight_bytes: 256 << 20,
        message_bytes_max: 1 << 20,
        content_mode: ContentMode::Binary,
        header_prefix: HeaderPrefix::Ce,
        topology: Provision::Create,
        management: None,
    }
}

/// As the bridge's `main` does.
pub(crate) fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
}

/// With the management API of the broker, as `guest`.
pub(crate) fn with_management(config: Config, broker: &Broker) -> Config {
    let url = broker.rabbitmq.management_url();
    let management = Some(Management { url, user: None, password: None });
    Config { management, ..config }
}

/// Publishes one event again and again until it is taken, as a route does.
pub(crate) async fn until_taken(connector: &Connector, event: &Event) {
    let mut last = None;
    let taking = async {
        let mut wait = Duration::from_millis(10);
        while let Err(answer) = connector.publish(event, &topic()).await {
            assert!(matches!(answer, PublishError::Unavailable(_)), "{answer:?}");
            last = Some(answer);
            sleep(wait).await;
            wait = (wait * 2).min(Duration::from_millis(500));
        }
    };
    let taken = timeout(Duration::from_secs(30), taking).await;
    taken.unwrap_or_else(|_| panic!("what is repaired is found, and not {last:?}"));
}

/// The CloudEvents `id` of a message in binary mode.
pub(crate) fn id(message: &Delivery) -> String {
    let headers = message.properties.headers().as_ref().unwrap();
    headers.inner()["ce-id"].as_long_string().unwrap().to_string()
}
