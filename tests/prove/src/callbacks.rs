//! VOD's side of normal callbacks: POSTs at a steady pace, 5 s for each answer, twice more after a
//! timeout and after nothing else (as the vendor's sender of 2017 did), and a ledger of what was
//! written when and answered how.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::http::{self, Broken, Connection};
use crate::oracle::Told;

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Attempts in all.
const ATTEMPTS: usize = 3;

/// Callbacks under way at a time; VOD waits with further ones.
const CALLBACKS_MAX: usize = 512;

/// How long before the process is killed the last byte must have been handed to the kernel, so that
/// the event is owed: the bridge has to be given the time to read it and to write it down, on a
/// machine that does much else.
pub const WRITTEN_WITHIN: Duration = Duration::from_millis(500);

/// The path that the callbacks go to.
pub const PATH: &str = "/vod/movies";

/// Sends callbacks, each in a task of its own, until it is dropped.
#[derive(Debug)]
pub struct Callbacks {
    shared: Arc<Shared>,
    under_way: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    ledger: Mutex<Vec<Entry>>,
    /// Whom the address leads to, as a load balancer would: those that are ready to take more.
    endpoints: watch::Receiver<Vec<SocketAddr>>,
    idle: Mutex<Vec<(SocketAddr, Connection)>>,
    /// Whoever listened there was killed then.
    deaths: Mutex<Vec<(SocketAddr, Instant)>>,
}

/// What became of one callback.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    acknowledged: bool,
    kept: bool,
    /// The last attempt that was written in full and whose connection broke.
    broken: Option<Attempt>,
    /// The statuses other than 2xx, and the attempts without an answer.
    refused: u32,
    unanswered: u32,
}

/// An attempt without an answer.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    to: SocketAddr,
    sent: Instant,
    broke: Instant,
}

/// The ledger in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Answers with 503 or any other status that is not 2xx.
    pub refused: u64,
    /// Attempts that got no whole answer.
    pub unanswered: u64,
}

// === impl Callbacks ===

impl Callbacks {
    /// A sender to whomever `endpoints` names.
    pub fn new(endpoints: watch::Receiver<Vec<SocketAddr>>) -> Self {
        let shared = Shared {
            ledger: Mutex::default(),
            endpoints,
            idle: Mutex::default(),
            deaths: Mutex::default(),
        };
        Self { shared: Arc::new(shared), under_way: JoinSet::new() }
    }

    /// Sends a body; its number is how many were sent before. Waits while too many are under way.
    pub async fn send(&mut self, body: Vec<u8>) -> usize {
        while self.under_way.try_join_next().is_some() {}
        if self.under_way.len() >= CALLBACKS_MAX {
            self.under_way.join_next().await;
        }
        let number = {
            let mut ledger = lock(&self.shared.ledger);
            ledger.push(Entry::default());
            ledger.len() - 1
        };
        let shared = Arc::clone(&self.shared);
        self.under_way.spawn(async move { shared.send(number, &body).await });
        number
    }

    /// How many were sent.
    pub fn count(&self) -> u64 {
        lock(&self.shared.ledger).len() as u64
    }

    /// Whoever listens there is killed at this moment.
    pub fn died(&self, listener: SocketAddr, when: Instant) {
        lock(&self.shared.deaths).push((listener, when));
    }

    /// Waits until each callback is answered or given up: at most three times 5 s.
    pub async fn settle(&mut self) {
        while self.under_way.join_next().await.is_some() {}
    }

    /// Whether a callback was answered with 2xx.
    pub fn is_acknowledged(&self, number: usize) -> bool {
        lock(&self.shared.ledger)[number].acknowledged
    }

    /// What the bridge has promised of each; `ahead` says whether what it read is owed.
    pub fn told(&self, ahead: bool) -> Vec<Told> {
        let deaths = lock(&self.shared.deaths);
        // What was sent while a killed process was being taken down is not owed, however long
        // before the next kill that was.
        let is_owed = |Attempt { to, sent, broke }: Attempt| {
            let died = |(whose, when): &(SocketAddr, Instant)| {
                *whose == to && sent + WRITTEN_WITHIN <= *when && *when <= broke
            };
            deaths.iter().any(died)
        };
        let told = |entry: &Entry| match entry {
            Entry { acknowledged: true, .. } => Told::Acknowledged,
            Entry { kept: true, .. } => Told::Kept,
            Entry { broken: Some(broken), .. } if ahead && is_owed(*broken) => Told::Sent,
            _ => Told::Nothing,
        };
        lock(&self.shared.ledger).iter().map(told).collect()
    }

    /// The ledger in numbers.
    pub fn answers(&self) -> Answers {
        let ledger = lock(&self.shared.ledger);
        let sum = |count: fn(&Entry) -> u32| ledger.iter().map(|e| u64::from(count(e))).sum();
        Answers { refused: sum(|e| e.refused), unanswered: sum(|e| e.unanswered) }
    }
}

// === impl Shared ===

impl Shared {
    async fn send(&self, number: usize, body: &[u8]) {
        for _ in 0..ATTEMPTS {
            let to = self.endpoint(number).await;
            match timeout(ANSWER_WITHIN, self.attempt(to, body)).await {
                Ok(Ok(answer)) => {
                    let entry = &mut lock(&self.ledger)[number];
                    entry.acknowledged |= (200..300).contains(&answer.status);
                    entry.refused += u32::from(!entry.acknowledged);
                    entry.kept |= is_kept(&answer.body);
                    return;
                }
                Ok(Err(Broken { sent, .. })) => {
                    let entry = &mut lock(&self.ledger)[number];
                    entry.unanswered += 1;
                    let broke = Instant::now();
                    let broken = sent.map(|sent| Attempt { to, sent, broke });
                    entry.broken = broken.or(entry.broken);
                    return;
                }
                Err(_) => lock(&self.ledger)[number].unanswered += 1,
            }
        }
    }

    async fn attempt(&self, to: SocketAddr, body: &[u8]) -> Result<http::Answer, Broken> {
        let unsent = |error| Broken { sent: None, error };
        // One that was idle may have been closed meanwhile; a sender tries a fresh one then.
        let idle = self.take_idle(to);
        if let Some(mut connection) = idle {
            match connection.exchange(&http::post(to, PATH, body)).await {
                Ok(answer) => return Ok(self.give_back(to, connection, answer)),
                Err(broken) if broken.sent.is_some() && !is_stale(&broken) => return Err(broken),
                Err(_) => {}
            }
        }
        let mut connection = Connection::open(to).await.map_err(unsent)?;
        let answer = connection.exchange(&http::post(to, PATH, body)).await?;
        Ok(self.give_back(to, connection, answer))
    }

    async fn endpoint(&self, number: usize) -> SocketAddr {
        let mut endpoints = self.endpoints.clone();
        // Somebody always comes back; the sender of the endpoints goes when the run has ended.
        match endpoints.wait_for(|endpoints| !endpoints.is_empty()).await {
            Ok(endpoints) => endpoints[number % endpoints.len()],
            Err(_) => SocketAddr::from(([127, 0, 0, 1], 1)),
        }
    }

    fn take_idle(&self, to: SocketAddr) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        let at = idle.iter().rposition(|(address, _)| *address == to)?;
        Some(idle.swap_remove(at).1)
    }

    fn give_back(
        &self,
        to: SocketAddr,
        connection: Connection,
        answer: http::Answer,
    ) -> http::Answer {
        if answer.keep_alive {
            lock(&self.idle).push((to, connection));
        }
        answer
    }
}

/// Whether the connection had been closed before the request got there: the end came at once.
fn is_stale(broken: &Broken) -> bool {
    broken.sent.is_some_and(|sent: Instant| sent.elapsed() < Duration::from_millis(5))
}

fn is_kept(body: &str) -> bool {
    serde_json::from_str::<Value>(body).is_ok_and(|body| body["kept"] == true)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
