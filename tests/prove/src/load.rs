//! VOD's events of one run, in either mode, at a steady pace that can rest.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use vodsim::callback::{self, file_id};
use vodsim::generate::sample;
use vodsim::{Options, Vod};

use crate::callbacks::{Answers, Callbacks};
use crate::matrix::Mode;
use crate::oracle::{Issued, Told};

/// VOD's times are divided by this in a run, so that what was pulled and not confirmed comes again
/// after 5 s instead of 30 s.
pub const TIME_SCALE: f64 = 6.0;

/// How long a fresh event may take to get through once all faults have ended.
const FRESH_WITHIN: Duration = Duration::from_secs(60);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// How long everything owed may take to be confirmed once all faults have ended.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(90);

/// The types that events have in turns, with a topic each: `NewFileUpload` is every other.
const OTHERS: [&str; 2] = ["PullComplete", "ProcedureStateChanged"];

/// The events of a run.
#[derive(Debug)]
pub struct Load {
    source: Arc<Source>,
    pace: watch::Sender<Pace>,
    task: JoinSet<()>,
}

#[derive(Debug)]
enum Source {
    Callbacks(Mutex<Callbacks>),
    Queue(Queue),
}

#[derive(Debug)]
struct Queue {
    vod: Vod,
    /// Held while an event gets its number and its body, which go together: the oracle knows events
    /// by them.
    issuing: std::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Rests,
    Flows,
}

// === impl Load ===

impl Load {
    /// A VOD that rests. Callbacks go to whomever `endpoints` names.
    pub async fn new(mode: Mode, endpoints: watch::Receiver<Vec<SocketAddr>>) -> Self {
        let source = if mode.is_push() {
            Source::Callbacks(Mutex::new(Callbacks::new(endpoints)))
        } else {
            let options =
                Options { time_scale: TIME_SCALE, calls_per_second: None, ..Options::default() };
            let vod = Vod::start(options).await.expect("a free port for VOD");
            Source::Queue(Queue { vod, issuing: std::sync::Mutex::default() })
        };
        let pace = watch::Sender::new(Pace::Rests);
        Self { source: Arc::new(source), pace, task: JoinSet::new() }
    }

    /// Where VOD's API is, if events are pulled.
    pub fn vod(&self) -> Option<&Vod> {
        match &*self.source {
            Source::Callbacks(_) => None,
            Source::Queue(queue) => Some(&queue.vod),
        }
    }

    /// Lets so many events happen every second from now on, until it rests.
    pub fn flow(&mut self, per_second: u32) {
        if self.pace.send_replace(Pace::Flows) == Pace::Flows || !self.task.is_empty() {
            return;
        }
        let (source, mut pace) = (Arc::clone(&self.source), self.pace.subscribe());
        self.task.spawn(async move {
            let mut ticks = interval(Duration::from_secs(1) / per_second);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The sender lives as long as the task.
            while pace.wait_for(|pace| *pace == Pace::Flows).await.is_ok() {
                ticks.tick().await;
                source.issue().await;
            }
        });
    }

    /// Lets nothing more happen, and waits until each callback is answered or given up.
    pub async fn rest(&self) {
        self.pace.send_replace(Pace::Rests);
        if let Source::Callbacks(callbacks) = &*self.source {
            callbacks.lock().await.settle().await;
        }
    }

    /// Lets one event after the other happen until one of them is acknowledged.
    ///
    /// # Errors
    ///
    /// When none was within a minute.
    pub async fn fresh(&self) -> Result<(), String> {
        let getting_through = async {
            loop {
                if self.source.issue_and_wait().await {
                    return;
                }
                sleep(PAUSE).await;
            }
        };
        let waited = timeout(FRESH_WITHIN, getting_through).await;
        waited.map_err(|_| format!("no fresh event got through within {FRESH_WITHIN:?}"))
    }

    /// Waits until VOD's queue is empty; callbacks have none.
    ///
    /// # Errors
    ///
    /// When something is left after 90 s.
    pub async fn drained(&self) -> Result<(), String> {
        let Some(vod) = self.vod() else { return Ok(()) };
        let drained = vod.until(|summary| summary.unconfirmed == 0, CONFIRMED_WITHIN).await;
        drained.map(drop).map_err(|left| {
            format!("{} events not confirmed within {CONFIRMED_WITHIN:?}", left.unconfirmed)
        })
    }

    /// Whoever takes callbacks there is killed at this moment.
    pub async fn died(&self, listener: SocketAddr, when: Instant) {
        if let Source::Callbacks(callbacks) = &*self.source {
            callbacks.lock().await.died(listener, when);
        }
    }

    /// Every event so far with what the bridge has promised of it.
    pub async fn ledger(&self, mode: Mode) -> Vec<Issued> {
        let told = match &*self.source {
            Source::Callbacks(callbacks) => callbacks.lock().await.told(mode == Mode::Ahead),
            Source::Queue(queue) => {
                let ledger = queue.vod.ledger();
                let confirmed = ledger.entries().iter().map(|entry| entry.confirmed.is_some());
                let told = |is| if is { Told::Acknowledged } else { Told::Nothing };
                confirmed.map(told).collect()
            }
        };
        let issued = |(n, told)| Issued { body: body(n), file: file_id(n), told };
        (0..).zip(told).map(issued).collect()
    }

    /// What callers were answered; nothing where events are pulled.
    pub async fn answers(&self) -> Answers {
        match &*self.source {
            Source::Callbacks(callbacks) => callbacks.lock().await.answers(),
            Source::Queue(_) => Answers::default(),
        }
    }
}

// === impl Source ===

impl Source {
    async fn issue(&self) {
        match self {
            Self::Callbacks(callbacks) => {
                let mut callbacks = callbacks.lock().await;
                let number = callbacks.count();
                callbacks.send(body(number)).await;
            }
            Self::Queue(queue) => {
                queue.issue();
            }
        }
    }

    async fn issue_and_wait(&self) -> bool {
        match self {
            Self::Callbacks(callbacks) => {
                let mut callbacks = callbacks.lock().await;
                let number = callbacks.count();
                let place = callbacks.send(body(number)).await;
                callbacks.settle().await;
                callbacks.is_acknowledged(place)
            }
            Self::Queue(queue) => {
                let number = queue.issue();
                let is_confirmed = async {
                    while !queue.vod.ledger().is_confirmed(number) {
                        sleep(PAUSE).await;
                    }
                };
                is_confirmed.await;
                true
            }
        }
    }
}

// === impl Queue ===

impl Queue {
    fn issue(&self) -> u64 {
        let _issuing = self.issuing.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.vod.summary().issued;
        let issued = self.vod.issue(None, body(number));
        assert_eq!(issued, number, "an event with the body of another");
        issued
    }
}

/// The body of event number `n`.
pub fn body(n: u64) -> Vec<u8> {
    if n.is_multiple_of(2) {
        return callback::body(n);
    }
    let place = usize::try_from(n / 2 % 2).expect("0 or 1");
    let sample = sample(OTHERS[place]).expect("it is in the catalogue");
    sample.body(n).to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::oracle::payload;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn events_that_happen_at_once_have_a_number_and_a_payload_each() {
        let (_endpoints, none) = watch::channel(Vec::new());
        let load = Load::new(Mode::Pull, none).await;
        let mut issuing = JoinSet::new();
        for _ in 0..4 {
            let source = Arc::clone(&load.source);
            issuing.spawn(async move {
                for _ in 0..500 {
                    source.issue().await;
                }
            });
        }
        issuing.join_all().await;
        assert_eq!(load.vod().unwrap().summary().issued, 2000);
    }

    #[test]
    fn every_event_has_a_payload_of_its_own_with_its_file() {
        let payloads: BTreeSet<_> =
            (0..1000).map(|n| payload(&body(n)).unwrap().to_vec()).collect();
        assert_eq!(payloads.len(), 1000);
        for n in 0..1000 {
            let text = String::from_utf8(body(n)).unwrap();
            assert!(text.contains(&file_id(n)), "{text}");
        }
    }
}
