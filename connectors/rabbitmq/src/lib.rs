//! The connector to RabbitMQ, over AMQP 0.9.1.
//!
//! ```text
//! Connector::publish -> queue of publishes -> one of a few channels, in batches -> the broker
//!                                                                    returns, acks, nacks
//!        its own answer  <-------------- judge, once the whole batch is confirmed  <----+
//! ```
//!
//! An event is answered for when the broker has confirmed it *and* has not returned it as
//! unroutable; see [`Connector`] for what is behind the batches.
//!
//! TLS is rustls, whose crypto provider is the process's: whoever builds a [`Connector`] installs
//! one before (`rustls::crypto::ring::default_provider().install_default()`).

mod batch;
mod binding;
mod config;
mod connect;
mod connector;
mod durability;
mod endpoint;
mod error;
mod management;
mod pattern;
mod publisher;
mod queue;
mod session;
mod socket;
mod state;
mod supervisor;
mod tls;
mod topology;

pub use config::{Config, HeaderPrefix, Management, Mechanism, Queue, QueueKind};
pub use connector::Connector;

/// Where the client library logs each returned message with its body, which belongs in no log.
pub const SILENT_LOG_TARGET: &str = "lapin::returned_messages";
