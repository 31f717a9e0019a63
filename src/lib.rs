//! vodbridge takes the events of Tencent Cloud VOD and publishes them to Kafka, RabbitMQ, NATS
//! JetStream or an embedded journal, and confirms them only once they are stored there.

pub mod delivery;
pub mod duplicates;
pub mod http;
pub mod normalize;
pub mod outlet;
pub mod route;
pub mod telemetry;
