//! What the bridge says of itself: logs and numbers.

pub mod chain;
pub mod logs;
pub mod metrics;
pub(crate) mod panic;
mod process;
