//! vodbridge
pub mod config;
