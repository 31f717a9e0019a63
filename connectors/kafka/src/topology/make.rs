use std::sync::atomic::Ordering;
use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};
use vodbridge_core::Unavailable;

use super::{Topology, is_passing, value};
use crate::durability::Replicas;
use crate::error::create_command;
use crate::producer::Clients;

/// How long the brokers may take to make a topic, and until all of them know it.
const CREATE_WITHIN: Duration = Duration::from_secs(3);

// === impl Topology ===

impl Topology {
    /// Makes a topic, and waits until it has leaders.
    pub(super) async fn make(
        &self,
        clients: &Clients,
        topic: &str,
        broker: Option<i32>,
    ) -> Result<Replicas, Unavailable> {
        let made_max = self.config.topics.made_max;
        let count = |made: u32| (made < made_max).then_some(made + 1);
        if self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).is_err() {
            return Err(Unavailable::topology(format!(
                "there is no topic {topic}, and the {made_max} topics that this connector may make \
                 are made"
            ))
            .advise(format!(
                "raise topics_max, or make it: {}",
                create_command(topic, &self.site)
            )));
        }
        match self.create(clients, topic, broker).await {
            Ok(true) => info!(topic, "topic made"),
            // Somebody else was faster.
            Ok(false) => {
                self.made.fetch_sub(1, Ordering::Relaxed);
            }
            Err(why) => {
                self.made.fetch_sub(1, Ordering::Relaxed);
                return Err(why);
            }
        }
        let give_up = Instant::now() + CREATE_WITHIN;
        loop {
            let metadata = clients.metadata(Some(topic.to_owned()), self.metadata_within).await;
            let metadata = metadata.map_err(|error| self.outage(error, clients))?;
            match self.replicas(&metadata, topic) {
                Ok(replicas) => return Ok(replicas),
                Err(why) if Instant::now() > give_up => return Err(why),
                // The brokers hear of it one after the other, and there is nothing to wait on.
                Err(_) => sleep(Duration::from_millis(25)).await,
            }
        }
    }

    /// Whether it was made just now.
    async fn create(
        &self,
        clients: &Clients,
        topic: &str,
        broker: Option<i32>,
    ) -> Result<bool, Unavailable> {
        let Some(admin) = clients.admin().await else {
            return Err(self.cannot_make(topic, "the client cannot make topics with this login"));
        };
        let admin = admin.map_err(|error| self.outage(error, clients))?;
        let replication = match self.config.topics.replication_factor {
            Some(factor) => Some(i32::from(factor)),
            None => self.default_replication(clients, broker).await,
        };
        let partitions = self.config.topics.partitions.map_or(-1, i32::from);
        // KIP-464: -1 is the broker's own default.
        let factor = TopicReplication::Fixed(replication.unwrap_or(-1));
        let mut new = NewTopic::new(topic, partitions, factor)
            .set("cleanup.policy", "delete")
            .set("unclean.leader.election.enable", "false");
        if replication.is_some_and(|factor| factor >= 3) {
            new = new.set("min.insync.replicas", "2");
        }
        let options = AdminOptions::new()
            .request_timeout(Some(CREATE_WITHIN))
            .operation_timeout(Some(CREATE_WITHIN / 2));
        match admin.create_topics([&new], &options).await {
            Err(error) if is_passing(&error) => Err(self.outage(error, clients)),
            Err(error) => Err(self.cannot_make(topic, &error.to_string()).caused_by(error)),
            Ok(results) => match results.into_iter().next() {
                None | Some(Ok(_)) => Ok(true),
                Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
                Some(Err((_, code))) => {
                    let error = KafkaError::AdminOp(code);
                    if is_passing(&error) {
                        return Err(self.outage(error, clients));
                    }
                    Err(self.cannot_make(topic, &code.to_string()).caused_by(error))
                }
            },
        }
    }

    /// `default.replication.factor`, if this user may know it: with three or more replicas a topic
    /// is given `min.insync.replicas=2`, and it must be known before the topic is.
    async fn default_replication(&self, clients: &Clients, broker: Option<i32>) -> Option<i32> {
        let admin = clients.admin().await?.ok()?;
        let options = AdminOptions::new().request_timeout(Some(self.describe_within));
        let resources = [ResourceSpecifier::Broker(broker?)];
        let described = admin.describe_configs(&resources, &options).await.ok()?;
        let broker = described.into_iter().next()?.ok()?;
        value(&broker, "default.replication.factor")?.parse().ok()
    }

    fn cannot_make(&self, topic: &str, why: &str) -> Unavailable {
        warn!(topic, why, "a topic is missing and cannot be made");
        let principal = &self.site.principal;
        let bootstrap = &self.site.bootstrap;
        Unavailable::topology(format!("there is no topic {topic}, and it cannot be made: {why}"))
            .advise(format!(
                "make it, where need be in the provider's console: {}; or permit it: kafka-acls \
                 --bootstrap-server {bootstrap} --add --allow-principal User:{principal} \
                 --operation Create --topic {topic}",
                create_command(topic, &self.site)
            ))
    }
}
