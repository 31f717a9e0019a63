//! Tencent Cloud VOD without its network: what its events are ([`catalogue`]), how one is read
//! ([`Content`]), what names it ([`Identity`]) and how a callback is signed ([`sign`]).
//!
//! ```text
//! {"EventType":"NewFileUpload","FileUploadEvent":{...},"Sign":"7ac5...","T":1767226200}
//!   size, UTF-8, nesting -> top level -> payload -> outline -> facts, digest, identity
//! ```
//!
//! Everything here is pure: no clock, no randomness, no I/O. The same message always reads to the
//! same content. The payload stays the bytes that came in: FileIds exceed 2^53 and even the
//! signed 64-bit range, so nothing passes through a number type.
//!
//! The crate knows nothing of the bridge. Its facts come from the vendor's SDK (version 3.1.194)
//! and documents (product 266); the README lists every event type with its identity.

pub mod api;
pub mod catalogue;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "credentials")]
pub mod credentials;
pub mod reaction;
pub mod sign;
pub mod tc3;

mod canonical;
mod content;
mod envelope;
mod facts;
mod identity;
mod literal;
mod nesting;
mod no_event;
mod outline;
mod payload;
mod reply;
mod scanner;

pub use content::{Content, Format, metric_type};
pub use envelope::{Envelope, MEMBERS_MAX, MESSAGE_BYTES_MAX, Signature, without_envelope};
pub use identity::{ID_BYTES_MAX, Identity};
pub use nesting::NESTING_MAX;
pub use no_event::NoEvent;
pub use reply::{NoReply, Reply};
