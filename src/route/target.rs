//! A connector as the route sees it: bounded, measured, with a memory of what is unavailable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use vodbridge_core::{BoxError, Cause, Connector, Event, PublishError, Topic, Unavailable};

use super::backoff::Backoff;
use super::breaker::{Breakers, Entry, Seat, Turn};
use crate::delivery::Ack;
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::{PublishResult, Publishing};
use crate::telemetry::panic;

/// Best-effort publishes of one connector that may be under way at a time.
const ALSO_EVENTS_MAX: usize = 256;

/// Bytes of the messages of those. A larger message takes all of it.
const ALSO_BYTES_MAX: u32 = 16 << 20;

/// A connector and what the route knows of it.
pub struct Target {
    name: Arc<str>,
    connector: Arc<dyn Connector>,
    publish_timeout: Duration,
    breakers: Breakers,
    publishing: Publishing,
    also_events: Arc<Semaphore>,
    also_bytes: Arc<Semaphore>,
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
        Arc::new(Self {
            name: name.into(),
            connector,
            publish_timeout,
            breakers: Breakers::default(),
            publishing,
            also_events: Arc::new(Semaphore::new(ALSO_EVENTS_MAX)),
            also_bytes: Arc::new(Semaphore::new(ALSO_BYTES_MAX as usize)),
        })
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

    /// Publishes until the broker has answered or nobody waits any more: then no attempt begins,
    /// and one under way is never abandoned.
    pub(super) async fn deliver(
        &self,
        event: &Event,
        topic: &Topic,
        ack: &Ack,
    ) -> Result<(), Failure> {
        let mut backoff = Backoff::new();
        let mut retry_at = Instant::now();
        let mut seat: Option<Seat<'_>> = None;
        loop {
            // Who holds the seat keeps it while waiting: given up for a moment, it would go to
            // somebody for whom nobody waits.
            let due = match seat.as_ref().and_then(Seat::due) {
                Some(due) => due,
                None => match self.breakers.enter(topic) {
                    Entry::Go => {
                        seat = None;
                        retry_at
                    }
                    Entry::Probe(probe) => seat.insert(probe).due().unwrap_or(retry_at),
                    Entry::Shut => return Err(Failure::Deferred),
                },
            };
            if due > Instant::now() {
                wait(ack, due).await?;
                continue; // what the breaker said before the wait may be true no longer
            }
            if !ack.is_awaited() {
                return Err(Failure::Deferred);
            }
            match self.attempt(event, topic, seat.as_ref()).await {
                Ok(()) => return Ok(()),
                Err(PublishError::Refused(why)) => return Err(Failure::Refused(why)),
                Err(PublishError::Unavailable(_)) => {
                    retry_at = Instant::now() + backoff.next_wait();
                }
            }
        }
    }

    /// Room for one best-effort publish; `None`, and counted, when there is none or the topic
    /// takes nothing at the moment.
    pub(super) fn also_room(
        &self,
        topic: &Topic,
        bytes: usize,
    ) -> Option<[OwnedSemaphorePermit; 2]> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(ALSO_BYTES_MAX);
        let room = || {
            let events = Arc::clone(&self.also_events).try_acquire_owned().ok()?;
            let bytes = Arc::clone(&self.also_bytes).try_acquire_many_owned(bytes).ok()?;
            Some([events, bytes])
        };
        let room = if self.breakers.is_open(topic) { None } else { room() };
        if room.is_none() {
            self.publishing.skipped();
        }
        room
    }

    /// Publishes once; `seat` is what the attempt is the probe of.
    pub(super) async fn attempt(
        &self,
        event: &Event,
        topic: &Topic,
        seat: Option<&Seat<'_>>,
    ) -> Result<(), PublishError> {
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
                self.failed(topic, why, seat);
            }
        }
        answer
    }

    /// Probes topics for which no event waits, until told to stop. A task of its own for every
    /// target: without it a topic that no event waits for stays shut.
    pub async fn probe(self: Arc<Self>, stop: CancellationToken) {
        let probing = async {
            loop {
                let (topic, at) = self.breakers.next_unattended().await;
                sleep_until(at).await;
                // An event may have come meanwhile and probe by itself.
                let Entry::Probe(seat) = self.breakers.enter(&topic) else { continue };
                match self.check(&topic).await {
                    Ok(()) => {
                        self.publishing.set_up(true);
                        self.breakers.checked_well(&topic);
                        info!(connector = &*self.name, topic = topic.as_str(), "checked well");
                    }
                    Err(why) => self.failed(&topic, &why, Some(&seat)),
                }
            }
        };
        stop.run_until_cancelled(probing).await;
    }

    async fn check(&self, topic: &Topic) -> Result<(), Unavailable> {
        // A panic here must not end the probing of every other topic.
        let check = AssertUnwindSafe(self.connector.check(std::slice::from_ref(topic)));
        let answers = timeout(self.publish_timeout, check.catch_unwind())
            .await
            .map_err(|_| Unavailable::outage("no answer to a check within publish_timeout"))?
            .map_err(|panic| {
                error!(
                    connector = &*self.name,
                    panic = panic::message(&*panic),
                    "a check panicked"
                );
                Unavailable::outage("a check panicked")
            })??;
        answers.into_iter().try_for_each(|answer| answer.map(drop))
    }

    fn answered(&self, topic: &Topic) {
        self.publishing.set_up(true);
        if self.breakers.succeeded(topic) {
            info!(connector = &*self.name, topic = topic.as_str(), "available again");
        }
    }

    fn failed(&self, topic: &Topic, why: &Unavailable, seat: Option<&Seat<'_>>) {
        if self.breakers.failed(topic, why.cause, seat) == Turn::Opened {
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
