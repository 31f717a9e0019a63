//! What the simulator promises, against a server of its own.

mod sender;
mod server;
