//! The contract between vodbridge and its connectors: what an [`Event`] is, where it goes
//! ([`Topic`]), who takes it there ([`Connector`]), how that fails ([`PublishError`]) and what an
//! acknowledgement survives ([`Durability`]).
//!
//! ```text
//! source -> normalize -> route -> Connector::publish(&Event, &Topic) -> the broker's own answer
//! ```
//!
//! No network library, no YAML and no runtime is known here: a connector depends on this crate
//! and on its own client library, never on another connector or on the bridge.

mod backoff;
mod connector;
mod durability;
mod event;
mod json;
mod secret;
mod settings;
mod timestamp;
mod topic;

pub use backoff::{Backoff, seed_jitter};
pub use connector::{BoxError, Cause, ClientStats, Connector, PublishError, Unavailable};
pub use durability::{Answer, Durability, Fault, Provenance, Survives};
pub use event::{ContentDigest, ContentType, Event, Extension, KnownBy, SPEC_VERSION};
pub use json::to_json;
pub use secret::Secret;
pub use settings::{ContentMode, Identity, Provision, Tls};
pub use timestamp::Timestamp;
pub use topic::{InvalidTopic, TOPIC_LEN_MAX, Topic};
