//! What the bridge says of itself: logs, numbers and traces.

pub mod chain;
pub mod logs;
pub mod metrics;
pub(crate) mod panic;
mod process;
pub mod traces;
