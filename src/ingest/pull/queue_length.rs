use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use vodbridge_vod::api::{Action, EventsState};
use vodbridge_vod::client::CallError;

use super::Puller;
use crate::telemetry::chain::Chain;

/// How often the length of the queue is asked for; VOD's own count is some minutes late.
const ASK_EVERY: Duration = Duration::from_secs(60);

// === impl Puller ===

impl Puller {
    /// Asks for the length of the queue until told to stop. Only a number for people: VOD says
    /// that nothing must be decided by it.
    pub(super) async fn watch_queue_length(self: Arc<Self>, stop: CancellationToken) {
        let watching = async {
            let mut ticks = interval(ASK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut was_told = false;
            loop {
                ticks.tick().await;
                let told = self.ask_queue_length(was_told).await;
                was_told |= told.is_err();
                self.metrics.set_queue_events(told.ok().flatten());
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    async fn ask_queue_length(&self, was_told: bool) -> Result<Option<u64>, CallError> {
        let action = Action::DescribeEventsState;
        let answer = self.client.call(action, &self.of_application()).await;
        self.metrics.count(action, answer.as_ref().map(|_| ()));
        if let Err(why) = &answer
            && !was_told
        {
            let (error, advice) = (Chain(why).to_string(), why.advice());
            let application = &*self.application;
            warn!(application, error, %advice, "the length of VOD's queue cannot be told");
        }
        let state = answer?.reply.read::<EventsState>();
        Ok(state.ok().and_then(|state| state.count_of_events_to_pull))
    }
}
