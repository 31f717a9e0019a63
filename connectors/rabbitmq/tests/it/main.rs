//! The tests of this crate against real brokers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]
#![allow(clippy::print_stdout, reason = "the counts are the test's output")]

mod bodies;
mod certificates;
mod conformance;
mod durability;
mod faults;
mod hostile;
mod logins;
mod one_broker;
mod routing;
mod subscriber;
mod support;
mod topology;
