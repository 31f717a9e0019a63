//! vodbridge takes the events of Tencent Cloud VOD and publishes them to Kafka, RabbitMQ, NATS
//! JetStream or an embedded journal, and confirms them only once they are stored there.

pub mod admin;
pub mod app;
pub mod certificates;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod duplicates;
pub mod health;
pub mod history;
pub mod http;
pub mod ingest;
pub mod normalize;
pub mod outlet;
mod records;
pub mod registry;
pub mod replay;
pub mod route;
pub mod telemetry;
pub mod vod;
