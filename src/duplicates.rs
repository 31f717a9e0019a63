//! What is in flight and what was settled, by id and content.
//!
//! ```text
//!           admit(event)
//!               |
//!    in flight? +--> Joined     one delivery, many receipts
//!    settled?   +--> Duplicate  confirmed, not published
//!               +--> New        with the legs that already have it
//! ```
//!
//! Only what is *the same* is suppressed: id and content both agree. An event that is known by
//! its content alone may rightly happen again (a file is restored twice), so it is suppressed only
//! where VOD may be repeating itself: while its twin is in flight, or once after its twin was
//! stored and VOD had no answer in time. Better a duplicate than a loss.

mod flight;
mod memory;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use vodbridge_core::{Event, KnownBy, Timestamp};

pub use flight::Receipt;
pub(crate) use flight::{Flight, Keeping, Party};
use memory::{Key, Memory};

use crate::delivery::{Ack, Outcome};
use crate::ingest::spool::Row;
use crate::route::Progress;
use crate::telemetry::metrics::{Ending, Obligation};

/// The duplicate memory of one application.
#[derive(Debug)]
pub struct Duplicates {
    /// What `repeat_until` counts from, in seconds.
    epoch: Instant,
    window: Duration,
    entries_max: usize,
    /// Whether events that are known by their content alone are told apart by their times.
    by_time: bool,
    hashers: [RandomState; 2],
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    flights: HashMap<Key, Arc<Flight>>,
    settled: Memory<Settled>,
    /// Legs that have an event whose delivery was deferred: the last to be forgotten, because
    /// what is lost here is published twice.
    partial: Memory<Partial>,
}

#[derive(Debug)]
struct Settled {
    by_content: bool,
    repeat_until: u32,
}

#[derive(Debug)]
struct Partial {
    progress: Progress,
    by_content: bool,
    repeat_until: u32,
}

/// What to do with an event that came in.
#[derive(Debug)]
pub enum Admission {
    /// Deliver it. The acknowledgement knows which legs already have it, and settles everybody
    /// who joins.
    New(Ack, Receipt),
    /// The same event is under way: wait with it.
    Joined(Receipt, Repeat),
    /// The same event is stored.
    Duplicate(Repeat),
}

/// The name under which a source can say later that VOD may send an event again.
#[derive(Clone, Debug)]
pub struct Repeat {
    duplicates: Arc<Duplicates>,
    key: Key,
}

impl Duplicates {
    /// Remembers up to `entries_max` settled events for `window`.
    pub fn new(window: Duration, entries_max: usize) -> Arc<Self> {
        Self::with(window, entries_max, false)
    }

    /// The same for events that were kept with the time of each: of one content there are as many
    /// as there are times, and one that comes twice is suppressed like any other.
    pub fn by_time(window: Duration, entries_max: usize) -> Arc<Self> {
        Self::with(window, entries_max, true)
    }

    fn with(window: Duration, entries_max: usize, by_time: bool) -> Arc<Self> {
        let (settled, partial) = (Memory::new(), Memory::new());
        Arc::new(Self {
            epoch: Instant::now(),
            window,
            entries_max,
            by_time,
            hashers: [RandomState::new(), RandomState::new()],
            state: Mutex::new(State { flights: HashMap::new(), settled, partial }),
        })
    }

    /// Judges one event. The obligation goes to the flight, or ends here as a duplicate.
    pub fn admit(self: &Arc<Self>, event: &Event, obligation: Obligation) -> Admission {
        let party = Party { obligation, row: None };
        let key = self.key(event);
        let mut state = self.lock();
        if let Some(flight) = state.flights.get(&key) {
            return Admission::Joined(flight.join(party), self.repeat(key));
        }
        let now = self.secs(Instant::now());
        if let Some(settled) = state.settled.get_mut(key, self.window)
            && (!settled.by_content || std::mem::take(&mut settled.repeat_until) > now)
        {
            drop(state);
            party.obligation.end(Ending::duplicate);
            return Admission::Duplicate(self.repeat(key));
        }
        // Legs that had an earlier event of the same content do not have this one, unless it is
        // that one come again.
        let partial = state.partial.take_within(key, self.window);
        let partial = partial.filter(|p| !p.by_content || p.repeat_until > now);
        let progress = partial.map(|p| p.progress).unwrap_or_default();
        self.begin(&mut state, key, event, party, progress)
    }

    /// Judges an event that its source kept when it was deferred, with the legs that had it then.
    /// It is an occurrence of its own: never a duplicate of what is settled; and where it has a row
    /// and only its content is known, it waits on while its twin is under way (`None`).
    pub fn resume(
        self: &Arc<Self>,
        event: &Event,
        obligation: Obligation,
        row: Option<Row>,
        progress: Progress,
    ) -> Option<Admission> {
        let key = self.key(event);
        let party = Party { obligation, row };
        let mut state = self.lock();
        if let Some(flight) = state.flights.get(&key) {
            if event.known_by == KnownBy::Content && party.row.is_some() {
                party.obligation.wait();
                return None;
            }
            return Some(Admission::Joined(flight.join(party), self.repeat(key)));
        }
        let remembered = match event.known_by {
            KnownBy::Key => {
                let partial = state.partial.take_within(key, self.window);
                partial.map(|p| p.progress).unwrap_or_default()
            }
            KnownBy::Content => Progress::default(),
        };
        Some(self.begin(&mut state, key, event, party, progress.and(remembered)))
    }

    /// Events under way, and since when the oldest is.
    pub fn in_flight(&self) -> (usize, Option<Instant>) {
        let state = self.lock();
        (state.flights.len(), state.flights.values().map(|f| f.began()).min())
    }

    /// Events under way that are kept nowhere else: who sent them may not send them again.
    pub fn owed(&self) -> usize {
        self.lock().flights.values().filter(|flight| flight.is_kept_nowhere()).count()
    }

    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        key: Key,
        event: &Event,
        lead: Party,
        progress: Progress,
    ) -> Admission {
        let by_content = event.known_by == KnownBy::Content && !self.by_time;
        if by_content {
            // From here on a repetition that is expected is one of this event, not of its twin: if
            // this one is deferred, what the twin left must not suppress it.
            state.settled.take(key);
        }
        let traceparent = event.extension_value("traceparent").cloned();
        let (flight, receipt) = Flight::begin(lead, progress, traceparent);
        state.flights.insert(key, Arc::clone(&flight));
        Admission::New(Ack::new(self.repeat(key), flight, by_content), receipt)
    }

    fn secs(&self, at: Instant) -> u32 {
        let since = at.saturating_duration_since(self.epoch).as_secs();
        u32::try_from(since).unwrap_or(u32::MAX)
    }

    fn repeat(self: &Arc<Self>, key: Key) -> Repeat {
        Repeat { duplicates: Arc::clone(self), key }
    }

    fn key(&self, event: &Event) -> Key {
        let time = (self.by_time && event.known_by == KnownBy::Content).then_some(event.time);
        let id = (event.id.as_str(), event.content.0, time.map(Timestamp::as_millis));
        self.hashers.each_ref().map(|hasher| hasher.hash_one(id))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Repeat ===

impl Repeat {
    /// Says that VOD had no answer in time for this event, so that it may send it again: the next
    /// one that is the same is a repetition, even if the event is known by its content alone.
    pub fn expect(&self) {
        self.expect_within(self.duplicates.window);
    }

    /// The same, where the repetition comes within a shorter time or not at all.
    pub fn expect_within(&self, time: Duration) {
        let Duplicates { window, .. } = *self.duplicates;
        let until = self.duplicates.secs(Instant::now() + time.min(window)).saturating_add(1);
        let mut state = self.duplicates.lock();
        if let Some(flight) = state.flights.get(&self.key) {
            flight.expect_repeat(until);
        } else if let Some(partial) = state.partial.get_mut(self.key, window) {
            partial.repeat_until = partial.repeat_until.max(until);
        } else if let Some(settled) = state.settled.get_mut(self.key, window) {
            settled.repeat_until = settled.repeat_until.max(until);
        }
    }

    /// Ends the flight: nobody can join it any more, and everybody who did learns the outcome.
    /// A deferral of an event that is being written to the spool waits for that.
    pub(crate) fn end(&self, flight: &Flight, by_content: bool, outcome: Outcome, ending: Ending) {
        if outcome == Outcome::Deferred && flight.park(self, by_content, ending) {
            return;
        }
        let Duplicates { window, entries_max, .. } = *self.duplicates;
        let mut state = self.duplicates.lock();
        // Under the lock, so that nobody says that a repeat is expected between the two.
        let (progress, repeat_until) = (flight.progress(), flight.repeat_until());
        state.flights.remove(&self.key);
        match outcome {
            Outcome::Delivered | Outcome::Rejected => {
                state.settled.put(self.key, Settled { by_content, repeat_until }, window);
            }
            Outcome::Deferred if progress.is_empty() => {}
            Outcome::Deferred => {
                let partial = Partial { progress, by_content, repeat_until };
                state.partial.put(self.key, partial, window);
            }
        }
        while state.settled.len() + state.partial.len() > entries_max {
            if !state.settled.evict() {
                state.partial.evict();
            }
        }
        drop(state);
        flight.end(outcome, ending);
    }
}
