//! Reliable callbacks: what VOD keeps in a queue, pulled, settled and only then confirmed.
//!
//! ```text
//! workers: long polls, more of them while the queue fills
//!    |  reply -> elements -> event -> outlet, each by itself
//!    v
//! intake: awaits every event of one reply until its handle is near its end
//!    |  delivered, rejected, a duplicate: its handle            deferred: nothing, it comes again
//!    v
//! confirmer: up to 16 handles a call, again until they end
//! ```
//!
//! What is not confirmed comes back 30 s after it was pulled, for four days: nothing here has to
//! be kept, and every way out that is not a confirmation is safe.

mod confirm;
mod crew;
mod handles;
mod intake;
mod queue_length;
mod trouble;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};
use vodbridge_vod::api::{Action, OfApplication};
use vodbridge_vod::client::{Client, Room};

use super::callback::Clock;
use crate::normalize::Normalizer;
use crate::outlet::Outlet;
use crate::route::{Router, Ways};
use crate::telemetry::metrics::{Intake, Pulling};
use crate::telemetry::traces::Traces;
use confirm::Confirmer;
use crew::Crew;
use handles::Handles;
pub use trouble::Trouble;

/// How long a worker that panicked is not replaced.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// How often a stop looks whether what is owed can still settle.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The puller of one application.
pub struct Puller {
    /// The application's name.
    pub application: Arc<str>,
    /// Its SubAppId; absent for the default application of an old account.
    pub sub_app_id: Option<u64>,
    /// Calls VOD.
    pub client: Client,
    /// Long polls at a time, at most.
    pub workers_max: usize,
    /// How long VOD hides an event that was pulled.
    pub handle_life: Duration,
    /// How long before that a handle is given up.
    pub margin: Duration,
    /// How long a stop waits for what was pulled to settle; what has settled is confirmed after
    /// that.
    pub drain_within: Duration,
    /// The process's room for bytes of replies.
    pub room: Room,
    /// How messages become events.
    pub normalizer: Normalizer,
    /// Where events go.
    pub outlet: Outlet,
    /// Where they are counted.
    pub intake: Arc<Intake>,
    /// Where calls and confirmations are counted.
    pub metrics: Pulling,
    /// Where they are traced.
    pub traces: Traces,
    /// What time it is.
    pub clock: Clock,
    /// Where events can go, and whether that takes anything.
    pub router: Arc<Router>,
    /// The routes that this application's events can take.
    pub ways: Ways,
    /// What is wrong with VOD at the moment.
    pub trouble: Trouble,
}

// === impl Puller ===

impl Puller {
    /// Pulls until told to stop; then takes in nothing new, and returns once everything pulled has
    /// settled and is confirmed, or its handle is given up.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        info!(application = &*self.application, sub_app_id = self.sub_app_id, "pulling events");
        let batches = TaskTracker::new();
        let given_up = CancellationToken::new();
        let (confirmer, confirms) = Confirmer::new(Arc::clone(&self));
        let mut tasks = JoinSet::new();
        tasks.spawn(confirmer.run());
        tasks.spawn(Arc::clone(&self).watch_queue_length(stop.clone()));

        let shared = Arc::new(Shared {
            puller: Arc::clone(&self),
            crew: Crew::new(self.workers_max),
            handles: Handles::default(),
            confirms,
            batches: batches.clone(),
            given_up: given_up.clone(),
        });
        let mut workers = JoinSet::new();
        while !stop.is_cancelled() {
            while workers.len() < shared.crew.size() {
                workers.spawn(Arc::clone(&shared).work(stop.clone()));
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = shared.crew.wanted() => {}
                // Every end is seen: one who has left counts among the workers until then.
                Some(ended) = workers.join_next() => if let Err(panic) = ended {
                    error!(application = &*self.application, %panic, "a worker panicked");
                    sleep(AFTER_PANIC).await;
                }
            }
        }
        let settled = async {
            while workers.join_next().await.is_some() {}
            batches.close();
            batches.wait().await;
        };
        // What no connector takes, or not soon, is VOD's to send again: a stop does not wait for
        // the end of its handle, and leaves time to confirm the others.
        let stopped = Instant::now();
        let watching = async {
            loop {
                sleep(LOOK_EVERY).await;
                if !self.could_settle() || stopped.elapsed() >= self.drain_within {
                    given_up.cancel();
                }
            }
        };
        tokio::select! {
            () = settled => {}
            () = watching => {}
        }
        // With the last sender the confirmer learns that nothing more comes.
        drop(shared);
        while let Some(ended) = tasks.join_next().await {
            if let Err(panic) = ended {
                error!(application = &*self.application, %panic, "a task of the puller panicked");
            }
        }
    }

    /// Whether an event of the application could settle now: some route of it takes something,
    /// and VOD takes confirmations.
    fn could_settle(&self) -> bool {
        self.router.could_settle(&self.ways)
            && !self.trouble.is_lasting(Action::ConfirmEvents, self.handle_life)
    }

    /// The last moment at which a handle that came at `at` may be confirmed.
    fn last_moment(&self, at: Instant) -> Instant {
        at + self.handle_life.saturating_sub(self.margin)
    }

    /// How long VOD holds a poll of an empty queue: 5 s of a handle's 30 s.
    fn poll_wait(&self) -> Duration {
        self.handle_life / 6
    }

    fn of_application(&self) -> OfApplication {
        OfApplication { sub_app_id: self.sub_app_id }
    }
}

/// What the workers of one puller share.
struct Shared {
    puller: Arc<Puller>,
    crew: Crew,
    handles: Handles,
    confirms: confirm::Sender,
    batches: TaskTracker,
    given_up: CancellationToken,
}

impl std::fmt::Debug for Puller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Puller").field("application", &self.application).finish_non_exhaustive()
    }
}
