//! One channel and the one task that publishes on it.
//!
//! lapin counts delivery tags and queues frames under two different locks, so that two tasks that
//! publish on one channel may have their confirms exchanged. Here everything of a channel,
//! publishing and awaiting, is polled by one task.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;
use vodbridge_core::{PublishError, Unavailable};

use crate::Config;
use crate::batch::{Mark, Verdict, judge};
use crate::error::{refused_topic, reply, reply_code, too_large};
use crate::queue::{Publish, Queue};
use crate::session::Session;

/// How long a channel whose time is over may take to close before the connection is given up.
const CLOSE_WITHIN: Duration = Duration::from_millis(250);

/// A topic that has no queue is no reason to look at the topology with every event of it: it may
/// be right that nobody wants it.
const LOOKED_WITHIN: Duration = Duration::from_secs(1);

/// Takes batches from the queue, publishes them and answers for them, until the queue has ended
/// or the connection is lost.
pub(crate) struct Publisher {
    pub(crate) session: Arc<Session>,
    pub(crate) config: Arc<Config>,
    pub(crate) queue: Queue,
}

// === impl Publisher ===

impl Publisher {
    pub(crate) async fn run(self) {
        let mut channel = None;
        while self.session.is_up() {
            let batch = tokio::select! {
                biased;
                () = self.session.is_lost() => return,
                batch = self.next_batch() => batch,
            };
            if batch.is_empty() {
                break;
            }
            let batch = self.in_time(batch);
            if !batch.is_empty() {
                channel = self.publish(channel, batch).await;
            }
        }
        if let Some(channel) = channel {
            // The connection does not close well over channels that are just closing.
            timeout(CLOSE_WITHIN, channel.close(200, "the bridge stops".into())).await.ok();
        }
    }

    async fn next_batch(&self) -> Vec<Publish> {
        // What would only wait in the client is better off in the queue, where it can time out.
        self.session.unblocked().await;
        self.queue.take(usize::from(self.config.batch_max).max(1)).await
    }

    /// Those that can still be answered for in time; the others are answered.
    fn in_time(&self, batch: Vec<Publish>) -> Vec<Publish> {
        let now = Instant::now();
        let is_wanted = |publish: &Publish| publish.begin_by > now && !publish.answer.is_closed();
        let (wanted, late): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_wanted);
        for publish in late {
            let why =
                "RabbitMQ is slower than what comes in: the event waited too long for its turn";
            publish.unavailable(Unavailable::outage(why).advise("see its load and its disk"));
        }
        wanted
    }

    /// Returns the channel if it is good for another batch.
    async fn publish(&self, channel: Option<Channel>, batch: Vec<Publish>) -> Option<Channel> {
        if let Err(reason) = self.session.topology(&self.config).await {
            batch.into_iter().for_each(|publish| publish.unavailable(reason.tell()));
            return channel;
        }
        self.session.rested().await;
        let mut batch = self.fitting(self.in_time(batch));
        if batch.is_empty() {
            return channel;
        }
        let channel = match channel {
            Some(channel) if channel.status().connected() => channel,
            Some(_) | None => match self.session.open_channel().await {
                Ok(channel) => channel,
                Err(why) => {
                    let why = crate::error::Reason::from(why);
                    batch.into_iter().for_each(|publish| publish.unavailable(why.tell()));
                    return None;
                }
            },
        };
        let marks: Vec<_> =
            batch.iter().map(|p| Mark::new(&p.message.properties, &p.routing_key)).collect();
        // They are large, and of no use any more once the marks are taken.
        let take = |publish: &mut Publish| std::mem::take(&mut publish.message.properties);
        let properties = batch.iter_mut().map(take).collect();
        match self.confirm(&channel, &batch, properties).await {
            Some(confirmations) => {
                let verdicts = judge(&marks, confirmations);
                let good =
                    verdicts.iter().all(|v| !matches!(v, Verdict::Lost(_) | Verdict::Untold));
                self.answer(batch, verdicts).await;
                good.then_some(channel)
            }
            None => {
                batch.into_iter().for_each(|publish| publish.unavailable(no_answer()));
                None
            }
        }
    }

    /// Those that the broker can take by their size; the others are answered.
    fn fitting(&self, batch: Vec<Publish>) -> Vec<Publish> {
        let (body_max, frame_max) = (self.session.body_bytes_max(), self.session.frame_bytes_max());
        let mut fitting = Vec::with_capacity(batch.len());
        for publish in batch {
            let body = publish.message.body.len();
            if body > body_max {
                publish.answer(Err(oversize(body, body_max)));
            } else if publish.message.header_bytes > frame_max {
                let why = format!(
                    "the attributes take {} bytes, more than a frame of this RabbitMQ ({frame_max})",
                    publish.message.header_bytes
                );
                publish.answer(Err(PublishError::Refused(why.into())));
            } else {
                fitting.push(publish);
            }
        }
        fitting
    }

    /// Publishes the batch and awaits every confirm of it, until it is time to answer. `None` when
    /// not even the end of the connection ends the waiting.
    async fn confirm(
        &self,
        channel: &Channel,
        batch: &[Publish],
        properties: Vec<BasicProperties>,
    ) -> Option<Vec<lapin::Result<Confirmation>>> {
        let answer_by = batch.iter().map(|publish| publish.answer_by).min()?;
        let each = batch.iter().zip(properties);
        let mut all = pin!(join_all(each.map(|(one, its)| self.confirm_one(channel, one, its))));
        if let Ok(all) = timeout_at(answer_by, &mut all).await {
            return Some(all);
        }
        // Only closing rejects what is pending; dropping it would leave it in the client for ever,
        // and what has not been written yet would be sent later.
        warn!("RabbitMQ did not confirm in time: the channel is closed");
        if self.session.blocked().is_none() {
            let closing = channel.close(200, "no confirm in time".into());
            let closed = async { tokio::join!(&mut all, closing).0 };
            if let Ok(all) = timeout(CLOSE_WITHIN, closed).await {
                return Some(all);
            }
        }
        self.session.give_up();
        timeout(CLOSE_WITHIN, all).await.ok()
    }

    fn confirm_one<'a>(
        &'a self,
        channel: &'a Channel,
        publish: &'a Publish,
        properties: BasicProperties,
    ) -> impl Future<Output = lapin::Result<Confirmation>> + 'a {
        // Without it the broker confirms what it has thrown away for want of a queue.
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        async move {
            let exchange = self.config.exchange.as_str().into();
            let Publish { routing_key, message, .. } = publish;
            channel
                .basic_publish(exchange, routing_key.clone(), options, &message.body, properties)
                .await?
                .await
        }
    }

    async fn answer(&self, batch: Vec<Publish>, verdicts: Vec<Verdict>) {
        let is_too_large = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Lost(error) => too_large(error),
            Verdict::Stored | Verdict::Unroutable | Verdict::Rejected | Verdict::Untold => None,
        });
        if let Some((_, max)) = is_too_large {
            warn!(max, "RabbitMQ takes smaller messages than message_bytes_max says");
            self.session.set_body_bytes_max(max);
        }
        let mut in_doubt = None;
        for (publish, verdict) in batch.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Stored => {
                    self.session.proved_open();
                    publish.answer(Ok(()));
                }
                Verdict::Unroutable => {
                    in_doubt.get_or_insert(LOOKED_WITHIN);
                    let why = unroutable(&self.config, publish.routing_key.as_str());
                    publish.unavailable(why);
                }
                Verdict::Rejected => publish.unavailable(rejected(&self.config)),
                Verdict::Untold => publish.unavailable(no_answer()),
                Verdict::Lost(error) => {
                    if reply_code(&error) == Some(reply::NOT_FOUND) {
                        in_doubt = Some(Duration::ZERO);
                    }
                    let size = publish.message.body.len();
                    match is_too_large {
                        Some((_, max)) if size > max => publish.answer(Err(oversize(size, max))),
                        Some(_) | None => {
                            let why = lost(&self.config, publish.routing_key.as_str(), error);
                            publish.unavailable(why);
                        }
                    }
                }
            }
        }
        if let Some(within) = in_doubt {
            self.session.doubt_topology(within).await;
        }
    }
}

fn oversize(size: usize, max: usize) -> PublishError {
    PublishError::Refused(
        format!("{size} bytes are more than the {max} that this RabbitMQ takes (max_message_size)")
            .into(),
    )
}

pub(crate) fn unroutable(config: &Config, topic: &str) -> Unavailable {
    let exchange = &config.exchange;
    Unavailable::topology(format!("no queue is bound to exchange {exchange:?} for topic {topic:?}"))
        .advise(format!(
            "rabbitmqadmin declare binding source={exchange} destination=QUEUE routing_key={topic}"
        ))
}

fn rejected(config: &Config) -> Unavailable {
    let exchange = &config.exchange;
    Unavailable::outage(format!("a queue of exchange {exchange:?} rejected the event"))
        .advise("it is full (x-max-length) or has lost its majority: consume from it, or see rabbitmq-queues check_if_node_is_quorum_critical")
}

fn no_answer() -> Unavailable {
    Unavailable::outage("RabbitMQ did not confirm the event in time")
        .advise("see its load, its disk and its alarms: rabbitmq-diagnostics alarms")
}

/// What the end of its channel means for an event of that topic.
fn lost(config: &Config, topic: &str, error: lapin::Error) -> Unavailable {
    let exchange = &config.exchange;
    let another = || Unavailable::outage("the channel ended over another event sent with this one");
    if let Some(refused) = refused_topic(&error) {
        // All that was pending on the channel is told the same.
        let why = if refused.is(topic) {
            Unavailable::topology(format!(
                "the user may not publish to topic {topic:?} of exchange {exchange:?}"
            ))
            .advise(format!(
                "rabbitmqctl set_topic_permissions -p VHOST USER {exchange} WRITE READ, where \
                 WRITE matches the topic"
            ))
        } else {
            another()
        };
        return why.caused_by(error);
    }
    match reply_code(&error) {
        Some(reply::NOT_FOUND) => {
            Unavailable::topology(format!("exchange {exchange:?} is missing"))
                .advise(format!("rabbitmqadmin declare exchange name={exchange} type=topic durable=true"))
        }
        Some(reply::ACCESS_REFUSED) => Unavailable::topology(format!(
            "the user may not publish to exchange {exchange:?}"
        ))
        .advise("rabbitmqctl set_permissions -p VHOST USER CONFIGURE WRITE READ, where WRITE matches the exchange"),
        Some(reply::PRECONDITION_FAILED) => another(),
        Some(_) | None => Unavailable::outage("the connection to RabbitMQ ended before it answered"),
    }
    .caused_by(error)
}
