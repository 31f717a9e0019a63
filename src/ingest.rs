//! The ways in.

mod answer;
pub mod callback;

pub use answer::{Answer, Id};
