use async_trait::async_trait;
use vodbridge_core::{Connector, Durability, Event, PublishError, Topic, Unavailable};

/// Takes no letters: what is refused again stays what it is.
pub(super) struct Nowhere;

#[async_trait]
impl Connector for Nowhere {
    async fn publish(&self, _: &Event, _: &Topic) -> Result<(), PublishError> {
        Err(PublishError::Refused("it stays what it is".into()))
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        Ok(topics.iter().map(|_| Err(Unavailable::topology("nowhere"))).collect())
    }

    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        Ok(topics.iter().map(|_| Ok(())).collect())
    }

    async fn close(&self) {}
}
