use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use vodbridge_core::Backoff;
use vodbridge_vod::api::{Action, EVENTS_MAX};
use vodbridge_vod::client::{Answered, CallError};
use vodbridge_vod::reaction::Reaction;

use super::Shared;

/// Between two polls while nothing could settle.
const PAUSED_POLL: Duration = Duration::from_secs(5);

/// How long a person's mistake is waited out between two polls: it can be mended without a
/// restart.
const OPERATOR_FIRST: Duration = Duration::from_secs(1);
const OPERATOR_LONGEST: Duration = Duration::from_secs(30);

/// Empty replies that did not wait, in a row, before polls slow down: it is not known whether an
/// empty `EventSet` waits as the error does.
const HASTY_MAX: u32 = 3;

/// What follows a poll.
enum Next {
    /// The next one.
    On,
    /// The queue is empty: fewer workers do.
    Idle,
    /// The next one, after a while.
    After(Duration),
}

/// The waits of one worker, by what it waits out.
struct Waits {
    /// Empty replies in a row that VOD did not hold back.
    hasty: u32,
    empty: Backoff,
    failed: Backoff,
    refused: Backoff,
}

// === impl Shared ===

impl Shared {
    /// Polls until told to stop, or until there are more workers than the queue needs.
    ///
    /// A poll that a stop cuts off may have been answered: its events come again.
    pub(super) async fn work(self: Arc<Self>, stop: CancellationToken) {
        let mut waits = Waits::new();
        while !stop.is_cancelled() {
            if !self.puller.could_settle() {
                if self.crew.leave() {
                    return;
                }
                debug!(application = &*self.puller.application, "nothing could settle");
                stop.run_until_cancelled(sleep(PAUSED_POLL)).await;
            }
            let began = Instant::now();
            let Some(answer) = stop.run_until_cancelled(self.poll()).await else { return };
            let next = match answer {
                Ok(answered) if answered.reply.events.is_empty() => {
                    waits.after_empty(began.elapsed() < self.puller.poll_wait() / 2)
                }
                Ok(answered) => {
                    let is_full = answered.reply.events.len() >= EVENTS_MAX;
                    if is_full && self.puller.could_settle() {
                        self.crew.grow();
                    }
                    if self.take_in(answered, began.elapsed()).await {
                        waits = Waits::new();
                        Next::On
                    } else {
                        waits.after_empty(true)
                    }
                }
                Err(why) if why.reaction() == Reaction::Empty => {
                    waits.after_empty(began.elapsed() < self.puller.poll_wait() / 2)
                }
                Err(why) => waits.after_failure(why.reaction()),
            };
            match next {
                Next::On => {}
                // One is enough to see when there is something to do again.
                Next::Idle | Next::After(_) if self.crew.leave() => return,
                Next::Idle => {}
                Next::After(wait) => drop(stop.run_until_cancelled(sleep(wait)).await),
            }
        }
    }

    async fn poll(&self) -> Result<Answered, CallError> {
        let puller = &*self.puller;
        let request = puller.of_application();
        let answer = puller.client.call_within(&puller.room, Action::PullEvents, &request).await;
        puller.metrics.count(Action::PullEvents, answer.as_ref().map(|_| ()));
        puller.trouble.note_skew(&puller.application, puller.client.skew().too_large());
        match &answer {
            Err(why) if why.reaction() != Reaction::Empty => {
                puller.trouble.note(&puller.application, Action::PullEvents, why);
            }
            Ok(_) | Err(_) => puller.trouble.over(&puller.application, Action::PullEvents),
        }
        answer
    }
}

// === impl Waits ===

impl Waits {
    fn new() -> Self {
        Self {
            hasty: 0,
            empty: Backoff::new(),
            failed: Backoff::new(),
            refused: Backoff::between(OPERATOR_FIRST, OPERATOR_LONGEST),
        }
    }

    /// VOD has waited already, unless its reply was `hasty`.
    fn after_empty(&mut self, hasty: bool) -> Next {
        let (hasty, empty) = match hasty {
            true => (self.hasty + 1, std::mem::take(&mut self.empty)),
            false => (0, Backoff::new()),
        };
        *self = Self { hasty, empty, ..Self::new() };
        if self.hasty > HASTY_MAX { Next::After(self.empty.next_wait()) } else { Next::Idle }
    }

    fn after_failure(&mut self, reaction: Reaction) -> Next {
        Next::After(match reaction {
            Reaction::Operator => self.refused.next_wait(),
            Reaction::Renew
            | Reaction::SlowDown
            | Reaction::Retry
            | Reaction::TooLate
            | Reaction::Empty => self.failed.next_wait(),
        })
    }
}
