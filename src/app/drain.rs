//! Sends on what an earlier process left in the spool, and ends: nothing comes in meanwhile.

use std::pin::pin;
use std::time::Duration;

use futures_util::Stream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use vodbridge_journal::{OpenError, Reader};

use super::core::Core;
use super::{BuildError, join, open, until_stop};
use crate::config::Config;
use crate::ingest::callback::Clock;
use crate::registry;

/// How often it is looked how many are left.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A spool and the connectors that its events go to.
#[derive(Debug)]
pub struct Drain {
    core: Core,
    grace: Duration,
}

// === impl Drain ===

impl Drain {
    /// Opens the journal and builds the connectors.
    ///
    /// # Errors
    ///
    /// See [`BuildError`]. A broker that is away is none: it may come. Where there is no journal none
    /// is made: whoever named the wrong directory must not hear that nothing is left.
    pub fn build(config: &Config, clock: &Clock) -> Result<Self, BuildError> {
        if let Err(why @ OpenError::NoJournal(_)) = Reader::open(&config.journal.path) {
            return Err(why.into());
        }
        let store = open(config)?;
        let connectors = registry::connectors(config, &store)?;
        Ok(Self { core: Core::build(config, store, connectors, clock), grace: config.grace })
    }

    /// Events that have not settled.
    pub fn left(&self) -> u64 {
        self.core.store.usage().spool.rows
    }

    /// Runs until nothing is left, a signal comes or a task has ended that nobody told to; says each
    /// time how many are left, and returns how many are at the end.
    pub async fn run(
        mut self,
        signals: impl Stream<Item = ()>,
        mut progress: impl FnMut(u64),
    ) -> u64 {
        let (take_in, work) = (CancellationToken::new(), CancellationToken::new());
        let (mut sources, mut workers) = (JoinSet::new(), JoinSet::new());
        self.core.start(&mut sources, &take_in, &mut workers, &work);
        let until_empty = async {
            let mut ticks = interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let left = self.left();
                progress(left);
                if left == 0 {
                    return;
                }
            }
        };
        let mut signals = pin!(signals);
        tokio::select! {
            () = until_empty => {}
            _ = until_stop(&mut signals, &mut sources, &mut workers) => {}
        }
        take_in.cancel();
        let closing = async {
            join(&mut sources).await;
            self.core.tracker.close();
            self.core.tracker.wait().await;
            self.core.spool.flush().await;
        };
        // What is under way at the end of it stays in the spool.
        timeout(self.grace, closing).await.ok();
        let left = self.left();
        work.cancel();
        join(&mut workers).await;
        self.core.close().await;
        left
    }
}
