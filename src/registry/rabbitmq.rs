use std::sync::Arc;

use vodbridge_core as core;
use vodbridge_rabbitmq::{
    Config, Connector, HeaderPrefix, Management, Mechanism, Queue, QueueKind,
};

use super::common;
use crate::config::{self, LoginMechanism, RabbitMqConnector, Secret};

/// What a fresh RabbitMQ takes from its own machine.
const PASSWORD: &str = "guest";

pub(super) fn build(
    config: &RabbitMqConnector,
) -> Result<Arc<dyn core::Connector>, core::BoxError> {
    let password = config.password.as_ref();
    let queue = |queue: &config::Queue| Queue {
        name: queue.name.clone(),
        kind: match queue.kind {
            config::QueueKind::Quorum => QueueKind::Quorum,
            config::QueueKind::Classic => QueueKind::Classic,
        },
        length_max: queue.length_max,
    };
    let config = Config {
        urls: config.urls.clone(),
        user: config.user.clone(),
        password: password.map_or_else(|| core::Secret::fixed(PASSWORD), Secret::to_connector),
        mechanism: match config.mechanism {
            LoginMechanism::Plain => Mechanism::Plain,
            LoginMechanism::External => Mechanism::External,
        },
        tls: config.tls.as_ref().map(common::tls),
        client_id: config.client_id.clone(),
        publish_timeout: config.publish_timeout,
        exchange: config.exchange.clone(),
        queue: config.queue.0.as_ref().map(queue),
        channels: config.channels,
        batch_max: config.batch_max,
        in_flight: config.in_flight,
        in_flight_bytes: common::bytes(config.in_flight_bytes),
        message_bytes_max: common::bytes(config.message_max),
        content_mode: common::content_mode(config.mode),
        header_prefix: match config.header_prefix {
            config::HeaderPrefix::Ce => HeaderPrefix::Ce,
            config::HeaderPrefix::CloudEventsUnderscore => HeaderPrefix::CloudEventsUnderscore,
            config::HeaderPrefix::CloudEventsColon => HeaderPrefix::CloudEventsColon,
        },
        topology: common::provision(config.topology),
        management: config.management_url.as_ref().map(|url| Management {
            url: url.clone(),
            user: config.management_user.clone(),
            password: config.management_password.as_ref().map(Secret::to_connector),
        }),
    };
    Ok(Arc::new(Connector::new(config)?))
}
