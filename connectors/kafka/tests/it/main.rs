//! The tests of this crate against real brokers.
//!
//! What fails in a test's own means is the test's failure.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod certificates;
mod conformance;
mod hostile;
mod implied;
mod oauth;
mod replicas;
mod rights;
mod support;
mod topology;
