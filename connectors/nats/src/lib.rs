//! The connector to NATS JetStream.
//!
//! ```text
//! Connector::publish -> binding (headers, body) -> room -> session -> server -> stream
//!                                                            ^                    |
//!                                      the stream's own answer, a PubAck ---------+
//! ```
//!
//! A publish is a request whose answer is the stream's PubAck. Nothing else is an
//! acknowledgement: core NATS takes a message for a subject that no stream covers, and says
//! nothing.
//!
//! **One session is one connection.** The client library is used without its own reconnecting,
//! which would keep what was not yet written and send it after its publish was answered. When a
//! connection ends, everything that is under way on it is answered as unavailable at once, what
//! the client had not written is forgotten with it, secrets and certificates are read anew, and
//! the stream is verified again before anything is published. What the server had already
//! received may still be stored: a later publish of the same event carries the same
//! `Nats-Msg-Id`, by which the stream knows it again within its duplicate window.

mod binding;
mod config;
mod connector;
mod durability;
mod error;
mod link;
mod login;
mod monitoring;
mod producer;
mod session;
mod topology;

pub use config::{Accept, Auth, Config, Stream};
pub use connector::Connector;

/// Where the client library logs every attempt to connect, which the connector says once.
pub const QUIET_LOG_TARGET: &str = "async_nats";
