//! The longest time that nobody was ready.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::http;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Who does not answer within this time is not ready.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Asks `/readyz` of some bridges again and again, until it is dropped.
#[derive(Debug)]
pub struct Readiness {
    seen: Arc<Mutex<Seen>>,
    _task: JoinSet<()>,
}

#[derive(Debug)]
struct Seen {
    /// When somebody was last ready, or the watch began.
    ready: Instant,
    longest: Duration,
}

// === impl Readiness ===

impl Readiness {
    /// Watches these; one of them that is ready is enough.
    pub fn watch(bridges: Vec<SocketAddr>) -> Self {
        let seen = Seen { ready: Instant::now(), longest: Duration::ZERO };
        let seen = Arc::new(Mutex::new(seen));
        let mut task = JoinSet::new();
        task.spawn(watch(bridges, Arc::clone(&seen)));
        Self { seen, _task: task }
    }

    /// The longest time so far in which nobody was ready, as precise as the looks are: 25 ms.
    pub fn longest_not_ready(&self) -> Duration {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = seen.longest.max(seen.ready.elapsed());
        // Two looks are never closer.
        if longest <= 2 * PAUSE { Duration::ZERO } else { longest }
    }
}

async fn watch(bridges: Vec<SocketAddr>, seen: Arc<Mutex<Seen>>) {
    loop {
        let begun = Instant::now();
        let mut is_ready = false;
        for bridge in &bridges {
            let answer = timeout(ANSWERS_WITHIN, http::get(*bridge, "/readyz")).await;
            is_ready |= matches!(answer, Ok(Ok(answer)) if answer.status == 200);
            if is_ready {
                break;
            }
        }
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if is_ready {
                seen.longest = seen.longest.max(begun - seen.ready);
                seen.ready = Instant::now();
            }
        }
        sleep(PAUSE).await;
    }
}
