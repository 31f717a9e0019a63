//! A connector as the route sees it: bounded, measured, with a memory of what is unavailable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use smol_str::SmolStr;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use vodbridge_core::{
    Backoff, BoxError, Cause, ClientStats, Connector, Durability, Event, Fault, PublishError,
    Topic, Unavailable,
};

use super::breaker::{Breakers, Entry, Seat, Turn};
use super::demand::Demand;
use crate::delivery::Ack;
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::{PublishResult, Publishing};
use crate::telemetry::panic;

/// Best-effort publishes of one connector that may be under way at a time.
const ALSO_EVENTS_MAX: usize = 256;

/// Bytes of the messages of those. A larger message takes all of it.
const ALSO_BYTES_MAX: u32 = 16 << 20;

/// How long an event waits for the reading of its topic. Readings queue up behind one another.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// A connector and what the route knows of it.
pub struct Target {
    name: Arc<str>,
    connector: Arc<dyn Connector>,
    publish_timeout: Duration,
    demand: Demand,
    /// Held while a topic is read.
    reading: Mutex<()>,
    breakers: Breakers,
    /// Whether the broker was found not to answer.
    is_down: AtomicBool,
    publishing: Publishing,
    also_events: Arc<Semaphore>,
    also_bytes: Arc<Semaphore>,
}

/// What a check says of one topic.
#[derive(Debug)]
pub struct Checked {
    /// What an acknowledgement survives, where that could be read.
    pub durability: Option<Durability>,
    /// Whether events may be published there.
    pub fit: Result<(), Unavailable>,
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
    /// A connector under its name in the configuration, with what is demanded of it.
    pub fn new(
        name: &str,
        connector: Arc<dyn Connector>,
        publish_timeout: Duration,
        demand: Demand,
        publishing: Publishing,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            connector,
            publish_timeout,
            demand,
            reading: Mutex::default(),
            breakers: Breakers::default(),
            is_down: AtomicBool::new(false),
            publishing,
            also_events: Arc::new(Semaphore::new(ALSO_EVENTS_MAX)),
            also_bytes: Arc::new(Semaphore::new(ALSO_BYTES_MAX as usize)),
        })
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its acknowledgements must survive this.
    pub fn requires(&self, fault: Fault) -> bool {
        self.demand.requires(fault)
    }

    /// What the connector's client library counts of itself, where it does.
    pub fn client_stats(&self) -> Option<ClientStats> {
        self.connector.client_stats()
    }

    /// How many publishes ended, in the order of [`PublishResult`].
    pub fn published(&self) -> [u64; 4] {
        self.publishing.counts()
    }

    /// Closes the connector.
    pub async fn close(&self) {
        self.connector.close().await;
    }

    /// Asks the broker about these topics, in their order: what an acknowledgement survives there,
    /// with what is assumed, and whether that meets the demand. What it says of the demand holds
    /// for publishing from now on.
    ///
    /// # Errors
    ///
    /// As [`Connector::check`].
    pub async fn check(&self, topics: &[Topic]) -> Result<Vec<Checked>, Unavailable> {
        let answers = self.connector.check(topics).await?;
        let judge = |(topic, answer): (&Topic, Result<Durability, Unavailable>)| match answer {
            Ok(durability) => {
                let durability = self.demand.assume(durability);
                let fit = self.demand.judge(topic, &durability);
                Checked { durability: Some(durability), fit }
            }
            Err(why) => {
                self.demand.forget(topic);
                Checked { durability: None, fit: Err(why) }
            }
        };
        Ok(topics.iter().zip(answers).map(judge).collect())
    }

    /// As [`check`](Self::check), within a time and whatever the connector does: a panic would end
    /// a task that looks after every other topic, too.
    ///
    /// # Errors
    ///
    /// As [`Connector::check`], and when there is no answer in time or the check panicked.
    pub(crate) async fn check_within(
        &self,
        topics: &[Topic],
        within: Duration,
    ) -> Result<Vec<Checked>, Unavailable> {
        let check = AssertUnwindSafe(self.check(topics)).catch_unwind();
        let checked = timeout(within, check).await.map_err(|_| {
            let within = humantime::format_duration(within);
            Unavailable::outage(format!("no answer to a check within {within}"))
        })?;
        checked.unwrap_or_else(|panic| {
            let panic = panic::message(&*panic);
            error!(connector = &*self.name, panic, "a check panicked");
            Err(Unavailable::outage("a check panicked"))
        })
    }

    /// Topics that take nothing at the moment.
    pub fn shut_topics(&self) -> Vec<Topic> {
        self.breakers.open()
    }

    /// Whether anything can be published, as far as is known: to any topic, or to this one.
    pub(super) fn takes(&self, topic: Option<&Topic>) -> bool {
        !self.is_down.load(Ordering::Relaxed) && topic.is_none_or(|t| !self.breakers.is_open(t))
    }

    /// For how long nothing but topology or rights have been missing for a topic, and what that is.
    pub(super) fn missing(&self, topic: &Topic) -> Option<(Duration, SmolStr)> {
        self.breakers.missing(topic)
    }

    /// Says whether the broker answers.
    pub(crate) fn set_up(&self, up: bool) {
        self.is_down.store(!up, Ordering::Relaxed);
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
        let answer = match self.read_if_wanted(topic).await {
            Ok(()) => self.within(self.connector.publish(event, topic)).await,
            Err(why) => Err(why.into()),
        };
        match &answer {
            Ok(()) => {
                self.publishing.answered(PublishResult::acknowledged, began);
                self.answered(topic);
            }
            // That says nothing of the broker: the size of an event, for one, is judged before
            // anybody is asked.
            Err(PublishError::Refused(_)) => {
                self.publishing.answered(PublishResult::refused, began);
            }
            Err(PublishError::Unavailable(why)) => {
                self.publishing.answered(PublishResult::unavailable, began);
                self.failed(topic, why, began.elapsed(), seat);
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
                match self.probe_one(&topic).await {
                    Ok(()) => {
                        self.set_up(true);
                        self.breakers.checked_well(&topic);
                        info!(connector = &*self.name, topic = topic.as_str(), "checked well");
                    }
                    // It is open already, however long this took.
                    Err(why) => self.failed(&topic, &why, Duration::ZERO, Some(&seat)),
                }
            }
        };
        stop.run_until_cancelled(probing).await;
    }

    /// Makes the topic, where the connector may, and reads whether it meets the demand; one after
    /// the other, so that what many events wait for is read once.
    async fn read_if_wanted(&self, topic: &Topic) -> Result<(), Unavailable> {
        if !self.demand.wants_reading(topic) {
            return Ok(());
        }
        let read = async {
            let _reading = self.reading.lock().await;
            if !self.demand.wants_reading(topic) {
                return Ok(());
            }
            let topics = std::slice::from_ref(topic);
            self.connector.provide(topics).await?.into_iter().collect::<Result<(), _>>()?;
            self.check(topics).await?.into_iter().try_for_each(|checked| checked.fit)
        };
        match timeout(READ_WITHIN, read).await {
            Ok(fit) => fit,
            Err(_) => Err(Unavailable::outage(format!(
                "what an acknowledgement on {topic} survives could not be read"
            ))),
        }
    }

    /// The net below the connector's own bound: it keeps to its time by itself.
    async fn within(
        &self,
        publish: impl Future<Output = Result<(), PublishError>>,
    ) -> Result<(), PublishError> {
        timeout(self.publish_timeout, publish).await.unwrap_or_else(|_| {
            let limit = humantime::format_duration(self.publish_timeout);
            Err(Unavailable::outage(format!("no answer within publish_timeout ({limit})")).into())
        })
    }

    /// What the prober asks of a topic.
    async fn probe_one(&self, topic: &Topic) -> Result<(), Unavailable> {
        let topics = std::slice::from_ref(topic);
        let answers = self.check_within(topics, self.publish_timeout).await?;
        answers.into_iter().try_for_each(|checked| match checked.fit {
            // The next event makes it.
            Err(why) if why.cause == Cause::Pending => Ok(()),
            fit => fit,
        })
    }

    fn answered(&self, topic: &Topic) {
        self.set_up(true);
        if self.breakers.succeeded(topic) {
            info!(connector = &*self.name, topic = topic.as_str(), "available again");
        }
    }

    fn failed(&self, topic: &Topic, why: &Unavailable, took: Duration, seat: Option<&Seat<'_>>) {
        if self.breakers.failed(topic, why, took, seat) == Turn::Opened {
            if why.cause == Cause::Outage {
                self.set_up(false);
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
