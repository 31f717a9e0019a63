//! The tests, one module an area: what VOD sends, what no honest caller sends, what comes out,
//! and what a crash, a stop and a full disk leave.

mod program;

mod cloud_events;
mod crash;
mod full;
mod hostile;
mod samples;
mod stopping;
