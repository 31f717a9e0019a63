//! Real brokers for tests: fetched once by `tests/brokers/fetch`, started as child processes on
//! ports of their own with data in temporary folders, killed on drop even when a test panics.
//!
//! A broker that cannot be had fails the test with a sentence; nothing is skipped.

mod disk;
mod fetched;
pub mod kafka;
mod nats;
mod port;
mod process;
mod proxy;
mod rabbitmq;

pub use disk::SmallDisk;
pub use fetched::fetched;
pub use nats::{Nats, NatsCertificates, NatsCluster, NatsSettings};
pub use port::Port;
pub use process::Process;
pub use proxy::{Proxy, Weather};
pub use rabbitmq::{RabbitMq, RabbitMqOptions, RabbitMqTls, RabbitMqVersion, running_rabbitmq};
