//! What the crate promises of VOD's events, through its public face.
#![allow(clippy::unwrap_used, reason = "clippy excuses test functions, not what they call")]

#[cfg(feature = "credentials")]
mod credentials;
mod envelope;
mod hostile;
mod identity;
mod properties;
mod readme;
mod samples;
mod sign;
mod support;
