//! What an operator looks into and can do from the page: one event, one dead letter at a time.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use smol_str::SmolStr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::{error, info};
use vodbridge_core::Timestamp;
use vodbridge_journal::{Record, Store, Table};

use super::answer::{Refusal, json};
use super::layout::Layout;
use super::state::started;
use crate::config::{Config, SecretCell};
use crate::delivery::Outcome;
use crate::http::Response;
use crate::outlet::Room;
use crate::records::{Of, Place};
use crate::registry;
use crate::replay::{Originals, Replayer, Way};
use crate::route::Target;
use crate::telemetry::chain::Chain;

/// Looks into the journal at a time.
const LOOKS: usize = 3;

/// Room of what is sent again: more than the one event at a time, because an attempt that was given
/// up is still awaited and holds its own.
const IN_FLIGHT: usize = 4;
const IN_FLIGHT_BYTES: u32 = 64 << 20;

/// How long one event is tried: somebody waits in front of the page.
const TRIED_FOR: Duration = Duration::from_secs(10);

/// Everything behind `/api/` that is not the state.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(super) token: Option<SecretCell>,
    pub(super) layout: Layout,
    pub(super) started: Timestamp,
    pub(super) store: Store,
    pub(super) looks: Arc<Semaphore>,
    /// One change at a time, so that no letter is sent twice because two people asked.
    changes: Arc<Semaphore>,
    originals: Originals,
    replayer: Arc<Replayer>,
    /// The connectors' names by their places.
    connectors: Vec<SmolStr>,
    tracker: TaskTracker,
}

/// What cannot be sent again.
const NOT_KEPT: &str = "its payload was not kept";
const NO_EVENT: &str = "what came in is no event";

// === impl Desk ===

impl Desk {
    /// Over the connectors of the bridge that runs; what is sent again is waited for as every
    /// delivery in `tracker` is.
    pub(crate) fn new(
        config: &Config,
        store: &Store,
        targets: &[Arc<Target>],
        tracker: &TaskTracker,
    ) -> Self {
        let replayer = Replayer::new(
            registry::routes(config),
            targets.to_vec(),
            config.dead_letter.topic.clone(),
            tracker.clone(),
            Room::new(IN_FLIGHT, IN_FLIGHT_BYTES),
            TRIED_FOR,
        );
        Self {
            token: config.admin.token.clone(),
            layout: Layout::new(config),
            started: started(),
            store: store.clone(),
            looks: Arc::new(Semaphore::new(LOOKS)),
            changes: Arc::new(Semaphore::new(1)),
            originals: Originals::new(config),
            replayer: Arc::new(replayer),
            connectors: targets.iter().map(|target| target.name().into()).collect(),
            tracker: tracker.clone(),
        }
    }

    /// Sends one row's event again; a letter goes once every required connector has acknowledged
    /// it.
    pub(super) async fn replay(&self, of: Of, place: Place) -> Result<Response, Refusal> {
        let turn = self.turn()?;
        let record = self.record(of, place).await?;
        let Some(event) = self.originals.event(&record) else {
            return Err(Refusal::new(StatusCode::CONFLICT, unusable(of)));
        };
        if let Way::Stays(why) = self.replayer.way(&event) {
            return Err(Refusal::new(StatusCode::CONFLICT, why));
        }
        let (replayer, store) = (Arc::clone(&self.replayer), self.store.clone());
        let id = event.id.clone();
        // To its end, also when nobody waits for the answer any more: what was acknowledged must
        // not stay a letter.
        let replaying = self.tracker.spawn(async move {
            let _turn = turn;
            let run = replayer.run();
            let outcome = run.send(event).await;
            let is_sent = outcome == Outcome::Delivered;
            info!(%place, event = id.as_str(), replay = run.name(), is_sent, "replayed by hand");
            if !is_sent {
                return Err(not_sent());
            }
            let sent = json!({ "replayed": true, "id": id.as_str(), "vodreplay": run.name() });
            Ok(match of {
                Of::Events => json(StatusCode::OK, &sent),
                Of::DeadLetters => remove_sent(&store, &record, sent).await,
            })
        });
        replaying.await.unwrap_or_else(|_| {
            let why = "the replay panicked; the log says where";
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why))
        })
    }

    /// Removes one dead letter for good.
    pub(super) async fn remove(&self, place: Place) -> Result<Response, Refusal> {
        let _turn = self.turn()?;
        let record = self.record(Of::DeadLetters, place).await?;
        match self.store.remove(Table::DeadLetters, vec![record.seq]).await {
            Ok(_) => {
                info!(%place, event = record.event.id.as_str(), "dead letter removed by hand");
                Ok(json(StatusCode::OK, &json!({ "removed": true })))
            }
            Err(why) => {
                let why = format!("it stays: {}", Chain(&why));
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why))
            }
        }
    }

    /// Where a row's event would go.
    pub(super) fn replay_of(&self, record: &Record) -> Value {
        let of = if record.table == Table::DeadLetters { Of::DeadLetters } else { Of::Events };
        let Some(event) = self.originals.event(record) else {
            return json!({ "possible": false, "why": unusable(of) });
        };
        match self.replayer.way(&event) {
            Way::Dropped(route) => json!({ "possible": true, "dropped_by": route.as_str() }),
            Way::Stays(why) => json!({ "possible": false, "why": why }),
            Way::Goes { to, topic } => {
                let to: Vec<_> = to.iter().map(|place| self.connectors[*place].as_str()).collect();
                json!({ "possible": true, "topic": topic.as_str(), "to": to })
            }
        }
    }

    fn turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        if self.tracker.is_closed() {
            let why = "the bridge is stopping";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why));
        }
        Arc::clone(&self.changes).try_acquire_owned().map_err(|_| {
            let why = "another event is being sent again; try again when it is through";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
        })
    }
}

async fn remove_sent(store: &Store, record: &Record, mut sent: Value) -> Response {
    match store.remove(Table::DeadLetters, vec![record.seq]).await {
        Ok(_) => sent["removed"] = json!(true),
        Err(why) => {
            let why = Chain(&why).to_string();
            error!(seq = %record.seq, error = why, "a letter that was sent again stays");
            sent["removed"] = json!(false);
            sent["error"] = json!(format!("it was sent, but the letter stays: {why}"));
        }
    }
    json(StatusCode::OK, &sent)
}

fn not_sent() -> Refusal {
    let within = humantime::format_duration(TRIED_FOR);
    let why = format!(
        "not every required connector acknowledged it within {within}; it stays as it is, and the \
         log says why"
    );
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
}

fn unusable(of: Of) -> &'static str {
    match of {
        Of::Events => NOT_KEPT,
        Of::DeadLetters => NO_EVENT,
    }
}
