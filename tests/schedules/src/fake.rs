//! A connector that behaves as the weather says.

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use tokio::time::sleep;
use vodbridge_core::{
    Answer as Survival, Connector, Durability, Event, Provenance, PublishError, Survives, Topic,
    Unavailable,
};

use crate::weather::{Answer, Mood};
use crate::world::World;

/// The fake at one place.
pub(crate) struct Fake {
    pub(crate) world: Arc<World>,
    pub(crate) place: usize,
}

#[async_trait]
impl Connector for Fake {
    async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        let (answer, attempt) = self.world.attempt(self.place, event, topic);
        match answer {
            Answer::Takes(after) => {
                if !after.is_zero() {
                    sleep(after).await;
                }
                attempt.acknowledged();
                Ok(())
            }
            Answer::Outage => {
                attempt.failed(false);
                Err(Unavailable::outage("away").into())
            }
            Answer::Topology => {
                attempt.failed(false);
                Err(Unavailable::topology("missing").into())
            }
            Answer::Refuses => {
                attempt.failed(true);
                Err(PublishError::Refused("refused".into()))
            }
            Answer::Hangs => pending().await,
            // Unwinds as a panic does, without a word on standard error.
            Answer::Panics => {
                attempt.failed(false);
                resume_unwind(Box::new("a panic of the weather"))
            }
        }
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        let (mood, seed) = self.world.check(self.place, topics.first());
        let mut rng = Rng::with_seed(seed);
        match mood {
            Mood::Away => return Err(Unavailable::outage("away")),
            Mood::Silent => pending().await,
            Mood::Panicky if rng.bool() => resume_unwind(Box::new("a panic of a check")),
            Mood::Slow => sleep(Duration::from_millis(rng.u64(..7_000))).await,
            Mood::Fine | Mood::Missing | Mood::Panicky | Mood::Choosy | Mood::Rough => {}
        }
        let yes = || Survival::yes(Provenance::Assumed);
        let read = |topic: &Topic| {
            let is_there = mood != Mood::Missing;
            let survives = self.world.read(self.place, topic, is_there);
            if !is_there {
                return Err(Unavailable::topology("missing"));
            }
            let survives = if survives { Survives::Yes } else { Survives::No };
            let machine = Survival { survives, provenance: Provenance::Broker, remedy: None };
            Ok(Durability { process: yes(), machine, node: yes(), all: yes() })
        };
        Ok(topics.iter().map(read).collect())
    }

    async fn close(&self) {}
}
