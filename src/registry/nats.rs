use std::sync::Arc;

use vodbridge_core as core;
use vodbridge_nats::{Accept, Auth, Config, Connector, Stream};

use super::common;
use crate::config::{self, NatsConnector, Secret};

pub(super) fn build(config: &NatsConnector) -> Result<Arc<dyn core::Connector>, core::BoxError> {
    let accept = |accept: &config::Accept| match accept {
        config::Accept::MemoryStorage => Accept::MemoryStorage,
        config::Accept::AsyncPersistence => Accept::AsyncPersistence,
        config::Accept::InterestRetention => Accept::InterestRetention,
    };
    let config = Config {
        servers: config.servers.clone(),
        client_id: config.client_id.clone(),
        auth: auth(config),
        tls: config.tls.as_ref().map(common::tls),
        tls_first: config.tls_first,
        publish_timeout: config.publish_timeout,
        stream: Stream {
            name: config.stream.clone(),
            subjects: config.subjects.clone(),
            replicas: config.replicas,
            max_age: config.max_age,
            max_bytes: config.max_bytes.map(config::Size::bytes),
            duplicate_window: config.duplicate_window,
        },
        in_flight: config.in_flight,
        in_flight_bytes: common::bytes(config.in_flight_bytes),
        content_mode: common::content_mode(config.mode),
        topology: common::provision(config.topology),
        accept: config.accept.iter().map(accept).collect(),
        monitoring_url: config.monitoring_url.clone(),
    };
    Ok(Arc::new(Connector::new(config)?))
}

/// At most one way is there: the configuration was checked.
fn auth(config: &NatsConnector) -> Auth {
    let secret = |secret: &Secret| secret.to_connector();
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        Auth::User { user: user.clone(), password: password.to_connector() }
    } else if let Some(token) = &config.token {
        Auth::Token(secret(token))
    } else if let Some(seed) = &config.nkey_seed {
        Auth::Nkey(secret(seed))
    } else if let Some(file) = &config.credentials_file {
        Auth::Credentials(file.clone())
    } else {
        Auth::None
    }
}
