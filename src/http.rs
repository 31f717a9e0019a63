//! The listening side of HTTP: connections under limits, certificates that are read again, bodies
//! that end.
//!
//! A loop of our own, because the ready-made ones leave a silent connection open for ever: here
//! every connection is under a cap and a watch from its first moment.

mod authorization;
pub mod body;
mod connection;
mod listener;
mod tls;
mod watch;

pub use authorization::{bearer, is_one_of};
pub use listener::{BindError, Ending, Limits, Listener, Service};
pub use tls::{Tls, TlsError};

/// A whole answer.
pub type Response = hyper::Response<http_body_util::Full<bytes::Bytes>>;
