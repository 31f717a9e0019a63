//! tests
mod cloud_events;
