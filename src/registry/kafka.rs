use std::sync::Arc;

use vodbridge_core as core;
use vodbridge_kafka::{Compression, Config, Connector, Idempotence, Sasl, TokenEndpoint, Topics};

use super::common;
use crate::config::{self, KafkaConnector, SaslMechanism, Secret};

pub(super) fn build(config: &KafkaConnector) -> Result<Arc<dyn core::Connector>, core::BoxError> {
    let config = Config {
        brokers: config.brokers.clone(),
        client_id: config.client_id.clone(),
        publish_timeout: config.publish_timeout,
        idempotence: match config.idempotence {
            config::Idempotence::Auto => Idempotence::Auto,
            config::Idempotence::On => Idempotence::On,
            config::Idempotence::Off => Idempotence::Off,
        },
        linger: config.linger,
        compression: match config.compression {
            config::Compression::None => Compression::None,
            config::Compression::Gzip => Compression::Gzip,
            config::Compression::Snappy => Compression::Snappy,
            config::Compression::Lz4 => Compression::Lz4,
            config::Compression::Zstd => Compression::Zstd,
        },
        message_bytes_max: common::bytes(config.message_max),
        in_flight: config.in_flight,
        in_flight_bytes: common::bytes(config.in_flight_bytes),
        content_mode: common::content_mode(config.mode),
        topology: common::provision(config.topology),
        topics: Topics {
            partitions: config.partitions,
            replication_factor: config.replication_factor,
            made_max: config.topics_max,
        },
        sasl: config.sasl.as_ref().map(sasl),
        tls: config.tls.as_ref().map(common::tls),
        verify_hostname: config.tls.as_ref().is_none_or(|tls| tls.verify_hostname),
        properties: config.properties.clone(),
    };
    Ok(Arc::new(Connector::new(config)?))
}

/// What a mechanism needs is there: the configuration was checked.
fn sasl(sasl: &config::Sasl) -> Sasl {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let secret = |secret: &Option<Secret>| {
        secret.as_ref().map_or_else(|| core::Secret::fixed(""), Secret::to_connector)
    };
    let (user, password) = (text(&sasl.user), secret(&sasl.password));
    match sasl.mechanism {
        SaslMechanism::Plain => Sasl::Plain { user, password },
        SaslMechanism::ScramSha256 => Sasl::ScramSha256 { user, password },
        SaslMechanism::ScramSha512 => Sasl::ScramSha512 { user, password },
        SaslMechanism::OAuthBearer => Sasl::OAuthBearer(TokenEndpoint {
            url: text(&sasl.token_url),
            client_id: text(&sasl.client_id),
            client_secret: secret(&sasl.client_secret),
            scope: sasl.scope.clone(),
            extensions: sasl.extensions.clone(),
        }),
    }
}
