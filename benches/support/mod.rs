//! What every benchmark has: the processes that are driven, and what is measured of them.

// Each benchmark uses its own part of it.
#![allow(dead_code, reason = "compiled into each benchmark anew")]

pub(crate) mod child;
pub(crate) mod measured;
pub(crate) mod running;
