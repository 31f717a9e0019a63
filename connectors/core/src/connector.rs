use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Durability, Event, Topic};

/// An error of a client library, kept whole as the cause.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Where events go out: one broker, or the embedded journal.
///
/// Implemented by the connector crates, built by the bridge's registry, called by its route and
/// by nobody else. A connector never sees who waits for an event, so it cannot confirm one.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Publishes one event and resolves once the broker itself has answered.
    ///
    /// Called concurrently, for any number of events at once. Handing the event to a client
    /// library's buffer is not an answer. The connector bounds the call by its own
    /// `publish_timeout`; after an error the broker may still have taken the event, and a second
    /// call with the same event must be recognizable as the same by its `id`.
    ///
    /// # Errors
    ///
    /// [`PublishError::Unavailable`] when the event may be taken later without being changed,
    /// [`PublishError::Refused`] when the fault lies in the event itself.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it unknown whether the broker has the event.
    async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError>;

    /// Asks the broker whether it answers, and for each topic, in the order given, whether its
    /// topology is there and what an acknowledgement on it survives. Changes nothing.
    ///
    /// # Errors
    ///
    /// The outer error is the broker's, the inner one is the topic's.
    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable>;

    /// Makes what these topics lack at the broker, where the connector may make anything; answers
    /// for each topic in the order given.
    ///
    /// # Errors
    ///
    /// The outer error is the broker's, the inner one is the topic's.
    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        Ok(topics.iter().map(|_| Ok(())).collect())
    }

    /// What the client library counts of itself, where it does.
    fn client_stats(&self) -> Option<ClientStats> {
        None
    }

    /// Sends what the client still holds and releases the connection. Publishes that come after
    /// it fail as unavailable.
    async fn close(&self);
}

/// What a client library counts of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Events that it holds and the broker has not acknowledged.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Of the last seconds' requests to the slowest broker, 99 in 100 were answered faster. `None`
    /// if there were none.
    pub round_trip_p99: Option<Duration>,
}

/// How a connector fails, sorted by what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Not now: an outage, a timeout, a missing topic, a missing right. Waited out, because it
    /// ends or an operator ends it.
    #[error("unavailable")]
    Unavailable(#[from] Unavailable),
    /// Never: the event itself is what the broker does not take. Goes to the dead letters.
    #[error("refused")]
    Refused(#[source] BoxError),
}

/// Why a connector, or one topic of it, takes nothing at the moment.
#[derive(Debug)]
pub struct Unavailable {
    /// What kind of repair it takes.
    pub cause: Cause,
    /// What is wrong and where, in one sentence without a full stop.
    pub message: Cow<'static, str>,
    /// What an operator can do about it, as a command or a setting.
    pub advice: Option<Cow<'static, str>>,
    /// The client library's error.
    pub source: Option<BoxError>,
}

/// What kind of repair an [`Unavailable`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The broker is away, slow, full or blocked: it passes.
    Outage,
    /// A topic, stream, exchange or queue is missing or unfit, or the right to use it: an
    /// operator repairs it, and trying again at once is of no use.
    Topology,
    /// A topic, stream, exchange or queue is not there yet, and the connector makes it with the
    /// first event for it: no trouble. Only [`Connector::check`] says so.
    Pending,
}

// === impl Unavailable ===

impl Unavailable {
    /// The broker is away, slow, full or blocked.
    pub fn outage(message: impl Into<Cow<'static, str>>) -> Self {
        Self { cause: Cause::Outage, message: message.into(), advice: None, source: None }
    }

    /// Something an operator must create or permit is missing.
    pub fn topology(message: impl Into<Cow<'static, str>>) -> Self {
        Self { cause: Cause::Topology, message: message.into(), advice: None, source: None }
    }

    /// Something is not there yet and is made with the first event for it.
    pub fn pending(message: impl Into<Cow<'static, str>>) -> Self {
        Self { cause: Cause::Pending, message: message.into(), advice: None, source: None }
    }

    /// Adds what an operator can do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds the client library's error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Unavailable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|e| e.as_ref() as _)
    }
}
