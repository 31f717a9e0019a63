//! Confirming what has settled: up to 16 handles a call, and never one near its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, error};
use vodbridge_core::Backoff;
use vodbridge_vod::api::{Action, ConfirmEvents, EVENTS_MAX};
use vodbridge_vod::client::CallError;
use vodbridge_vod::reaction::Reaction;

use super::Puller;
use crate::duplicates::Repeat;
use crate::telemetry::traces::Span;

/// How long a call waits to be filled.
const FILL_WITHIN: Duration = Duration::from_millis(20);

/// Calls under way at a time: 1,600 events a second at 100 calls, with a second for each.
const CALLS_MAX: usize = 100;

/// Handles that wait for a call.
const WAITING_MAX: usize = 4096;

/// A handle whose events have all settled.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) handle: String,
    /// When its time began.
    pub(super) at: Instant,
    pub(super) repeat: Repeat,
    /// What its event is traced as.
    pub(super) span: Span,
}

/// Where handles are put that are to be confirmed.
#[derive(Clone, Debug)]
pub(super) struct Sender(mpsc::Sender<Ready>);

/// Confirms until there is no sender any more.
#[derive(Debug)]
pub(super) struct Confirmer {
    puller: Arc<Puller>,
    waiting: mpsc::Receiver<Ready>,
}

// === impl Sender ===

impl Sender {
    pub(super) async fn send(&self, ready: Ready) {
        // Without a confirmer nothing is confirmed, and everything comes again.
        if let Err(unsent) = self.0.send(ready).await {
            unsent.0.repeat.expect();
        }
    }
}

// === impl Confirmer ===

impl Confirmer {
    pub(super) fn new(puller: Arc<Puller>) -> (Self, Sender) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        (Self { puller, waiting }, Sender(sender))
    }

    pub(super) async fn run(mut self) {
        let mut calls = JoinSet::new();
        while let Some(batch) = self.next_batch().await {
            while calls.len() >= CALLS_MAX {
                ended(calls.join_next().await);
            }
            while let Some(call) = calls.try_join_next() {
                ended(Some(call));
            }
            let puller = Arc::clone(&self.puller);
            calls.spawn(async move { puller.confirm(batch, false).await });
        }
        while let Some(call) = calls.join_next().await {
            ended(Some(call));
        }
    }

    /// Waits for one handle, and a little while for more; `None` when there will be none.
    async fn next_batch(&mut self) -> Option<Vec<Ready>> {
        let mut batch = Vec::with_capacity(EVENTS_MAX);
        batch.push(self.waiting.recv().await?);
        let full_by = Instant::now() + FILL_WITHIN;
        while batch.len() < EVENTS_MAX {
            match timeout_at(full_by, self.waiting.recv()).await {
                Ok(Some(ready)) => batch.push(ready),
                Ok(None) | Err(_) => break,
            }
        }
        Some(batch)
    }
}

fn ended(call: Option<Result<(), tokio::task::JoinError>>) {
    if let Some(Err(panic)) = call {
        error!(%panic, "a confirmation panicked; its events come again");
    }
}

// === impl Puller ===

impl Puller {
    /// Confirms these handles, again and again while they live. `is_in_doubt`: VOD may have
    /// confirmed them before without saying so.
    async fn confirm(&self, mut batch: Vec<Ready>, mut is_in_doubt: bool) {
        let mut backoff = Backoff::new();
        loop {
            self.drop_late(&mut batch, is_in_doubt);
            if batch.is_empty() {
                return;
            }
            match self.confirm_once(&batch).await {
                Ok(()) => return self.confirmed(&batch),
                // Its turn would come after the handles' time: others may have it.
                Err(CallError::Late) => return self.dropped(batch, is_in_doubt),
                Err(why) if why.reaction() == Reaction::TooLate => {
                    self.trouble.over(&self.application, Action::ConfirmEvents);
                    if batch.len() == 1 {
                        debug!(application = &*self.application, "VOD does not take a handle");
                        return self.dropped(batch, is_in_doubt);
                    }
                    // One bad handle may have spoiled the call for all, or only itself (spec 2).
                    let alone = |one| Box::pin(self.confirm(vec![one], true));
                    join_all(batch.into_iter().map(alone)).await;
                    return;
                }
                Err(why) => {
                    let is_told = matches!(why, CallError::Api { .. } | CallError::Credentials(_));
                    is_in_doubt |= !is_told;
                    self.trouble.note(&self.application, Action::ConfirmEvents, &why);
                    sleep(backoff.next_wait()).await;
                }
            }
        }
    }

    async fn confirm_once(&self, batch: &[Ready]) -> Result<(), CallError> {
        let request = ConfirmEvents {
            event_handles: batch.iter().map(|ready| ready.handle.clone()).collect(),
            sub_app_id: self.sub_app_id,
        };
        let moments = batch.iter().map(|ready| self.last_moment(ready.at));
        let by = moments.min().unwrap_or_else(Instant::now);
        let mut spans =
            self.traces.settling(&self.application, batch.iter().map(|ready| &ready.span));
        let answer = self.client.call_before(by, Action::ConfirmEvents, &request).await.map(drop);
        if let Err(why) = &answer {
            spans.iter_mut().for_each(|span| span.call_failed(why.code()));
        }
        self.metrics.count(Action::ConfirmEvents, answer.as_ref().copied());
        answer
    }

    /// A handle near its end is not confirmed: by the time VOD reads of it, its event may be on
    /// its way to somebody else.
    fn drop_late(&self, batch: &mut Vec<Ready>, is_in_doubt: bool) {
        let now = Instant::now();
        let late = batch.extract_if(.., |ready| now >= self.last_moment(ready.at));
        self.dropped(late, is_in_doubt);
    }

    fn confirmed(&self, batch: &[Ready]) {
        self.trouble.over(&self.application, Action::ConfirmEvents);
        for ready in batch {
            self.metrics.observe_confirm_age(ready.at.elapsed());
        }
    }

    /// Their events come again, unless VOD has confirmed them without saying so: where that may
    /// be, the same content later on may be another event, and a duplicate is better than a loss.
    fn dropped(&self, batch: impl IntoIterator<Item = Ready>, is_in_doubt: bool) {
        for mut ready in batch {
            self.metrics.count_dropped();
            ready.span.not_confirmed();
            if !is_in_doubt {
                ready.repeat.expect_within(2 * self.handle_life);
            }
        }
    }
}
