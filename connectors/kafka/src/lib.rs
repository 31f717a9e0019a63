//! The connector to Kafka.
//!
//! ```text
//! publish -> binding -> room -> librdkafka -> brokers
//!    ^                              |
//!    +---- the record's report <----+
//! ```

mod binding;
mod config;
mod connector;
mod context;
mod durability;
mod error;
mod limits;
mod producer;
mod properties;
mod readings;
mod room;
mod session;
mod stats;
mod token;
mod topology;

pub use config::{Compression, Config, Idempotence, Sasl, TokenEndpoint, Topics};
pub use connector::Connector;
