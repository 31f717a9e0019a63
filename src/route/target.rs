//! A connector as the route sees it: bounded, measured, with a memory of what is unavailable.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vodbridge_core::{BoxError, Cause, Connector, Event, PublishError, Topic, Unavailable};

use super::backoff::Backoff;
use super::breaker::{Breakers, Entry, Turn};
use crate::delivery::Ack;
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::{PublishResult, Publishing};

/// A connector and what the route knows of it.
pub struct Target {
    name: Arc<str>,
    connector: Arc<dyn Connector>,
    publish_timeout: Duration,
    breakers: Breakers,
    publishing: Publishing,
}

/// Why a leg has not got its event.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not now.
    Deferred,
    /// Never.
    Refused(BoxError),
}

// === impl Target ===

impl Target {
    /// A connector under its name in the configuration.
    pub fn new(
        name: &str,
        connector: Arc<dyn Connector>,
        publish_timeout: Duration,
        publishing: Publishing,
    ) -> Arc<Self> {
        let breakers = Breakers::default();
        Arc::new(Self { name: name.into(), connector, publish_timeout, breakers, publishing })
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The connector itself, to check it and to close it.
    pub fn connector(&self) -> &Arc<dyn Connector> {
        &self.connector
    }

    /// Topics that take nothing at the moment.
    pub fn shut_topics(&self) -> Vec<Topic> {
        self.breakers.open()
    }

    /// Says whether the broker answers, for the metrics.
    pub(crate) fn set_up(&self, up: bool) {
        self.publishing.set_up(up);
    }

    /// Counts a best-effort event for which there was no room.
    pub(super) fn skip(&self) {
        self.publishing.skipped();
    }

    /// Publishes until the broker has answered or nobody waits any more. An attempt under way is
    /// never abandoned.
    pub(super) async fn deliver(
        &self,
        event: &Event,
        topic: &Topic,
        ack: &Ack,
    ) -> Result<(), Failure> {
        let mut backoff = Backoff::new();
        let mut seat = None;
        loop {
            if seat.is_none() {
                match self.breakers.enter(topic) {
                    Entry::Go => {}
                    Entry::Shut => return Err(Failure::Deferred),
                    Entry::Probe(probe) => seat = Some(probe),
                }
            }
            // Who holds the seat waits as the breaker says, with it: given up for a moment, it
            // would go to somebody for whom nobody waits.
            if let Some(seat) = &seat {
                wait(ack, seat.due()).await?;
            }
            match self.attempt(event, topic).await {
                Ok(()) => return Ok(()),
                Err(PublishError::Refused(why)) => return Err(Failure::Refused(why)),
                Err(PublishError::Unavailable(_)) if seat.is_some() => {}
                Err(PublishError::Unavailable(_)) => {
                    wait(ack, Instant::now() + backoff.next_wait()).await?;
                }
            }
        }
    }

    /// Publishes once.
    pub(super) async fn attempt(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        let began = Instant::now();
        let answer = timeout(self.publish_timeout, self.connector.publish(event, topic)).await;
        let answer = answer.unwrap_or_else(|_| {
            let limit = humantime::format_duration(self.publish_timeout);
            Err(Unavailable::outage(format!("no answer within publish_timeout ({limit})")).into())
        });
        match &answer {
            Ok(()) => {
                self.publishing.answered(PublishResult::acknowledged, began);
                self.answered(topic);
            }
            // The broker is well: it has judged the event.
            Err(PublishError::Refused(_)) => {
                self.publishing.answered(PublishResult::refused, began);
                self.answered(topic);
            }
            Err(PublishError::Unavailable(why)) => {
                self.publishing.answered(PublishResult::unavailable, began);
                self.failed(topic, why);
            }
        }
        answer
    }

    /// Probes topics for which no event waits, until told to stop.
    pub(crate) async fn probe(self: Arc<Self>, stop: CancellationToken) {
        let probing = async {
            loop {
                let (topic, at) = self.breakers.next_unattended().await;
                sleep_until(at).await;
                // An event may have come meanwhile and probe by itself.
                let Entry::Probe(_seat) = self.breakers.enter(&topic) else { continue };
                match self.check(&topic).await {
                    Ok(()) => self.breakers.checked_well(&topic),
                    Err(why) => {
                        self.breakers.failed(&topic, why.cause);
                    }
                }
            }
        };
        stop.run_until_cancelled(probing).await;
    }

    async fn check(&self, topic: &Topic) -> Result<(), Unavailable> {
        let check = self.connector.check(std::slice::from_ref(topic));
        let answers = timeout(self.publish_timeout, check)
            .await
            .map_err(|_| Unavailable::outage("no answer to a check within publish_timeout"))??;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }

    fn answered(&self, topic: &Topic) {
        self.publishing.set_up(true);
        if self.breakers.succeeded(topic) {
            info!(connector = &*self.name, topic = topic.as_str(), "available again");
        }
    }

    fn failed(&self, topic: &Topic, why: &Unavailable) {
        if self.breakers.failed(topic, why.cause) == Turn::Opened {
            if why.cause == Cause::Outage {
                self.publishing.set_up(false);
            }
            warn!(
                connector = &*self.name,
                topic = topic.as_str(),
                error = %Chain(why),
                advice = why.advice.as_deref(),
                "unavailable: events for this topic are given back until it answers"
            );
        }
    }
}

/// Waits until `due`, or no longer than anybody waits for the outcome.
async fn wait(ack: &Ack, due: Instant) -> Result<(), Failure> {
    tokio::select! {
        biased;
        () = ack.abandoned() => Err(Failure::Deferred),
        () = sleep_until(due) => Ok(()),
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}
