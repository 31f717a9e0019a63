//! What is known to be unavailable, by connector and topic.
//!
//! A topic that takes nothing must not fill the room that events for other topics need: while its
//! breaker is open, one event holds the seat of the probe and all others are deferred at once.
//! Where no event waits, the bridge probes by [`Connector::check`](vodbridge_core::Connector).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::Notify;
use tokio::time::Instant;
use vodbridge_core::{Backoff, Cause, Topic, Unavailable};

/// Failures without a success between them that open a breaker.
const FAILURES_TO_OPEN: u32 = 3;

/// A failure that comes sooner after the last one that was counted says nothing new: a connection
/// that breaks fails all that is under way on it, and may be back in a moment.
const NEWS_AFTER: Duration = Duration::from_millis(250);

/// A failure that took longer always counts: who hangs holds room that others need.
const HUNG_AFTER: Duration = Duration::from_secs(1);

/// The most topics of one connector that are told apart, so that names from outside cannot fill the
/// memory. One more takes the place of that which is not open and has failed least lately; where all
/// are open, trouble on it opens no breaker.
const TOPICS_MAX: usize = 1024;

/// The breakers of one connector. Only topics in trouble have one.
#[derive(Debug, Default)]
pub(super) struct Breakers {
    troubled: AtomicUsize,
    topics: Mutex<HashMap<Topic, Breaker>>,
    opened: Notify,
    seats: AtomicU64,
}

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    /// When the last failure was counted.
    counted: Option<Instant>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    backoff: Backoff,
    next_probe: Instant,
    /// Since when it is topology alone that is missing, and what.
    missing: Option<(Instant, SmolStr)>,
    /// The number of the seat that is taken.
    seat: Option<u64>,
}

/// What an event finds at the breaker of its topic.
#[derive(Debug)]
pub(super) enum Entry<'a> {
    /// Publish.
    Go,
    /// Wait until the seat's probe is due, then publish for everybody.
    Probe(Seat<'a>),
    /// Somebody else probes.
    Shut,
}

/// The right to probe a topic; dropping it gives it up. It ends when the breaker closes, and holds
/// for no later opening.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    breakers: &'a Breakers,
    topic: Topic,
    number: u64,
}

/// What a failure changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The breaker has just opened.
    Opened,
    /// The breaker is as it was.
    Same,
}

// === impl Breakers ===

impl Breakers {
    /// Asks for the way to a topic.
    pub(super) fn enter(&self, topic: &Topic) -> Entry<'_> {
        if self.troubled.load(Ordering::Acquire) == 0 {
            return Entry::Go;
        }
        match self.lock().get_mut(topic).and_then(|b| b.open.as_mut()) {
            None => Entry::Go,
            Some(open) if open.seat.is_some() => Entry::Shut,
            Some(open) => {
                let number = self.seats.fetch_add(1, Ordering::Relaxed);
                open.seat = Some(number);
                Entry::Probe(Seat { breakers: self, topic: topic.clone(), number })
            }
        }
    }

    /// The broker took an event. True when that closed an open breaker.
    pub(super) fn succeeded(&self, topic: &Topic) -> bool {
        if self.troubled.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut topics = self.lock();
        let was = topics.remove(topic);
        self.troubled.store(topics.len(), Ordering::Release);
        was.is_some_and(|b| b.open.is_some())
    }

    /// The broker did not take an event, or a check of who holds the seat, and that `took` so long.
    /// Only the probe makes the next one wait longer: many events that were under way when the
    /// breaker opened say nothing new.
    pub(super) fn failed(
        &self,
        topic: &Topic,
        why: &Unavailable,
        took: Duration,
        seat: Option<&Seat<'_>>,
    ) -> Turn {
        let cause = why.cause;
        let missing = |since: Option<Instant>| {
            let since = since.unwrap_or_else(Instant::now);
            (cause == Cause::Topology).then(|| (since, SmolStr::new(&why.message)))
        };
        let mut topics = self.lock();
        if topics.len() >= TOPICS_MAX && !topics.contains_key(topic) {
            let closed = topics.iter().filter(|(_, breaker)| breaker.open.is_none());
            let oldest = closed.min_by_key(|(_, breaker)| breaker.counted);
            let Some(oldest) = oldest.map(|(topic, _)| topic.clone()) else { return Turn::Same };
            topics.remove(&oldest);
        }
        let breaker = topics.entry(topic.clone()).or_default();
        if took >= HUNG_AFTER || breaker.counted.is_none_or(|last| last.elapsed() >= NEWS_AFTER) {
            breaker.failures = breaker.failures.saturating_add(1);
            breaker.counted = Some(Instant::now());
        }
        let turn = match (&mut breaker.open, cause) {
            (Some(open), _) => {
                open.missing = missing(open.missing.as_ref().map(|(since, _)| *since));
                if seat.is_some_and(|s| open.seat == Some(s.number)) {
                    open.next_probe = Instant::now() + open.backoff.next_wait();
                }
                Turn::Same
            }
            (None, Cause::Outage | Cause::Pending) if breaker.failures < FAILURES_TO_OPEN => {
                Turn::Same
            }
            (None, Cause::Outage | Cause::Pending | Cause::Topology) => {
                let mut backoff = Backoff::new();
                let next_probe = Instant::now() + backoff.next_wait();
                breaker.open =
                    Some(Open { backoff, next_probe, missing: missing(None), seat: None });
                Turn::Opened
            }
        };
        self.troubled.store(topics.len(), Ordering::Release);
        drop(topics);
        if turn == Turn::Opened {
            self.opened.notify_one();
        }
        turn
    }

    /// A check found a topic well: the next event tries it, and one more failure opens it again.
    pub(super) fn checked_well(&self, topic: &Topic) {
        if let Some(breaker) = self.lock().get_mut(topic) {
            *breaker = Breaker { failures: FAILURES_TO_OPEN - 1, ..Breaker::default() };
        }
    }

    /// The topic to probe next for which no event waits, and when; resolves when there is one.
    /// Cancel safe.
    pub(super) async fn next_unattended(&self) -> (Topic, Instant) {
        loop {
            let opened = self.opened.notified();
            let next = self
                .lock()
                .iter()
                .filter_map(|(topic, breaker)| Some((topic, breaker.open.as_ref()?)))
                .filter(|(_, open)| open.seat.is_none())
                .map(|(topic, open)| (topic.clone(), open.next_probe))
                .min_by_key(|(_, at)| *at);
            match next {
                Some(next) => return next,
                None => opened.await,
            }
        }
    }

    /// Whether the breaker of a topic is open.
    pub(super) fn is_open(&self, topic: &Topic) -> bool {
        self.troubled.load(Ordering::Acquire) > 0
            && self.lock().get(topic).is_some_and(|b| b.open.is_some())
    }

    /// For how long nothing but topology has been missing for a topic, and what that is.
    pub(super) fn missing(&self, topic: &Topic) -> Option<(Duration, SmolStr)> {
        if self.troubled.load(Ordering::Acquire) == 0 {
            return None;
        }
        let topics = self.lock();
        let (since, what) = topics.get(topic)?.open.as_ref()?.missing.as_ref()?;
        Some((since.elapsed(), what.clone()))
    }

    /// Topics whose breaker is open.
    pub(super) fn open(&self) -> Vec<Topic> {
        self.lock().iter().filter(|(_, b)| b.open.is_some()).map(|(t, _)| t.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Breaker>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Seat ===

impl Seat<'_> {
    /// When the probe is due; `None` once the seat has ended.
    pub(super) fn due(&self) -> Option<Instant> {
        let topics = self.breakers.lock();
        let open = topics.get(&self.topic)?.open.as_ref()?;
        (open.seat == Some(self.number)).then_some(open.next_probe)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.breakers.lock().get_mut(&self.topic).and_then(|b| b.open.as_mut())
            && open.seat == Some(self.number)
        {
            open.seat = None;
            self.breakers.opened.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::ZERO;

    fn outage() -> Unavailable {
        Unavailable::outage("away")
    }

    fn topology() -> Unavailable {
        Unavailable::topology("no such topic")
    }

    fn topic() -> Topic {
        Topic::new("vod.x").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn three_failures_open_it_and_one_success_closes_it() {
        let breakers = Breakers::default();
        for turn in [Turn::Same, Turn::Same, Turn::Opened, Turn::Same] {
            assert!(turn == Turn::Same || matches!(breakers.enter(&topic()), Entry::Go));
            assert_eq!(breakers.failed(&topic(), &outage(), QUICK, None), turn);
            tokio::time::advance(NEWS_AFTER).await;
        }
        assert!(matches!(breakers.enter(&topic()), Entry::Probe(..)));
        assert!(breakers.succeeded(&topic()));
        assert!(matches!(breakers.enter(&topic()), Entry::Go));
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_together_with_its_connection_is_one_failure_and_what_hangs_is_many() {
        let breakers = Breakers::default();
        for _ in 0..2 {
            for _ in 0..100 {
                assert_eq!(breakers.failed(&topic(), &outage(), QUICK, None), Turn::Same);
            }
            tokio::time::advance(NEWS_AFTER).await;
        }
        assert_eq!(breakers.failed(&topic(), &outage(), QUICK, None), Turn::Opened);
        let breakers = Breakers::default();
        for turn in [Turn::Same, Turn::Same, Turn::Opened] {
            assert_eq!(breakers.failed(&topic(), &outage(), HUNG_AFTER, None), turn);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_between_failures_starts_the_count_again() {
        let breakers = Breakers::default();
        for _ in 0..5 {
            assert_eq!(breakers.failed(&topic(), &outage(), QUICK, None), Turn::Same);
            tokio::time::advance(NEWS_AFTER).await;
            assert_eq!(breakers.failed(&topic(), &outage(), QUICK, None), Turn::Same);
            assert!(!breakers.succeeded(&topic()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_topology_opens_it_at_once_and_for_no_other_topic() {
        let breakers = Breakers::default();
        assert_eq!(breakers.failed(&topic(), &topology(), QUICK, None), Turn::Opened);
        assert!(matches!(breakers.enter(&Topic::new("vod.y").unwrap()), Entry::Go));
    }

    #[tokio::test(start_paused = true)]
    async fn one_event_probes_and_the_others_are_turned_away() {
        let breakers = Breakers::default();
        breakers.failed(&topic(), &topology(), QUICK, None);
        let Entry::Probe(seat) = breakers.enter(&topic()) else { panic!("the seat is free") };
        assert!(matches!(breakers.enter(&topic()), Entry::Shut));
        drop(seat);
        assert!(matches!(breakers.enter(&topic()), Entry::Probe(..)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_ends_with_its_opening() {
        let breakers = Breakers::default();
        breakers.failed(&topic(), &topology(), QUICK, None);
        let Entry::Probe(old) = breakers.enter(&topic()) else { panic!("the seat is free") };
        assert!(breakers.succeeded(&topic()));
        assert_eq!(old.due(), None);
        breakers.failed(&topic(), &topology(), QUICK, None);
        assert_eq!(old.due(), None);
        let Entry::Probe(new) = breakers.enter(&topic()) else { panic!("the seat is free") };
        drop(old);
        assert!(matches!(breakers.enter(&topic()), Entry::Shut));
        assert!(new.due().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn failures_beside_the_probe_do_not_put_it_off() {
        let breakers = Breakers::default();
        breakers.failed(&topic(), &topology(), QUICK, None);
        let Entry::Probe(seat) = breakers.enter(&topic()) else { panic!("the seat is free") };
        let due = seat.due();
        for _ in 0..100 {
            breakers.failed(&topic(), &outage(), QUICK, None);
        }
        assert_eq!(seat.due(), due);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        breakers.failed(&topic(), &outage(), QUICK, Some(&seat));
        assert!(seat.due() > due);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_is_known_since_it_is_all_that_is() {
        let breakers = Breakers::default();
        breakers.failed(&topic(), &topology(), QUICK, None);
        tokio::time::advance(Duration::from_secs(60)).await;
        breakers.failed(&topic(), &topology(), QUICK, None);
        assert_eq!(breakers.missing(&topic()).unwrap().0, Duration::from_secs(60));
        breakers.failed(&topic(), &outage(), QUICK, None);
        assert_eq!(breakers.missing(&topic()), None);
        breakers.failed(&topic(), &topology(), QUICK, None);
        assert_eq!(breakers.missing(&topic()).unwrap().0, Duration::ZERO);
        breakers.succeeded(&topic());
        assert_eq!(breakers.missing(&topic()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn topics_that_failed_once_give_way_to_those_that_fail_now_and_open_ones_do_not() {
        let breakers = Breakers::default();
        let invented = |n| Topic::new(format!("vod.invented-{n}")).unwrap();
        breakers.failed(&invented(0), &topology(), QUICK, None);
        for n in 1..2 * TOPICS_MAX {
            breakers.failed(&invented(n), &outage(), QUICK, None);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        for turn in [Turn::Same, Turn::Same, Turn::Opened] {
            assert_eq!(breakers.failed(&topic(), &outage(), QUICK, None), turn);
            tokio::time::advance(NEWS_AFTER).await;
        }
        assert!(breakers.is_open(&invented(0)));
        assert_eq!(breakers.lock().len(), TOPICS_MAX);
        assert!(breakers.lock().contains_key(&invented(2 * TOPICS_MAX - 1)), "the latest is there");

        for n in 0..2 * TOPICS_MAX {
            breakers.failed(&invented(n), &topology(), QUICK, None);
        }
        assert!(breakers.is_open(&topic()));
        assert_eq!(breakers.open().len(), TOPICS_MAX);
        let one_more = Topic::new("vod.one-more").unwrap();
        assert_eq!(breakers.failed(&one_more, &topology(), QUICK, None), Turn::Same);
    }
}
