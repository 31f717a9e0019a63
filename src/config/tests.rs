//! The configuration as a whole, from the text to what is made of it.

mod connectors;
mod errors;
mod examples;
mod variables;
