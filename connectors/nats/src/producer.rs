//! From an event to the stream's answer, within the time and the room that there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::RequestErrorKind;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use vodbridge_core::{BoxError, Cause, Event, Provision, PublishError, Topic, Unavailable};

use crate::binding::{self, Message};
use crate::config::Config;
use crate::error;
use crate::link::Link;
use crate::session::Session;

/// Publishes, any number at a time.
#[derive(Debug)]
pub(crate) struct Producer {
    config: Arc<Config>,
    link: Arc<Link>,
    messages: Semaphore,
    bytes: Semaphore,
    is_closed: AtomicBool,
    /// A token for each publish that is not answered.
    under_way: TaskTracker,
}

impl Producer {
    pub(crate) fn new(config: Arc<Config>, link: Arc<Link>) -> Self {
        Self {
            messages: Semaphore::new(config.in_flight as usize),
            bytes: Semaphore::new(config.in_flight_bytes as usize),
            config,
            link,
            is_closed: AtomicBool::new(false),
            under_way: TaskTracker::new(),
        }
    }

    /// Publishes one event. Its time begins with the call, before there is room.
    pub(crate) async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        let _under_way = self.under_way.token();
        if self.is_closed.load(Ordering::Acquire) {
            return Err(error::closed().into());
        }
        let limit = self.config.publish_timeout;
        match timeout(limit, self.attempt(event, topic)).await {
            Ok(answer) => answer,
            Err(_) => Err(Unavailable::outage(format!(
                "the stream {} did not answer within publish_timeout ({limit:?})",
                self.config.stream.name
            ))
            .advise(format!(
                "look whether the stream has a leader: nats stream info {}",
                self.config.stream.name
            ))
            .into()),
        }
    }

    /// Takes nothing more and waits for the answers that are owed; each comes in its own time.
    pub(crate) async fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // Who waits for room is told at once.
        self.messages.close();
        self.bytes.close();
        self.under_way.close();
        self.under_way.wait().await;
    }

    async fn attempt(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        // What is known to be away is told before there is room, not after.
        let session = self.link.session().await?;
        let message = binding::message(event, &self.config.stream.name, self.config.content_mode);
        fits(&message, session.max_payload())?;
        drop(session);
        let _room = self.room(message.bytes).await?;
        // Waiting may have taken long: the connection is the one of now.
        let session = self.link.session().await?;
        session.verified(&self.config).await?.takes(topic, &self.config)?;
        self.send(&session, message, topic).await
    }

    async fn send(
        &self,
        session: &Session,
        message: Message,
        topic: &Topic,
    ) -> Result<(), PublishError> {
        let stream = &self.config.stream;
        let began = Instant::now();
        let answer = match session.request(topic.as_str(), message).await? {
            Ok(answer) => answer,
            Err(failed) if failed.kind() == RequestErrorKind::NoResponders => {
                session.forget_stream();
                let why = self.why_nobody_answers(session, began, topic, failed.into()).await;
                return Err(why.into());
            }
            Err(failed) => return Err(error::request(stream, topic.as_str(), failed)),
        };
        match serde_json::from_slice::<Response<PublishAck>>(&answer.payload) {
            // A duplicate is in the stream already: it was acknowledged then or is now.
            Ok(Response::Ok(ack)) if ack.stream == stream.name => Ok(()),
            Ok(Response::Ok(ack)) => {
                session.forget_stream();
                Err(Unavailable::topology(format!(
                    "{topic} was stored by the stream {}, not by {}",
                    ack.stream, stream.name
                ))
                .advise("let one stream alone cover the subject: nats stream ls")
                .into())
            }
            Ok(Response::Err { error }) => {
                let why = error::answered(stream, topic.as_str(), error);
                if matches!(&why, PublishError::Unavailable(why) if why.cause == Cause::Topology) {
                    session.forget_stream();
                }
                Err(why)
            }
            Err(strange) => Err(Unavailable::outage(format!(
                "what answered on {topic} is no stream: its answer cannot be read"
            ))
            .caused_by(strange)
            .into()),
        }
    }

    /// Nobody listens on the subject: the stream is gone or does not cover it, or has no leader
    /// at the moment.
    async fn why_nobody_answers(
        &self,
        session: &Session,
        since: Instant,
        topic: &Topic,
        failed: BoxError,
    ) -> Unavailable {
        let found = session.verified_since(since, &self.config, Provision::Create).await;
        match found.and_then(|verified| verified.takes(topic, &self.config)) {
            Err(why) => why,
            Ok(()) => Unavailable::outage(format!(
                "the stream {} has no leader at the moment",
                self.config.stream.name
            ))
            .caused_by(failed),
        }
    }

    async fn room(&self, bytes: usize) -> Result<[SemaphorePermit<'_>; 2], Unavailable> {
        // What is larger than all of it takes all of it.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.config.in_flight_bytes);
        let closed = |_| error::closed();
        Ok([
            self.messages.acquire().await.map_err(closed)?,
            self.bytes.acquire_many(bytes).await.map_err(closed)?,
        ])
    }
}

fn fits(message: &Message, max_payload: usize) -> Result<(), PublishError> {
    if message.bytes <= max_payload {
        return Ok(());
    }
    Err(PublishError::Refused(
        format!(
            "{} bytes with its headers, and the NATS server takes {max_payload}: max_payload in \
             its configuration",
            message.bytes
        )
        .into(),
    ))
}
