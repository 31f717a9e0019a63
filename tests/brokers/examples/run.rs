//! Runs real brokers until a line or the end of standard input comes: for trying the bridge out
//! where there are no containers.
//!
//! ```text
//! cargo run -p brokers --example run -- kafka rabbitmq nats
//! ```

#![allow(clippy::print_stdout, reason = "it prints where they are")]

use std::io;

use brokers::kafka::Kafka;
use brokers::{Nats, NatsSettings, RabbitMq, RabbitMqOptions, RabbitMqVersion};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |broker: &str| wanted.is_empty() || wanted.iter().any(|w| w == broker);
    let (mut kafka, mut rabbitmq, mut nats) = (None, None, None);
    if is_wanted("kafka") {
        let kafka = kafka.insert(Kafka::start().await);
        println!("kafka:    {}", kafka.addresses().join(","));
    }
    if is_wanted("rabbitmq") {
        let options =
            RabbitMqOptions { management: true, ..RabbitMqOptions::new(RabbitMqVersion::V3) };
        let rabbitmq = rabbitmq.insert(RabbitMq::start(options).await);
        println!("rabbitmq: {}, management {}", rabbitmq.url(), rabbitmq.management_url());
    }
    if is_wanted("nats") {
        let nats = nats.insert(Nats::start(NatsSettings::default()).await);
        println!("nats:     {}, monitoring {}", nats.url(), nats.monitoring_url());
    }
    println!("press Enter to end them");
    io::stdin().read_line(&mut String::new()).map(drop)
}
