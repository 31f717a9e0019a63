use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smol_str::SmolStr;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};
use vodbridge_vod::client::Answered;
use vodbridge_vod::{Content, Envelope};

use super::confirm::Ready;
use super::handles::Held;
use super::{Puller, Shared};
use crate::delivery::{Outcome, Purpose};
use crate::duplicates::{Receipt, Repeat};
use crate::ingest::type_index;
use crate::normalize::{Reception, Trace};
use crate::outlet::{Admitted, Arrival};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Mode;
use crate::telemetry::traces::Span;

/// An event that was pulled, and what its source still owes it.
struct Pulled {
    /// Absent where the handle is absent or empty: it can never be confirmed, and comes again.
    held: Option<Held>,
    /// When the handle's time began.
    at: Instant,
    repeat: Repeat,
    /// `None`: it was settled before it came.
    receipt: Option<Receipt>,
    /// Ends with the event's confirmation.
    span: Span,
}

/// An event as it was read.
struct Element {
    held: Option<Held>,
    arrival: Arrival,
    span: Span,
}

// === impl Shared ===

impl Shared {
    /// Takes in every event of one reply, and returns once each has room or was given back: that
    /// wait is the backpressure. Each settles by itself, in a task of its own. False if there was
    /// no event in it. The poll `took` so long.
    pub(super) async fn take_in(self: &Arc<Self>, answered: Answered, took: Duration) -> bool {
        let Answered { reply, at, mut room } = answered;
        let deadline = self.puller.last_moment(at);
        let mut events = Vec::with_capacity(reply.events.len());
        let Puller { traces, application, .. } = &*self.puller;
        let received = traces.received(application, took, reply.events.len());
        for element in reply.events {
            // A null is nothing that could be lost.
            if &element[..] == b"null" {
                continue;
            }
            let share = room.as_mut();
            let share = share.and_then(|room| room.split(element.len().min(room.num_permits())));
            // Copied: one event that is slow to settle must not hold the bytes of its neighbours.
            // All are read before the first goes on, so that a handle that several carry is known
            // to be theirs.
            events.push(self.read(Bytes::copy_from_slice(&element), share, &received));
        }
        drop(received);
        let is_some = !events.is_empty();
        for element in events {
            let pulled = self.admit(element, at, deadline).await;
            let shared = Arc::clone(self);
            self.batches.spawn(async move { shared.await_one(pulled, deadline).await });
        }
        is_some
    }

    /// The event that an element is, and its share in its handle.
    fn read(
        &self,
        message: Bytes,
        bytes: Option<OwnedSemaphorePermit>,
        received: &Span,
    ) -> Element {
        let puller = &*self.puller;
        let mut span = puller.traces.pulled(&puller.application, received);
        let trace = span.carry(Trace::default());
        let reception = Reception { mode: Mode::pull, at: (puller.clock)(), trace };
        let (handle, arrival) = match Content::read(&message) {
            Ok(mut content) => {
                let handle = content.handle.take();
                let arrival = Arrival {
                    obligation: puller.intake.begin(type_index(content.entry)),
                    event: puller.normalizer.event(content, &message, &reception),
                    purpose: Purpose::Publish,
                    bytes,
                    row: None,
                };
                (handle, arrival)
            }
            // It comes from VOD's own queue: no stranger's, and it must not block the queue.
            Err(why) => {
                let arrival = Arrival {
                    obligation: puller.intake.begin(type_index(None)),
                    event: puller.normalizer.unrecognized(&why, &message, &reception),
                    purpose: Purpose::DeadLetter {
                        reason: SmolStr::new_static(why.code()),
                        detail: Chain(&why).to_string(),
                    },
                    bytes,
                    row: None,
                };
                (Envelope::find(&message).handle, arrival)
            }
        };
        let held = handle.filter(|handle| !handle.is_empty()).map(|h| self.handles.hold(h));
        if held.is_none() {
            warn!(
                application = &*puller.application,
                event = arrival.event.id.as_str(),
                "an event without a handle cannot be confirmed; it will come again"
            );
        }
        span.about(&arrival.event);
        Element { held, arrival, span }
    }

    async fn admit(&self, element: Element, at: Instant, deadline: Instant) -> Pulled {
        let Element { held, arrival, mut span } = element;
        let puller = &*self.puller;
        match puller.outlet.admit(arrival) {
            Admitted::Duplicate(repeat) => Pulled { held, at, repeat, receipt: None, span },
            Admitted::Joined(receipt, repeat) => {
                span.joined(receipt.traceparent());
                Pulled { held, at, repeat, receipt: Some(receipt), span }
            }
            Admitted::New(departure, receipt) => {
                let repeat = departure.repeat();
                let departing = timeout_at(deadline, departure.depart());
                if self.given_up.run_until_cancelled(departing).await.is_none_or(|d| d.is_err()) {
                    debug!(application = &*puller.application, "no room in time: given back");
                }
                Pulled { held, at, repeat, receipt: Some(receipt), span }
            }
        }
    }

    /// Awaits how one event ends until `deadline`, and hands on its handle if it has settled.
    async fn await_one(&self, pulled: Pulled, deadline: Instant) {
        let Pulled { held, at, repeat, receipt, mut span } = pulled;
        let outcome = match receipt {
            None => {
                span.was_duplicate();
                Outcome::Delivered
            }
            Some(receipt) => {
                let outcome = timeout_at(deadline, receipt.outcome());
                let outcome = self.given_up.run_until_cancelled(outcome).await;
                let outcome = outcome.and_then(Result::ok).unwrap_or(Outcome::Deferred);
                span.ended(outcome);
                outcome
            }
        };
        let is_settled = outcome != Outcome::Deferred;
        let can_be_confirmed = held.is_some();
        match held.filter(|_| is_settled).and_then(Held::settled) {
            Some(handle) => self.confirms.send(Ready { handle, at, repeat, span }).await,
            // Another event with this handle has not settled.
            None if is_settled && can_be_confirmed => {}
            // It comes back when its handle ends, if not to another bridge.
            None => repeat.expect_within(2 * self.puller.handle_life),
        }
    }
}
