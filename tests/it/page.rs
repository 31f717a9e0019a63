//! The page's API, as anybody may ask it: what it gives without a token, with one, and to those
//! who mean harm.

mod api;
mod browser;
mod hostile;
mod seen;
mod stage;
