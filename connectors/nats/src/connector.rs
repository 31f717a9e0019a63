use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout};
use vodbridge_core::{
    BoxError, Cause, Durability, Event, Provision, PublishError, Topic, Unavailable,
};

use crate::config::Config;
use crate::durability::{self, Facts};
use crate::link::Link;
use crate::producer::Producer;
use crate::topology::{self, Verified};
use crate::{error, monitoring};

/// A stream as a target of routes.
pub struct Connector {
    config: Arc<Config>,
    link: Arc<Link>,
    producer: Producer,
}

/// How long a check may take. Who asks every five seconds waits for four.
const CHECKED_WITHIN: Duration = Duration::from_millis(3500);

// === impl Connector ===

impl Connector {
    /// A connector that begins to connect in the background; the servers may be away.
    ///
    /// Called within a tokio runtime, which must go on until [`close`](vodbridge_core::Connector::close)
    /// has returned.
    ///
    /// # Errors
    ///
    /// An address in `servers` that is none, or a name that no stream can have.
    pub fn new(config: Config) -> Result<Self, BoxError> {
        if !topology::is_name(&config.stream.name) {
            return Err(format!("{:?} is no name of a stream", config.stream.name).into());
        }
        let config = Arc::new(config);
        let link = Arc::new(Link::new(Arc::clone(&config))?);
        let producer = Producer::new(Arc::clone(&config), Arc::clone(&link));
        Ok(Self { config, link, producer })
    }

    async fn ask(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        let session = self.link.session().await?;
        if topics.is_empty() {
            session.ping(&self.config).await?;
            return Ok(Vec::new());
        }
        match session.verified_since(Instant::now(), &self.config, Provision::Verify).await {
            Ok(verified) => Ok(self.durability(&verified, topics).await),
            Err(why) if why.cause != Cause::Outage => {
                Ok(topics.iter().map(|_| Err(error::again(&why))).collect())
            }
            Err(why) => Err(why),
        }
    }

    async fn durability(
        &self,
        verified: &Verified,
        topics: &[Topic],
    ) -> Vec<Result<Durability, Unavailable>> {
        let sync = match &self.config.monitoring_url {
            Some(url) => {
                Some(monitoring::sync(url, self.config.tls.as_ref(), &verified.info).await)
            }
            None => None,
        };
        let of = |topic: &Topic| {
            verified.takes(topic, &self.config)?;
            let facts = Facts::of(&verified.info, verified.is_wanted(topic), sync);
            Ok(durability::of(&self.config.stream.name, &facts))
        };
        topics.iter().map(of).collect()
    }
}

#[async_trait]
impl vodbridge_core::Connector for Connector {
    async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        self.producer.publish(event, topic).await
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        timeout(CHECKED_WITHIN, self.ask(topics)).await.unwrap_or_else(|_| {
            Err(Unavailable::outage(format!("no NATS server answers within {CHECKED_WITHIN:?}"))
                .advise("check `servers` of this connector, and that the servers run"))
        })
    }

    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        let session = self.link.session().await?;
        let verified = session.verified(&self.config).await?;
        Ok(topics.iter().map(|topic| verified.takes(topic, &self.config)).collect())
    }

    async fn close(&self) {
        self.producer.close().await;
        self.link.close().await;
    }
}

/// The stream's name; what is configured may hold secrets.
impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("stream", &self.config.stream.name)
            .finish_non_exhaustive()
    }
}
