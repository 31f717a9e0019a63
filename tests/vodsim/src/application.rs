//! One application: its configuration, and the queue of its events.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use vodbridge_vod::api::{EVENTS_MAX, EventConfig};

use crate::callback;
use crate::ledger::Ledger;

/// An event: its number, and the body it has as a callback.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) number: u64,
    body: Body,
    /// The handle that it keeps, if it keeps one.
    handle: Option<String>,
}

#[derive(Clone, Debug)]
enum Body {
    Given(Bytes),
    /// Made when it is needed: a million bodies would fill the memory.
    Numbered(u64),
}

/// The times of the queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) hidden_for: Duration,
    pub(crate) kept_for: Duration,
}

#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) config: EventConfig,
    pub(crate) sign_key: Option<String>,
    ready: VecDeque<(Instant, Issued)>,
    /// By when they come back, and by a number that tells those apart.
    hidden: BTreeMap<(Instant, u64), Hidden>,
    handles: HashMap<String, (Instant, u64)>,
    next: u64,
}

#[derive(Debug)]
struct Hidden {
    issued: Issued,
    since: Instant,
    handle: String,
    is_confirmed: bool,
}

// === impl Issued ===

impl Issued {
    pub(crate) fn given(number: u64, body: Bytes) -> Self {
        Self { number, body: Body::Given(body), handle: None }
    }

    pub(crate) fn numbered(number: u64, n: u64) -> Self {
        Self { number, body: Body::Numbered(n), handle: None }
    }

    pub(crate) fn body(&self) -> Bytes {
        match &self.body {
            Body::Given(body) => body.clone(),
            Body::Numbered(n) => callback::body(*n).into(),
        }
    }
}

// === impl Application ===

impl Application {
    pub(crate) fn new(config: EventConfig) -> Self {
        Self {
            config,
            sign_key: None,
            ready: VecDeque::new(),
            hidden: BTreeMap::new(),
            handles: HashMap::new(),
            next: 0,
        }
    }

    pub(crate) fn is_push(&self) -> bool {
        self.config.mode.as_deref() != Some("PULL")
    }

    pub(crate) fn put(&mut self, issued: Issued) {
        self.ready.push_back((Instant::now(), issued));
    }

    /// Takes one event to be sent. One that was pulled and not confirmed is sent once it is back.
    pub(crate) fn take(&mut self, ledger: &Ledger) -> Option<Issued> {
        self.bring_back(Instant::now(), ledger);
        self.ready.pop_front().map(|(_, issued)| issued)
    }

    /// Events that wait to be pulled.
    pub(crate) fn waiting(&self) -> usize {
        let now = Instant::now();
        let is_back =
            |(key, hidden): &(&(Instant, u64), &Hidden)| key.0 <= now && !hidden.is_confirmed;
        self.ready.len() + self.hidden.iter().filter(is_back).count()
    }

    /// When the next hidden event comes back.
    pub(crate) fn next_return(&self) -> Option<Instant> {
        self.hidden.keys().next().map(|(at, _)| *at)
    }

    /// Hands out up to 16 events, each with a handle. `repeat` hands out hidden ones again as
    /// well; `same_handles` gives an event that comes back the handle that it had.
    pub(crate) fn pull(
        &mut self,
        times: Times,
        repeat: bool,
        same_handles: bool,
        ledger: &mut Ledger,
    ) -> Vec<(String, Issued)> {
        let now = Instant::now();
        self.bring_back(now, ledger);
        let mut out = Vec::new();
        if repeat && let Some(hidden) = self.hidden.values().find(|h| !h.is_confirmed) {
            let (again, since) = (hidden.issued.clone(), hidden.since);
            out.push(self.hide(again, since, times, same_handles, ledger));
        }
        while out.len() < EVENTS_MAX {
            let Some((since, issued)) = self.ready.pop_front() else { break };
            // A copy of it may have been confirmed meanwhile.
            let is_owed = !ledger.is_confirmed(issued.number);
            if is_owed && now.duration_since(since) < times.kept_for {
                out.push(self.hide(issued, since, times, same_handles, ledger));
            }
        }
        out
    }

    /// Confirms handles. A bad one fails the call; whether the good ones beside it are confirmed
    /// is not documented, and `partly` says so.
    pub(crate) fn confirm(
        &mut self,
        handles: &[String],
        partly: bool,
        ledger: &mut Ledger,
    ) -> Result<(), &'static str> {
        let now = Instant::now();
        let is_good = |handle: &String| {
            let key = self.handles.get(handle)?;
            let hidden = self.hidden.get(key)?;
            (key.0 > now && !hidden.is_confirmed).then_some(*key)
        };
        let good: Vec<_> = handles.iter().filter_map(is_good).collect();
        let is_all = good.len() == handles.len();
        if is_all || partly {
            for key in good {
                if let Some(hidden) = self.hidden.get_mut(&key) {
                    hidden.is_confirmed = true;
                    ledger.confirm(hidden.issued.number);
                }
            }
        }
        if is_all { Ok(()) } else { Err("EventHandles expired") }
    }

    fn hide(
        &mut self,
        mut issued: Issued,
        since: Instant,
        times: Times,
        same_handles: bool,
        ledger: &mut Ledger,
    ) -> (String, Issued) {
        ledger.deliver(issued.number);
        self.next += 1;
        let handle = issued.handle.take().unwrap_or_else(|| {
            // Of the form that was seen: decimal digits that tell nothing.
            format!("{}", 8_078_360_000_000_000_000_u64 + self.next)
        });
        if same_handles {
            issued.handle = Some(handle.clone());
        }
        let key = (Instant::now() + times.hidden_for, self.next);
        let given = issued.clone();
        let hidden = Hidden { issued, since, handle: handle.clone(), is_confirmed: false };
        self.hidden.insert(key, hidden);
        self.handles.insert(handle.clone(), key);
        (handle, given)
    }

    /// What was not confirmed in time waits again, before what is new.
    fn bring_back(&mut self, now: Instant, ledger: &Ledger) {
        while let Some(entry) = self.hidden.first_entry()
            && entry.key().0 <= now
        {
            let (key, hidden) = entry.remove_entry();
            // An event that keeps its handle may have been handed out again since.
            if self.handles.get(&hidden.handle) == Some(&key) {
                self.handles.remove(&hidden.handle);
            }
            if !ledger.is_confirmed(hidden.issued.number) {
                self.ready.push_front((hidden.since, hidden.issued));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times =
        Times { hidden_for: Duration::from_secs(30), kept_for: Duration::from_secs(345_600) };

    fn filled(count: u64) -> (Application, Ledger) {
        let (mut application, mut ledger) =
            (Application::new(EventConfig::default()), Ledger::default());
        for n in 0..count {
            application.put(Issued::numbered(ledger.issue(), n));
        }
        (application, ledger)
    }

    fn numbers(pulled: &[(String, Issued)]) -> Vec<u64> {
        pulled.iter().map(|(_, issued)| issued.number).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn at_most_16_are_handed_out_and_come_back_unless_they_are_confirmed() {
        let (mut application, mut ledger) = filled(20);
        let first = application.pull(TIMES, false, false, &mut ledger);
        assert_eq!(numbers(&first), (0..16).collect::<Vec<_>>());
        assert_eq!(application.pull(TIMES, false, false, &mut ledger).len(), 4);
        application.confirm(&[first[3].0.clone()], false, &mut ledger).unwrap();
        tokio::time::advance(Duration::from_secs(30)).await;
        let mut again = application.pull(TIMES, false, false, &mut ledger);
        again.extend(application.pull(TIMES, false, false, &mut ledger));
        let mut back = numbers(&again);
        back.sort_unstable();
        assert_eq!(back, (0..20).filter(|n| *n != 3).collect::<Vec<_>>());
        assert!(again.iter().all(|(handle, _)| first.iter().all(|(old, _)| old != handle)));
        let summary = ledger.summary();
        assert_eq!((summary.confirmed, summary.redelivered, summary.unconfirmed), (1, 19, 19));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handle_is_good_for_30_s_and_for_once() {
        let (mut application, mut ledger) = filled(2);
        let pulled = application.pull(TIMES, false, false, &mut ledger);
        let [one, two] = [0, 1].map(|n| vec![pulled[n].0.clone()]);
        assert_eq!(application.confirm(&one, false, &mut ledger), Ok(()));
        assert!(application.confirm(&one, false, &mut ledger).is_err());
        assert!(application.confirm(&["unknown".to_owned()], true, &mut ledger).is_err());
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(application.confirm(&two, true, &mut ledger).is_err());
        assert_eq!(ledger.unconfirmed(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_bad_handle_spoils_the_call_or_only_itself() {
        for (partly, confirmed) in [(false, 0), (true, 1)] {
            let (mut application, mut ledger) = filled(1);
            let pulled = application.pull(TIMES, false, false, &mut ledger);
            let handles = [pulled[0].0.clone(), "bad".to_owned()];
            assert!(application.confirm(&handles, partly, &mut ledger).is_err());
            assert_eq!(ledger.summary().confirmed, confirmed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_may_keep_its_handle_and_may_be_handed_out_twice() {
        let (mut application, mut ledger) = filled(1);
        let first = application.pull(TIMES, false, true, &mut ledger);
        let second = application.pull(TIMES, true, true, &mut ledger);
        assert_eq!(first[0].0, second[0].0);
        application.confirm(&[second[0].0.clone()], false, &mut ledger).unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(application.pull(TIMES, false, true, &mut ledger).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_pulls_for_four_days_is_gone() {
        let (mut application, mut ledger) = filled(1);
        tokio::time::advance(TIMES.kept_for).await;
        assert!(application.pull(TIMES, false, false, &mut ledger).is_empty());
    }
}
