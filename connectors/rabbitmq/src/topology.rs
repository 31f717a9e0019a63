//! What the connector needs at its broker: a topic exchange, and a queue that keeps what nobody
//! else keeps.
//!
//! Every question goes over a channel of its own, which the broker closes when the answer is no.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};
use tokio::time::timeout;
use tracing::{info, warn};
use vodbridge_core::{Provision, Unavailable};

use crate::error::{Reason, reply, reply_code};
use crate::management::Seen;
use crate::session::{STEP_WITHIN, Session};
use crate::{Config, Queue, QueueKind};

/// What our queue is bound for: every topic of the bridge begins so.
pub(crate) const BINDING: &str = "vod.#";

/// How long a queue that was made just now is left alone.
///
/// RabbitMQ confirms what a new quorum queue takes, and forgets it when it is killed right then:
/// the log is on disk, but the node's list of its logs is saved only 500 ms later
/// (`ra_directory.erl` of Ra: a DETS table with `{auto_save, 500}`). Measured on 3.10.8 and 4.0.5:
/// killed at once after the first confirm, the queue comes back empty; a second later it never
/// did.
const RESTS_FOR: Duration = Duration::from_secs(3);

/// What was found, or made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// The kind of our queue, where the broker itself has agreed to it and to its binding; `None`:
    /// it is not ours, was there before and differs, or may get nothing.
    pub(crate) queue: Option<QueueKind>,
    /// What the management API shows, if it was asked and answered.
    pub(crate) seen: Option<Arc<Seen>>,
}

/// Makes or looks at everything, as the configuration says.
///
/// # Errors
///
/// What is missing, with what an operator can do, and a broker that does not answer.
pub(crate) async fn ensure(session: &Session, config: &Config) -> Result<Found, Reason> {
    let look = Look { session, config };
    let queue = match config.topology {
        Provision::Create => look.create().await?,
        Provision::Verify => {
            look.verify().await?;
            None
        }
    };
    Ok(Found { queue, seen: look.seen().await? })
}

/// Looks at everything and changes nothing; returns what the management API shows.
///
/// # Errors
///
/// As [`ensure`]; what is missing and made with the first event is pending.
pub(crate) async fn look(session: &Session, config: &Config) -> Result<Option<Arc<Seen>>, Reason> {
    let look = Look { session, config };
    match look.verify().await {
        Ok(()) => Ok(look.seen().await?),
        Err(why) if config.topology == Provision::Create && is_missing(&why) => {
            Err(pending(why).into())
        }
        Err(why) => Err(why.into()),
    }
}

fn is_missing(why: &Unavailable) -> bool {
    let source = why.source.as_ref().and_then(|source| source.downcast_ref());
    source.and_then(reply_code) == Some(reply::NOT_FOUND)
}

fn pending(missing: Unavailable) -> Unavailable {
    let make = missing.advice.unwrap_or_default();
    Unavailable::pending(format!("{} yet; it is made with the first event", missing.message))
        .advise(format!("to make it now: vodbridge check --create, or {make}"))
}

struct Look<'a> {
    session: &'a Session,
    config: &'a Config,
}

/// How a question ended that the broker has answered.
enum Said {
    Yes,
    /// The code with which it closed the channel.
    No(u16, lapin::Error),
}

// === impl Look ===

impl Look<'_> {
    async fn create(&self) -> Result<Option<QueueKind>, Unavailable> {
        let exchange = self.config.exchange.as_str();
        match self.declare_exchange().await? {
            Said::Yes => {}
            Said::No(reply::PRECONDITION_FAILED, why) => {
                warn!(exchange, error = %why, "the exchange differs from what the bridge would make, and is used as it is");
                self.verify_exchange().await?;
            }
            Said::No(reply::ACCESS_REFUSED, why) => {
                info!(exchange, error = %why, "the user may not make the exchange; looking for it");
                self.verify_exchange().await?;
            }
            Said::No(_, why) => {
                return Err(Unavailable::topology(format!("exchange {exchange:?} cannot be made"))
                    .advise(make_exchange(exchange))
                    .caused_by(why));
            }
        }
        match &self.config.queue {
            Some(queue) => self.create_queue(queue).await,
            None => Ok(None),
        }
    }

    async fn create_queue(&self, queue: &Queue) -> Result<Option<QueueKind>, Unavailable> {
        let name = queue.name.as_str();
        let is_new = matches!(self.look_for_queue(name).await?, Said::No(reply::NOT_FOUND, _));
        let kind = match self.declare_queue(queue).await? {
            Said::Yes => {
                if is_new {
                    info!(queue = name, "made the queue; it is published to after a rest");
                    self.session.let_rest(RESTS_FOR);
                }
                if queue.kind == QueueKind::Classic {
                    warn!(
                        queue = name,
                        "a classic queue lies on one node alone, and since RabbitMQ 3.13 it is not flushed to disk before it confirms: use a quorum queue where there are any"
                    );
                }
                Some(queue.kind)
            }
            Said::No(reply::PRECONDITION_FAILED, why) => {
                // A queue that is there is answered so, and one whose arguments the broker does
                // not know as well: looking tells the two apart.
                self.verify_queue(queue).await.map_err(|missing| missing.caused_by(why.clone()))?;
                warn!(queue = name, error = %why, "the queue differs from what the bridge would make, and is used as it is");
                None
            }
            Said::No(reply::ACCESS_REFUSED, why) => {
                info!(queue = name, error = %why, "the user may not make the queue; looking for it");
                self.verify_queue(queue).await?;
                None
            }
            Said::No(code, why) => {
                let kind = kind_name(queue.kind);
                let advice = if code == reply::NOT_IMPLEMENTED || queue.kind == QueueKind::Quorum {
                    "set queue.type: classic if this RabbitMQ has no quorum queues"
                } else {
                    "make it yourself and set topology: verify"
                };
                return Err(Unavailable::topology(format!("{kind} queue {name:?} cannot be made"))
                    .advise(advice)
                    .caused_by(why));
            }
        };
        let is_bound = self.bind(name).await?;
        Ok(kind.filter(|_| is_bound))
    }

    /// Whether the queue is known to be bound.
    async fn bind(&self, queue: &str) -> Result<bool, Unavailable> {
        let exchange = self.config.exchange.as_str();
        let said = self
            .ask(|channel| async move {
                let (options, none) = (QueueBindOptions::default(), FieldTable::default());
                channel
                    .queue_bind(queue.into(), exchange.into(), BINDING.into(), options, none)
                    .await
            })
            .await?;
        match said {
            Said::Yes => Ok(true),
            // Whether it is bound shows with the first event: one without a queue is returned.
            Said::No(reply::ACCESS_REFUSED, why) => {
                info!(queue, exchange, error = %why, "the user may not bind the queue; left as it is");
                Ok(false)
            }
            Said::No(_, why) => Err(Unavailable::topology(format!(
                "queue {queue:?} cannot be bound to exchange {exchange:?}"
            ))
            .advise(format!(
                "rabbitmqadmin declare binding source={exchange} destination={queue} \
                 routing_key='{BINDING}'"
            ))
            .caused_by(why)),
        }
    }

    async fn verify(&self) -> Result<(), Unavailable> {
        self.verify_exchange().await?;
        match &self.config.queue {
            Some(queue) => self.verify_queue(queue).await,
            None => Ok(()),
        }
    }

    /// What the management API shows, if it is asked and answers.
    async fn seen(&self) -> Result<Option<Arc<Seen>>, Unavailable> {
        let exchange = &self.config.exchange;
        let Some(management) = self.session.management() else { return Ok(None) };
        let seen = management.look(exchange).await;
        match seen.as_ref().and_then(|seen| seen.alternate(exchange)) {
            Some(why) => Err(why),
            None => Ok(seen.map(Arc::new)),
        }
    }

    async fn verify_exchange(&self) -> Result<(), Unavailable> {
        let exchange = self.config.exchange.as_str();
        let said = self
            .ask(|channel| async move {
                let options = ExchangeDeclareOptions { passive: true, ..<_>::default() };
                let (kind, none) = (ExchangeKind::Topic, FieldTable::default());
                channel.exchange_declare(exchange.into(), kind, options, none).await
            })
            .await?;
        match said {
            // From 4.3.1 on a passive declaration takes a right: no right is no "missing".
            Said::Yes | Said::No(reply::ACCESS_REFUSED, _) => Ok(()),
            Said::No(_, why) => {
                Err(Unavailable::topology(format!("exchange {exchange:?} is missing"))
                    .advise(make_exchange(exchange))
                    .caused_by(why))
            }
        }
    }

    async fn verify_queue(&self, queue: &Queue) -> Result<(), Unavailable> {
        let name = queue.name.as_str();
        match self.look_for_queue(name).await? {
            Said::Yes | Said::No(reply::ACCESS_REFUSED, _) => Ok(()),
            Said::No(reply::NOT_FOUND, why) => {
                let kind = kind_name(queue.kind);
                Err(Unavailable::topology(format!("queue {name:?} is missing"))
                    .advise(format!(
                        "rabbitmqadmin declare queue name={name} durable=true \
                         arguments='{{\"x-queue-type\":\"{kind}\"}}', and bind it to {} for \
                         '{BINDING}'; or set queue: null",
                        self.config.exchange
                    ))
                    .caused_by(why))
            }
            Said::No(_, why) => {
                Err(Unavailable::topology(format!("queue {name:?} cannot be used"))
                    .advise("see the broker's log; the queue may be exclusive or its node down")
                    .caused_by(why))
            }
        }
    }

    async fn look_for_queue(&self, name: &str) -> Result<Said, Unavailable> {
        self.ask(|channel| async move {
            let options = QueueDeclareOptions { passive: true, ..<_>::default() };
            channel.queue_declare(name.into(), options, FieldTable::default()).await.map(drop)
        })
        .await
    }

    async fn declare_exchange(&self) -> Result<Said, Unavailable> {
        let exchange = self.config.exchange.as_str();
        self.ask(|channel| async move {
            let options = ExchangeDeclareOptions { durable: true, ..<_>::default() };
            // No alternate exchange: what is routed through one counts as routed, and
            // `mandatory` would return nothing any more (RabbitMQ, "Alternate Exchanges").
            let (kind, none) = (ExchangeKind::Topic, FieldTable::default());
            channel.exchange_declare(exchange.into(), kind, options, none).await
        })
        .await
    }

    async fn declare_queue(&self, queue: &Queue) -> Result<Said, Unavailable> {
        let name = queue.name.as_str();
        let arguments = arguments(queue);
        self.ask(|channel| async move {
            let options = QueueDeclareOptions { durable: true, ..<_>::default() };
            channel.queue_declare(name.into(), options, arguments).await.map(drop)
        })
        .await
    }

    /// Asks one question on a channel of its own.
    async fn ask<F>(&self, question: impl FnOnce(Channel) -> F) -> Result<Said, Unavailable>
    where
        F: Future<Output = lapin::Result<()>>,
    {
        let asking = async {
            let channel = self.session.connection().create_channel().await?;
            question(channel.clone()).await?;
            // Left open it would be closed when it is dropped; nobody waits for that.
            channel.close(200, "looked".into()).await
        };
        match timeout(STEP_WITHIN, asking).await {
            Ok(Ok(())) => Ok(Said::Yes),
            Ok(Err(why)) => match reply_code(&why) {
                Some(code) if self.session.is_up() => Ok(Said::No(code, why)),
                Some(_) | None => Err(Unavailable::outage(
                    "the connection to RabbitMQ ended while its topology \
                                             was looked at",
                )
                .caused_by(why)),
            },
            Err(_) => {
                // A broker that blocks publishes goes on answering; one that does not answer is
                // of no use.
                self.session.give_up();
                Err(Unavailable::outage(format!(
                    "RabbitMQ does not say within {STEP_WITHIN:?} whether its topology is there"
                )))
            }
        }
    }
}

/// The arguments of the queue that we make.
fn arguments(queue: &Queue) -> FieldTable {
    let mut arguments = FieldTable::default();
    let mut text = |name: &str, value: &str| {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    text("x-queue-type", kind_name(queue.kind));
    if queue.length_max.is_some() {
        // The default, drop-head, throws away what was confirmed.
        text("x-overflow", "reject-publish");
    }
    if let Some(max) = queue.length_max {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(max));
    }
    arguments
}

fn kind_name(kind: QueueKind) -> &'static str {
    match kind {
        QueueKind::Quorum => "quorum",
        QueueKind::Classic => "classic",
    }
}

fn make_exchange(exchange: &str) -> String {
    format!("rabbitmqadmin declare exchange name={exchange} type=topic durable=true")
}
