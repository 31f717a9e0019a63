//! Many schedules, on all cores.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tokio::time::Instant;

use crate::life::{Failure, Numbers, run};

/// How long one schedule may take of real time: most take less than a millisecond.
const STUCK_AFTER: Duration = Duration::from_secs(30);

/// Which schedules to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// What the seeds are made of.
    pub base: u64,
    /// How many schedules, at most.
    pub count: u64,
    /// How long, at most.
    pub time: Option<Duration>,
    /// Threads that run them.
    pub threads: usize,
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Schedules that have ended.
    pub schedules: u64,
    /// Since the beginning.
    pub elapsed: Duration,
}

/// How a campaign ended.
#[derive(Debug)]
pub struct Ended {
    /// How far it came.
    pub progress: Progress,
    /// The numbers of all schedules together.
    pub numbers: Numbers,
    /// The first failure, with its story.
    pub failure: Option<Box<Failure>>,
}

impl Campaign {
    /// The seed of the schedule with this number.
    pub fn seed(&self, number: u64) -> u64 {
        // SplitMix64: neighbours have nothing in common.
        let mut z = self.base.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// Runs schedules until one fails or all are done, and says every second how far it is.
///
/// # Panics
///
/// When one schedule takes half a minute, which names its seed.
pub fn campaign(campaign: Campaign, mut said: impl FnMut(Progress)) -> Ended {
    let began = Instant::now();
    let (next, done, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let running: Vec<_> = (0..campaign.threads).map(|_| AtomicU64::new(0)).collect();
    let (ended, ends) = sync_channel::<(Numbers, Option<u64>)>(campaign.threads);
    let mut all =
        Ended { progress: Progress::default(), numbers: Numbers::default(), failure: None };
    let mut failed: Option<u64> = None;
    std::thread::scope(|threads| {
        for running in &running {
            let (ended, next, done, over) = (ended.clone(), &next, &done, &over);
            threads.spawn(move || {
                let mut numbers = Numbers::default();
                let mut failed = None;
                while !over.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= campaign.count {
                        break;
                    }
                    running.store(number, Ordering::Relaxed);
                    match run(campaign.seed(number), false) {
                        Ok(of_one) => numbers.add(of_one),
                        Err(_) => {
                            failed = Some(number);
                            over.store(true, Ordering::Relaxed);
                        }
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                // The receiver lives as long as this scope.
                ended.send((numbers, failed)).ok();
            });
        }
        let mut left = campaign.threads;
        let mut seen: Vec<(u64, Instant)> = vec![(0, began); campaign.threads];
        while left > 0 {
            match ends.recv_timeout(Duration::from_secs(1)) {
                Ok((numbers, number)) => {
                    left -= 1;
                    all.numbers.add(numbers);
                    failed = failed.into_iter().chain(number).min();
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("this scope has a sender"),
            }
            let progress =
                Progress { schedules: done.load(Ordering::Relaxed), elapsed: began.elapsed() };
            said(progress);
            for (running, seen) in running.iter().zip(&mut seen) {
                let number = running.load(Ordering::Relaxed);
                if seen.0 != number {
                    *seen = (number, Instant::now());
                }
                // A thread that is stuck cannot be joined: the process has to end.
                if seen.1.elapsed() > STUCK_AFTER && left == campaign.threads {
                    stuck(campaign.seed(number));
                }
            }
            if campaign.time.is_some_and(|time| progress.elapsed >= time) {
                over.store(true, Ordering::Relaxed);
            }
        }
    });
    all.progress = Progress { schedules: done.into_inner(), elapsed: began.elapsed() };
    all.failure = failed.map(|number| {
        let seed = campaign.seed(number);
        run(seed, true).err().unwrap_or_else(|| {
            let wrong = format!("seed {seed} failed once and not again: it is not deterministic");
            let schedule = crate::Schedule::draw(seed);
            Box::new(Failure { wrong, schedule, story: Vec::new() })
        })
    });
    all
}

#[allow(clippy::exit, reason = "a thread that never comes back cannot be waited for")]
fn stuck(seed: u64) {
    use std::io::Write;
    writeln!(std::io::stderr().lock(), "seed {seed} is stuck").ok();
    std::process::exit(1);
}

impl Numbers {
    fn add(&mut self, other: Self) {
        self.arrivals += other.arrivals;
        self.attempts += other.attempts;
        self.simulated += other.simulated;
    }
}
