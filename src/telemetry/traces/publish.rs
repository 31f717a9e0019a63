//! What each attempt to publish is traced as, and whose context its message carries.

use std::sync::Arc;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use vodbridge_core::{
    Cause, ClientStats, Connector, Durability, Event, PublishError, Topic, Unavailable,
};

use super::{Span, Traces, builder, context};
use crate::telemetry::chain::Chain;

/// Where a connector's events lie, in the words of the conventions.
#[derive(Clone, Debug)]
pub struct Destination {
    /// `messaging.system`.
    pub system: &'static str,
    /// RabbitMQ's exchange, whose routing keys are the topics.
    pub exchange: Option<String>,
}

/// A connector whose every publish is a span.
struct Traced {
    traces: Traces,
    name: String,
    destination: Destination,
    connector: Arc<dyn Connector>,
}

/// A publish under way. Dropped before its answer, it says so.
struct Attempt(Span);

// === impl Traces ===

impl Traces {
    /// The connector as it is, or one that traces each publish to it.
    pub fn over(
        &self,
        name: &str,
        destination: Destination,
        connector: Arc<dyn Connector>,
    ) -> Arc<dyn Connector> {
        if !self.is_on() {
            return connector;
        }
        Arc::new(Traced { traces: self.clone(), name: name.to_owned(), destination, connector })
    }
}

// === impl Traced ===

impl Traced {
    /// "Send" spans: `messaging.operation.name` and the destination name them; they are of the kind
    /// PRODUCER where "the context of the span is used as the creation context".
    fn attempt(&self, event: &Event, topic: &Topic) -> Attempt {
        let span = || {
            let Destination { system, exchange } = &self.destination;
            let topic = topic.as_str();
            // RabbitMQ: "the destination name SHOULD be {exchange}:{routing key}".
            let place = match exchange {
                Some(exchange) => format!("{exchange}:{topic}"),
                None => topic.to_owned(),
            };
            let bytes = i64::try_from(event.data.len()).unwrap_or(i64::MAX);
            let mut attributes = vec![
                KeyValue::new("messaging.system", *system),
                KeyValue::new("messaging.operation.name", "publish"),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("messaging.destination.name", place.clone()),
                KeyValue::new("messaging.message.id", event.id.to_string()),
                KeyValue::new("messaging.message.body.size", bytes),
                KeyValue::new("vodbridge.connector", self.name.clone()),
            ];
            if exchange.is_some() {
                let key = topic.to_owned();
                attributes.push(KeyValue::new("messaging.rabbitmq.destination.routing_key", key));
            }
            builder(format!("publish {place}"), SpanKind::Producer, attributes)
        };
        Attempt(self.traces.begin(context::of_stamped(event), None, span))
    }
}

#[async_trait]
impl Connector for Traced {
    async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        let attempt = self.attempt(event, topic);
        let mut event = event.clone();
        attempt.0.stamp(&mut event);
        let answer = self.connector.publish(&event, topic).await;
        attempt.answered(&answer);
        answer
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        self.connector.check(topics).await
    }

    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        self.connector.provide(topics).await
    }

    fn client_stats(&self) -> Option<ClientStats> {
        self.connector.client_stats()
    }

    async fn close(&self) {
        self.connector.close().await;
    }
}

// === impl Attempt ===

impl Attempt {
    fn answered(mut self, answer: &Result<(), PublishError>) {
        let mut span = std::mem::take(&mut self.0);
        match answer {
            Ok(()) => {}
            Err(PublishError::Refused(why)) => span.fail("refused", || Chain(&**why).to_string()),
            Err(PublishError::Unavailable(why)) => {
                let kind = match why.cause {
                    Cause::Outage => "outage",
                    Cause::Topology | Cause::Pending => "topology",
                };
                span.fail(kind, || Chain(why).to_string());
            }
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.fail("cancelled", || "the publish was not answered".to_owned());
    }
}
