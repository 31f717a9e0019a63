//! What the simulator promises: `api`, `faults` and `push` to whoever is notified, `program` to
//! whoever runs it, `sender` to the bridge's tests; `sdk` is the vendor's word on it.

#![allow(clippy::unwrap_used, reason = "clippy excuses test functions, not what they call")]

mod api;
mod client;
mod faults;
mod program;
mod push;
mod sdk;
mod sender;
mod server;
