use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vodbridge_core::{BoxError, ClientStats, Durability, Event, PublishError, Topic, Unavailable};

use crate::binding::record;
use crate::context::{Owed, Report};
use crate::error::{Repair, of_publish};
use crate::limits::Limits;
use crate::producer::{Clients, hand_over};
use crate::room::{Place, Room};
use crate::session::Session;
use crate::token::Fetcher;
use crate::topology::Topology;
use crate::{Config, Sasl};

/// How long a check may wait for a client that is being made.
const CLIENT_WITHIN: Duration = Duration::from_secs(2);

/// How long threads may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A connector to one Kafka cluster.
///
/// A publish is answered by librdkafka's report on its very record, which with `acks=all` comes
/// once all in-sync replicas have it, and counts only with the offset that the record was given
/// (`Report::Implied`). While the record is librdkafka's, the publish waits for the
/// report: it is never answered before, so that nothing is sent for which the answer was given. A
/// report that is late even so is forced by purging the producer, which another one replaces; the
/// other records of the purged one are then answered as unavailable too, and their routes send
/// them again.
#[derive(Debug)]
pub struct Connector {
    config: Arc<Config>,
    limits: Limits,
    session: Arc<Session>,
    topology: Topology,
    room: Room,
    /// Said once: nothing new is taken.
    closing: CancellationToken,
    /// Said after that: everything ends.
    stop: CancellationToken,
    /// Publishes that are not answered, and records that are not reported.
    under_way: TaskTracker,
    tasks: TaskTracker,
}

/// What came of one attempt.
enum Attempt {
    Settled(Result<(), PublishError>),
    /// Never sent, because its producer ended; or said to be stored without being told where. It
    /// is sent again while there is time, and nobody is told that it was acknowledged.
    Again(KafkaError),
}

// === impl Connector ===

impl Connector {
    /// A connector that finds its brokers when they are there. Must be called within a Tokio
    /// runtime, in which its tasks run until it is closed.
    ///
    /// # Errors
    ///
    /// A configuration that no broker could make good: an unknown raw property or one that is the
    /// connector's own, SASL extensions (rdkafka cannot send any).
    ///
    /// # Panics
    ///
    /// With OAuth, if the process has installed no `rustls` crypto provider.
    pub fn new(config: Config) -> Result<Self, BoxError> {
        let config = Arc::new(config);
        let limits = Limits::of(config.publish_timeout);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut tokens = None;
        let mut fetcher = None;
        if let Some(Sasl::OAuthBearer(endpoint)) = &config.sasl {
            if let Some(name) = endpoint.extensions.keys().next() {
                return Err(
                    format!("sasl.extensions.{name}: SASL extensions cannot be sent").into()
                );
            }
            let (made, newest) = Fetcher::new(endpoint.clone())?;
            (fetcher, tokens) = (Some(made), Some(newest));
        }
        let session = Session::new(Arc::clone(&config), limits, tokens, tasks.clone())?;
        let session = Arc::new(session);
        if let Some(fetcher) = fetcher {
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(fetcher.run()).await });
        }
        tasks.spawn(Arc::clone(&session).run(stop.clone()));
        Ok(Self {
            topology: Topology::new(Arc::clone(&config), session.site.clone(), stop.clone()),
            room: Room::new(config.in_flight, config.in_flight_bytes),
            limits,
            config,
            session,
            closing: CancellationToken::new(),
            stop,
            under_way: TaskTracker::new(),
            tasks,
        })
    }

    /// Waits for a client, a fit topic and room.
    async fn prepare(
        &self,
        topic: &Topic,
        bytes: usize,
        begun: Instant,
    ) -> Result<(Arc<Clients>, Place), Unavailable> {
        let until = begun + self.limits.wait;
        let clients = timeout_at(until, self.session.clients())
            .await
            .map_err(|_| self.session.is_starting())??;
        timeout_at(until, self.topology.ensure(&clients, topic))
            .await
            .map_err(|_| self.topology.unanswered(&clients))??;
        drop(clients);
        let place = timeout_at(until, self.room.take(bytes))
            .await
            .map_err(|_| {
                Unavailable::outage("Kafka is slow: as many records are under way as may be")
                    .advise("look at the brokers; or raise in_flight or in_flight_bytes")
            })?
            .map_err(|_| closed())?;
        // While waiting for room another may have taken its place.
        let clients = timeout_at(until, self.session.clients())
            .await
            .map_err(|_| self.session.is_starting())??;
        Ok((clients, place))
    }

    async fn attempt(&self, event: &Event, topic: &Topic, begun: Instant) -> Attempt {
        let record = record(event, self.config.content_mode);
        // What headers and key take is about this much; the broker knows it exactly.
        let bytes = record.value.len() + 1024;
        let prepared = self.closing.run_until_cancelled(self.prepare(topic, bytes, begun)).await;
        let (clients, place) = match prepared.unwrap_or_else(|| Err(closed())) {
            Ok(prepared) => prepared,
            Err(why) => return Attempt::Settled(Err(why.into())),
        };
        let (owed, answered) = Owed::new(place, self.under_way.token());
        let report = match clients.send(topic.as_str(), record, owed) {
            Ok(()) => match self.settled(&clients, answered, begun).await {
                // The broker speaks of the batch that the record was in.
                Report::Failed(error) if is_oversize(&error) => {
                    let report = self.send_single(&clients, event, topic, begun).await;
                    report.unwrap_or_else(Report::Failed)
                }
                report @ (Report::Acknowledged | Report::Implied | Report::Failed(_)) => report,
            },
            Err(error) => Report::Failed(error),
        };
        let error = match report {
            Report::Acknowledged => return Attempt::Settled(Ok(())),
            Report::Implied => {
                return Attempt::Again(KafkaError::MessageProduction(Code::NoOffset));
            }
            Report::Failed(error) => error,
        };
        match error.rdkafka_error_code() {
            Some(code @ (Code::Fatal | Code::PurgeQueue)) => {
                if code == Code::Fatal {
                    clients.signals.fatal();
                }
                self.session.give_up(&clients);
                Attempt::Again(cause(&clients).unwrap_or(error))
            }
            code => {
                // After a timeout the topic may tell more than the record can: too few replicas.
                let is_mute = code == Some(Code::MessageTimedOut);
                if is_mute || code.map(Repair::of).is_some_and(Repair::is_about_topic) {
                    self.topology.doubt(topic);
                }
                Attempt::Settled(Err(self.failed(error, topic, &clients)))
            }
        }
    }

    /// Waits for the report on one record; forces it when its time is over.
    async fn settled(
        &self,
        clients: &Clients,
        mut answered: oneshot::Receiver<Report>,
        begun: Instant,
    ) -> Report {
        let report = match timeout_at(begun + self.limits.purge, &mut answered).await {
            Ok(report) => report,
            Err(_) => {
                clients.signals.late();
                let forced = async {
                    clients.purge().await;
                    answered.await
                };
                // Purged, and not settled: there is nothing left that could be sent.
                let forced = timeout_at(begun + self.limits.answer, forced).await;
                forced.unwrap_or(Ok(failed(Code::MessageTimedOut)))
            }
        };
        // A record that is dropped with its producer was not acknowledged.
        report.unwrap_or(failed(Code::PurgeInflight))
    }

    /// A batch may be too large where no record of it is: only what is refused by itself is
    /// refused.
    async fn send_single(
        &self,
        clients: &Clients,
        event: &Event,
        topic: &Topic,
        begun: Instant,
    ) -> Result<Report, KafkaError> {
        let late = KafkaError::MessageProduction(Code::MessageTimedOut);
        // Else its time would not suffice for being given up by librdkafka itself.
        if begun.elapsed() > self.limits.wait {
            return Err(late);
        }
        let record = record(event, self.config.content_mode);
        let single = clients.single().await?;
        let place = timeout_at(begun + self.limits.wait, self.room.take(record.value.len())).await;
        let Ok(Ok(place)) = place else { return Err(late) };
        let (owed, answered) = Owed::new(place, self.under_way.token());
        hand_over(single, topic.as_str(), record, owed)?;
        Ok(self.settled(clients, answered, begun).await)
    }

    fn failed(&self, error: KafkaError, topic: &Topic, clients: &Clients) -> PublishError {
        of_publish(error, topic, clients.trouble().as_ref(), &self.session.site)
    }

    async fn clients_within(&self, within: Duration) -> Result<Arc<Clients>, Unavailable> {
        if self.closing.is_cancelled() {
            return Err(closed());
        }
        timeout(within, self.session.clients()).await.map_err(|_| self.session.is_starting())?
    }
}

#[async_trait]
impl vodbridge_core::Connector for Connector {
    async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        let begun = Instant::now();
        let _under_way = self.under_way.token();
        if self.closing.is_cancelled() {
            return Err(closed().into());
        }
        loop {
            match self.attempt(event, topic, begun).await {
                Attempt::Settled(answer) => return answer,
                Attempt::Again(error) if begun.elapsed() >= self.limits.wait => {
                    return Err(of_publish(error, topic, None, &self.session.site));
                }
                Attempt::Again(_) => {}
            }
        }
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        let clients = self.clients_within(CLIENT_WITHIN).await?;
        if topics.is_empty() {
            self.topology.ping(&clients).await?;
            return Ok(Vec::new());
        }
        self.topology.describe(&clients, topics).await
    }

    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        let clients = self.clients_within(CLIENT_WITHIN).await?;
        let mut answers = Vec::with_capacity(topics.len());
        for topic in topics {
            answers.push(self.topology.ensure(&clients, topic).await);
        }
        Ok(answers)
    }

    /// All zero while there is no client.
    fn client_stats(&self) -> Option<ClientStats> {
        Some(self.session.stats())
    }

    /// Waits until every publish is answered and every record reported, at most for
    /// `publish_timeout`.
    async fn close(&self) {
        self.closing.cancel();
        self.room.close();
        self.under_way.close();
        // What is not settled by then is settled by the purge that ends the producer.
        timeout(self.config.publish_timeout, self.under_way.wait()).await.ok();
        self.stop.cancel();
        self.tasks.close();
        // A thread that hangs in the client library must not keep the process.
        timeout(ENDS_WITHIN, self.tasks.wait()).await.ok();
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Why a producer ended, if it can be known.
fn cause(clients: &Clients) -> Option<KafkaError> {
    clients.fatal_error().map(|(code, _)| KafkaError::MessageProduction(code))
}

fn failed(code: Code) -> Report {
    Report::Failed(KafkaError::MessageProduction(code))
}

fn closed() -> Unavailable {
    Unavailable::outage("the connector is closed")
}

fn is_oversize(error: &KafkaError) -> bool {
    error.rdkafka_error_code().map(Repair::of) == Some(Repair::Shrink)
}
