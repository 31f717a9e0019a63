//! Callbacks one after the other, on a few threads, for as long as something is exchanged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use tokio::time::Instant;

/// Threads that send.
const THREADS: usize = 4;

/// Running load. Each callback has a number of its own.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

// === impl Load ===

impl Load {
    /// `send` sends the callback with a number and says its status, or why there is none.
    pub(super) fn start(send: impl Fn(u64) -> Result<u16, String> + Send + Sync + 'static) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let send = Arc::new(send);
        let threads = (0..THREADS).map(|_| {
            let (stop, sent, send) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&send));
            thread::spawn(move || {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    match send(number) {
                        Ok(200) => {}
                        other => failed.push(format!("{number}: {other:?}")),
                    }
                }
                failed
            })
        });
        Self { threads: threads.collect(), stop, sent }
    }

    /// Lets so many more be sent: what was exchanged is used.
    pub(super) fn go_on(&self) {
        let enough = self.sent.load(Ordering::Relaxed) + 50;
        let give_up = Instant::now() + crate::program::PATIENCE;
        while self.sent.load(Ordering::Relaxed) < enough {
            assert!(Instant::now() < give_up, "the load stands still");
            thread::yield_now();
        }
    }

    /// Ends it; each was answered 200. Returns how many there were.
    pub(super) fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let failed: Vec<_> =
            self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let sent = self.sent.load(Ordering::Relaxed);
        assert_eq!(failed, [""; 0], "of {sent}");
        sent
    }
}
