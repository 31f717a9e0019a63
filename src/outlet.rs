//! A source's way in: duplicates are suppressed, room is waited for, and every delivery becomes a
//! task of its own in the app's tracker.
//!
//! The task uses every core, survives its caller going away, and is waited for on drain. The
//! permits it holds bound how many there are, by events and by bytes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::error;
use vodbridge_core::Event;

use crate::delivery::{Ack, Delivery, Purpose};
use crate::duplicates::{Admission, Duplicates, Flight, Receipt, Repeat};
use crate::ingest::spool::Row;
use crate::route::{Progress, Router};
use crate::telemetry::metrics::Obligation;
use crate::telemetry::panic;

/// The way in of one application.
#[derive(Clone, Debug)]
pub struct Outlet {
    duplicates: Arc<Duplicates>,
    router: Arc<Router>,
    tracker: TaskTracker,
    room: Room,
}

/// How much of one application may be in flight: `send` waits while there is none.
#[derive(Clone, Debug)]
pub struct Room {
    events: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    events_max: usize,
    bytes_max: u32,
}

/// The room of one event.
pub(crate) type Taken = [OwnedSemaphorePermit; 2];

/// One event that came in.
#[derive(Debug)]
pub struct Arrival {
    /// What happened.
    pub event: Event,
    /// What is to become of it.
    pub purpose: Purpose,
    /// That it is owed an answer.
    pub obligation: Obligation,
    /// The share of the process's bytes that its message holds, if it was counted.
    pub bytes: Option<OwnedSemaphorePermit>,
    /// Where it is kept, if it is.
    pub row: Option<Row>,
}

/// What became of an arrival.
#[derive(Debug)]
pub enum Admitted {
    /// It is new: let it depart, then ask for the outcome.
    New(Box<Departure>, Receipt),
    /// It waits for the same event, which is under way.
    Joined(Receipt, Repeat),
    /// It is stored already.
    Duplicate(Repeat),
}

/// A delivery that has not begun. Dropping it defers it.
#[derive(Debug)]
pub struct Departure {
    outlet: Outlet,
    event: Event,
    purpose: Purpose,
    ack: Ack,
    bytes: Option<OwnedSemaphorePermit>,
}

// === impl Room ===

impl Room {
    /// Room for so many events, and for so many bytes of their messages.
    pub fn new(events_max: usize, bytes_max: u32) -> Self {
        Self {
            events: Arc::new(Semaphore::new(events_max)),
            bytes: Arc::new(Semaphore::new(bytes_max as usize)),
            events_max,
            bytes_max,
        }
    }

    /// Takes room if there is some.
    fn try_acquire(&self, bytes: usize) -> Option<Taken> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let events = Arc::clone(&self.events).try_acquire_owned().ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some([events, bytes])
    }

    /// Whether less than a quarter is left.
    fn is_scarce(&self) -> bool {
        self.events.available_permits() <= self.events_max / 4
            || self.bytes.available_permits() <= self.bytes_max as usize / 4
    }

    /// Waits for room, before all who only try. Cancel safe. An event larger than all the room takes all of it.
    async fn acquire(&self, bytes: usize) -> Taken {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let closed = "these semaphores are never closed";
        let events = Arc::clone(&self.events).acquire_owned().await.expect(closed);
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.expect(closed);
        [events, bytes]
    }
}

// === impl Outlet ===

impl Outlet {
    /// A way in to the router, whose deliveries are tasks of `tracker`.
    pub fn new(
        duplicates: Arc<Duplicates>,
        router: Arc<Router>,
        tracker: TaskTracker,
        room: Room,
    ) -> Self {
        Self { duplicates, router, tracker, room }
    }

    /// Judges one arrival: new, under way, or stored. Takes no room and does not wait.
    pub fn admit(&self, arrival: Arrival) -> Admitted {
        let Arrival { event, purpose, obligation, bytes, row: _ } = arrival;
        let admission = self.duplicates.admit(&event, obligation);
        self.admitted(admission, event, purpose, bytes)
    }

    /// Judges an arrival that its source kept when an earlier delivery was deferred, with what
    /// that delivery had done ([`Receipt::progress`]): new, or under way, and never suppressed.
    /// Nothing if it waits on, see [`Duplicates::resume`].
    pub fn resume(&self, arrival: Arrival, progress: Progress) -> Option<Admitted> {
        let Arrival { event, purpose, obligation, bytes, row } = arrival;
        let admission = self.duplicates.resume(&event, obligation, row, progress)?;
        Some(self.admitted(admission, event, purpose, bytes))
    }

    /// Room for one event of so many bytes, if a quarter of all room is left to new events.
    pub(crate) fn spare_room(&self, bytes: usize) -> Option<Taken> {
        if self.room.is_scarce() {
            return None;
        }
        self.room.try_acquire(bytes)
    }

    /// Waits for room for one event. Cancel safe.
    pub(crate) async fn room(&self, bytes: usize) -> Taken {
        self.room.acquire(bytes).await
    }

    /// Runs what must outlive its caller, and is waited for on drain.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(task);
    }

    /// Events under way, and since when the oldest is.
    pub fn in_flight(&self) -> (usize, Option<Instant>) {
        self.duplicates.in_flight()
    }

    /// Events under way that are kept nowhere else.
    pub fn owed(&self) -> usize {
        self.duplicates.owed()
    }

    fn admitted(
        &self,
        admission: Admission,
        event: Event,
        purpose: Purpose,
        bytes: Option<OwnedSemaphorePermit>,
    ) -> Admitted {
        match admission {
            Admission::New(ack, receipt) => {
                let departure = Departure { outlet: self.clone(), event, purpose, ack, bytes };
                Admitted::New(Box::new(departure), receipt)
            }
            Admission::Joined(receipt, repeat) => Admitted::Joined(receipt, repeat),
            Admission::Duplicate(repeat) => Admitted::Duplicate(repeat),
        }
    }
}

// === impl Departure ===

impl Departure {
    /// Waits for room and begins the delivery.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it resolves defers the event.
    pub async fn depart(self) {
        let room = self.room().await;
        self.depart_in(room);
    }

    /// Begins the delivery in room that was taken for it.
    pub(crate) fn depart_in(self, room: Taken) {
        let tracker = self.outlet.tracker.clone();
        tracker.spawn(self.deliver_in(room));
    }

    /// The delivery, in room that was taken for it; to be run to its end.
    pub(crate) fn deliver_in(self, room: Taken) -> impl Future<Output = ()> + Send + 'static {
        let Self { outlet, event, purpose, ack, bytes } = self;
        let id = event.id.clone();
        let delivery = outlet.router.deliver(Delivery { event, purpose, ack });
        // A combinator and not an async block: a block that captures a future and awaits it is
        // twice as large, and this one is moved into its task.
        AssertUnwindSafe(delivery).catch_unwind().map(move |ended| {
            // The acknowledgement went down with the panic, which deferred the event; the room is
            // given back, and somebody must learn of it.
            if let Err(panic) = ended {
                let panic = panic::message(&*panic);
                error!(event = id.as_str(), panic, "a delivery panicked; the event is given back");
            }
            drop((room, bytes));
        })
    }

    /// The event.
    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    /// What is to become of it.
    pub(crate) fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// What a row that is written for the event is handed to.
    pub(crate) fn flight(&self) -> Arc<Flight> {
        self.ack.flight()
    }

    /// The share of the process's bytes that its message holds; from here on it is the caller's.
    pub(crate) fn take_bytes(&mut self) -> Option<OwnedSemaphorePermit> {
        self.bytes.take()
    }

    /// Waits for room. Cancel safe.
    pub(crate) async fn room(&self) -> Taken {
        self.outlet.room.acquire(self.event.message.len()).await
    }

    /// Takes room if there is some.
    pub(crate) fn try_room(&self) -> Option<Taken> {
        self.outlet.room.try_acquire(self.event.message.len())
    }

    /// The name under which the source can say that VOD may repeat the event.
    pub fn repeat(&self) -> Repeat {
        self.ack.repeat()
    }
}
