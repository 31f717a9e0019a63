//! One address of the broker, with what it takes to log in there.

use std::fmt;
use std::str::FromStr;

use lapin::ConnectionProperties;
use lapin::uri::{AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};
use vodbridge_core::{BoxError, Unavailable};

use crate::{Config, Mechanism};

/// How often both sides show that they live, in seconds, where the address does not say: a broker
/// that stands still is noticed within twice that, also when no event is under way.
const HEARTBEAT_SECS: u16 = 10;

/// An address that can be connected to. It holds no secret; [`uri`](Endpoint::uri) does.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    uri: AMQPUri,
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads `amqp://host:port/vhost` or `amqps://`.
    ///
    /// # Errors
    ///
    /// What is no such address, or one with a user in it. The address is not repeated: it may hold
    /// a password.
    pub(crate) fn parse(url: &str) -> Result<Self, BoxError> {
        let mut uri = AMQPUri::from_str(url)
            .map_err(|why| format!("a RabbitMQ address is no amqp:// or amqps:// URL: {why}"))?;
        if url.split_once("://").is_some_and(|(_, rest)| {
            rest.split(['/', '?']).next().is_some_and(|authority| authority.contains('@'))
        }) {
            return Err("a RabbitMQ address holds a user or a password; they are settings".into());
        }
        uri.authority.userinfo = AMQPUserInfo { username: String::new(), password: String::new() };
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
        Ok(Self { uri })
    }

    pub(crate) fn host(&self) -> &str {
        &self.uri.authority.host
    }

    pub(crate) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.uri.scheme, AMQPScheme::AMQPS)
    }

    /// The address with the user and the password of now.
    ///
    /// # Errors
    ///
    /// When there is no password to be had.
    pub(crate) fn uri(&self, config: &Config) -> Result<AMQPUri, Unavailable> {
        let mut uri = self.uri.clone();
        match config.mechanism {
            Mechanism::Plain => {
                let password = config.password.read_text().map_err(|why| {
                    Unavailable::outage("the password for RabbitMQ cannot be read")
                        .advise("see that the file or variable it is read from is there")
                        .caused_by(why)
                })?;
                uri.query.auth_mechanism = Some(SASLMechanism::Plain);
                uri.authority.userinfo = AMQPUserInfo { username: config.user.clone(), password };
            }
            Mechanism::External => uri.query.auth_mechanism = Some(SASLMechanism::External),
        }
        Ok(uri)
    }
}

/// What the connection is called where the broker lists it.
pub(crate) fn properties(config: &Config) -> ConnectionProperties {
    ConnectionProperties::default()
        .with_connection_name(config.client_id.as_str().into())
        .with_client_property("product".into(), "vodbridge".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
}

/// Without anything secret: `amqps://host:5671/vhost`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "amqps" } else { "amqp" };
        let AMQPUri { authority, vhost, .. } = &self.uri;
        let slash = if vhost.starts_with('/') { "" } else { "/" };
        write!(f, "{scheme}://{}:{}{slash}{vhost}", authority.host, authority.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_secrets() {
        let endpoint = Endpoint::parse("amqp://rabbit:5673/movies").unwrap();
        assert_eq!(endpoint.to_string(), "amqp://rabbit:5673/movies");
        assert_eq!((endpoint.host(), endpoint.vhost()), ("rabbit", "movies"));
        assert!(!endpoint.is_tls());
        let endpoint = Endpoint::parse("amqps://rabbit").unwrap();
        assert_eq!(endpoint.to_string(), "amqps://rabbit:5671/");
        assert!(endpoint.is_tls());
        assert_eq!(endpoint.uri.query.heartbeat, Some(HEARTBEAT_SECS));
        assert_eq!(Endpoint::parse("amqp://r?heartbeat=30").unwrap().uri.query.heartbeat, Some(30));
    }

    #[test]
    fn a_wrong_address_is_told_without_repeating_it() {
        for wrong in ["amqp://me:hunter2@rabbit", "http://me:hunter2@rabbit", "hunter2", ""] {
            let why = Endpoint::parse(wrong).unwrap_err().to_string();
            assert!(why.contains("RabbitMQ address") && !why.contains("hunter2"), "{why}");
        }
    }
}
