//! From one event to its connectors, and the only settle in the program.
//!
//! ```text
//! Delivery -> plan -> leg: publish until answered --+
//!                  -> leg: publish until answered --+-> the worst of them -> settle
//!                  -> leg: refused -> dead letter --+
//! ```
//!
//! Every leg retries by itself and only what it still owes; a leg that refused counts as done once
//! its dead letter is acknowledged. What no route matches is settled once the dead letters have
//! it.

mod breaker;
mod demand;
mod letter;
mod overdue;
mod plan;
mod progress;
mod routes;
mod target;

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use smol_str::SmolStr;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};
use vodbridge_core::{Event, Topic};

pub use demand::Demand;
pub use letter::Letters;
pub use overdue::Overdue;
pub use plan::{Match, Misfit, PartitionKey, Route, Then};
pub use progress::{CONNECTORS_MAX, Progress};
pub use routes::{Plan, Routes, Ways};
pub use target::{Checked, Target};

use crate::delivery::{Ack, Delivery, Outcome, Purpose};
use crate::history::History;
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::{Ending, Metrics};
use crate::telemetry::panic;
use letter::Reason;
use target::Failure;

/// The routes and everything they lead to.
#[derive(Debug)]
pub struct Router {
    routes: Routes,
    targets: Vec<Arc<Target>>,
    letters: Letters,
    metrics: Arc<Metrics>,
    tracker: TaskTracker,
    history: Option<Arc<History>>,
}

/// A connector, by its place, and a topic there.
pub(crate) type Place = (usize, Topic);

/// The place that stands for the dead letters.
pub(crate) const LETTERS: usize = usize::MAX;

// === impl Router ===

impl Router {
    /// Routes over the targets, which they name by their places; best-effort publishes become
    /// tasks of the tracker, and what was delivered goes into the history, if there is one.
    pub fn new(
        routes: Vec<Route>,
        targets: Vec<Arc<Target>>,
        letters: Letters,
        metrics: Arc<Metrics>,
        tracker: TaskTracker,
        history: Option<Arc<History>>,
    ) -> Arc<Self> {
        let routes = Routes::new(routes);
        Arc::new(Self { routes, targets, letters, metrics, tracker, history })
    }

    /// The connectors, in the order in which routes name them.
    pub fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    /// The routes.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Where the dead letters go.
    pub fn letters(&self) -> &Letters {
        &self.letters
    }

    /// Whether anything can be published to a topic of a connector; [`LETTERS`] are one, too.
    pub(crate) fn takes(&self, connector: usize, topic: &Topic) -> bool {
        let target = self.targets.get(connector).unwrap_or(&self.letters.target);
        target.takes(Some(topic))
    }

    /// Where an event that has come so far would be given back at once, because each connector
    /// that it is owed to takes nothing; nothing if it can go on.
    pub(crate) fn obstacle(&self, event: &mut Event, done: Progress) -> Option<Vec<Place>> {
        match self.routes.plan(event) {
            Plan::Drop(_) => None,
            Plan::Letter { .. } => self.letters.obstacle(),
            Plan::Publish { to, topic, .. } => {
                let is_owed = |c: &usize| !done.is_acknowledged(*c) && !done.is_lettered(*c);
                let owed: Vec<_> = to.iter().copied().filter(is_owed).collect();
                if owed.is_empty() || owed.iter().any(|c| self.takes(*c, &topic)) {
                    return None;
                }
                let is_overdue = owed.iter().any(|c| self.overdue(event, *c, &topic).is_some());
                // What is overdue goes on to the dead letters, or nowhere.
                let letters = if is_overdue { self.letters.obstacle()? } else { Vec::new() };
                Some(owed.into_iter().map(|c| (c, topic.clone())).chain(letters).collect())
            }
        }
    }

    /// Whether an event that takes one of these ways could settle now.
    pub fn could_settle(&self, ways: &Ways) -> bool {
        ways.any_open(|connector, topic| {
            let target = &self.targets[connector];
            let is_over = |topic| {
                let missing = target.missing(topic);
                missing.is_some_and(|(time, _)| self.letters.overdue.is_over(time))
                    && self.letters.obstacle().is_none()
            };
            target.takes(topic) || target.takes(None) && topic.is_some_and(is_over)
        })
    }

    /// Brings one event everywhere it belongs, and settles it.
    pub(crate) async fn deliver(self: Arc<Self>, delivery: Delivery) {
        let Delivery { mut event, purpose, ack } = delivery;
        let plan = match purpose {
            Purpose::Publish => self.routes.plan(&mut event),
            Purpose::DeadLetter { reason, detail } => Plan::Letter { reason, detail },
        };
        let (outcome, ending) = match &plan {
            Plan::Drop(_) => (Outcome::Delivered, Ending::dropped),
            Plan::Letter { reason, detail } => {
                let reason = Reason {
                    code: reason.as_str(),
                    detail: Cow::Borrowed(detail),
                    connector: None,
                    topic: None,
                };
                ended(self.letter(&event, &reason, &ack).await)
            }
            Plan::Publish { to, topic, .. } => ended(self.publish(&event, to, topic, &ack).await),
        };
        // What is stored after its caller was answered must not seem to be older.
        let delivered_at = self.history.as_ref().map(|history| history.now());
        ack.settle(outcome, ending);
        // Best effort comes after the promise: it is tried once, when the event is delivered, so
        // that an event that comes again does not reach these legs twice.
        if let (Plan::Publish { route, also, topic, .. }, true) =
            (plan, outcome != Outcome::Deferred)
        {
            self.publish_also(also, &event, &topic);
            if let (Some(history), Some(at), Outcome::Delivered) =
                (&self.history, delivered_at, outcome)
            {
                history.note(event, topic, route, at);
            }
        }
    }

    /// All required legs, side by side.
    async fn publish(&self, event: &Event, to: &[usize], topic: &Topic, ack: &Ack) -> Outcome {
        // A panic in one leg is that leg's: unwound any further, it would abandon what the others
        // have under way.
        let leg = async |connector: &usize| {
            let leg = self.leg(*connector, event, topic, ack);
            AssertUnwindSafe(leg).catch_unwind().await.unwrap_or_else(|panic| {
                ack.note_panic();
                error!(
                    connector = self.targets[*connector].name(),
                    event = event.id.as_str(),
                    panic = panic::message(&*panic),
                    "a connector panicked; the event is given back"
                );
                Outcome::Deferred
            })
        };
        // The common case needs no list of futures.
        match to {
            [only] => leg(only).await,
            several => {
                let outcomes = join_all(several.iter().map(leg)).await;
                outcomes.into_iter().max().unwrap_or(Outcome::Deferred)
            }
        }
    }

    async fn leg(&self, connector: usize, event: &Event, topic: &Topic, ack: &Ack) -> Outcome {
        let done = ack.progress();
        if done.is_acknowledged(connector) {
            return Outcome::Delivered;
        }
        if done.is_lettered(connector) {
            return Outcome::Rejected;
        }
        let target = &self.targets[connector];
        if let Some(what) = self.overdue(event, connector, topic) {
            let reason = Reason {
                code: "topology",
                detail: Cow::Borrowed(&what),
                connector: Some(target.name()),
                topic: Some(topic),
            };
            return self.letter_leg(event, connector, &reason, ack).await;
        }
        match target.deliver(event, topic, ack).await {
            Ok(()) => {
                ack.acknowledge(connector);
                Outcome::Delivered
            }
            Err(Failure::Deferred) => Outcome::Deferred,
            Err(Failure::Refused(why)) => {
                let reason = Reason {
                    code: "refused",
                    detail: Chain(&*why).to_string().into(),
                    connector: Some(target.name()),
                    topic: Some(topic),
                };
                self.letter_leg(event, connector, &reason, ack).await
            }
        }
    }

    /// What is missing for an event that has been owed for too long because of it.
    fn overdue(&self, event: &Event, connector: usize, topic: &Topic) -> Option<SmolStr> {
        let (time, what) = self.targets[connector].missing(topic)?;
        self.letters.overdue.is_due(event, time).then_some(what)
    }

    async fn letter_leg(
        &self,
        event: &Event,
        connector: usize,
        reason: &Reason<'_>,
        ack: &Ack,
    ) -> Outcome {
        let outcome = self.letter(event, reason, ack).await;
        let Reason { code, detail, .. } = reason;
        let (connector_name, topic) = (reason.connector, reason.topic.map(Topic::as_str));
        let (event, error) = (event.id.as_str(), detail.as_ref());
        if outcome == Outcome::Rejected {
            ack.letter(connector);
            warn!(connector = connector_name, topic, event, reason = code, error, "dead-lettered");
        } else {
            // Said aloud only once it is over: it comes again and again while letters are not taken,
            // and why they are not is said by their connector.
            debug!(
                connector = connector_name,
                topic,
                event,
                reason = code,
                error,
                "not dead-lettered yet: the event is given back"
            );
        }
        outcome
    }

    async fn letter(&self, event: &Event, reason: &Reason<'_>, ack: &Ack) -> Outcome {
        if !self.letters.deliver(event, reason, ack).await {
            return Outcome::Deferred;
        }
        let application = event.extension("vodapplication").unwrap_or_default();
        self.metrics.count_dead_letter(application, reason.code);
        Outcome::Rejected
    }

    fn publish_also(&self, also: &[usize], event: &Event, topic: &Topic) {
        for &connector in also {
            let target = Arc::clone(&self.targets[connector]);
            let Some(room) = target.also_room(topic, event.message.len()) else { continue };
            let (event, topic) = (event.clone(), topic.clone());
            self.tracker.spawn(async move {
                // Its answer is counted and, when the breaker turns, logged by the target itself.
                let attempt = AssertUnwindSafe(target.attempt(&event, &topic, None));
                if let Err(panic) = attempt.catch_unwind().await {
                    error!(
                        connector = target.name(),
                        event = event.id.as_str(),
                        panic = panic::message(&*panic),
                        "a best-effort publish panicked"
                    );
                }
                drop(room);
            });
        }
    }
}

fn ended(outcome: Outcome) -> (Outcome, Ending) {
    let ending = match outcome {
        Outcome::Delivered => Ending::delivered,
        Outcome::Rejected => Ending::rejected,
        Outcome::Deferred => Ending::deferred,
    };
    (outcome, ending)
}
