//! The tests of this crate against real brokers.
//!
//! - `conformance`: the clauses that every connector keeps
//! - `message`: what a subscriber finds
//! - `stream`: streams that are made, fit, unfit, full, gone
//! - `rights`: users, tokens, keys, permissions
//! - `tls`: certificates, good and bad
//! - `outage`: servers that are wrong, silent, away, slow
//! - `durability`: what STREAM.INFO and the monitoring address say
//! - `cluster`: three servers

mod cluster;
mod conformance;
mod durability;
mod message;
mod outage;
mod rights;
mod stream;
mod support;
mod tls;
