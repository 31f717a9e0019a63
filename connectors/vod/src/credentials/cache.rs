//! The credential that is held, and when it is time for another.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::source::{Fetched, Source};
use super::{Clock, CredentialsError, Status};
use crate::tc3::Credential;

/// A temporary credential is renewed when less than this is left, or a tenth of its life.
const LEFT_MIN: Duration = Duration::from_secs(300);

/// The least time between two turns for a credential that ends soon from the beginning.
const RENEWALS_APART: Duration = Duration::from_secs(30);

/// How often one that does not end is looked at again: its file may have been written anew.
const LOOKS_APART: Duration = Duration::from_secs(1);

/// How often a refusal of the API is acted on.
const REJECTIONS_APART: Duration = Duration::from_secs(10);

/// The first and the longest pause after a turn that failed.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

pub(super) struct Cache {
    source: Source,
    clock: Clock,
    state: Mutex<State>,
    /// Changes at the end of each turn.
    ended: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    is_rejected: bool,
    rejected_at: Option<Instant>,
    is_running: bool,
    failure: Option<CredentialsError>,
    /// No turn begins before.
    pause: Option<(Duration, Instant)>,
}

struct Held {
    fetched: Fetched,
    due: Due,
}

/// When the next turn is due. What ends does so by the wall clock.
enum Due {
    At(SystemTime),
    Look(Instant),
}

pub(super) enum Answer {
    Good(Credential),
    Failed(CredentialsError),
    Wait,
}

/// The right to fetch, held by one at a time. Dropped before its end it counts as failed.
pub(super) struct Turn(Option<Arc<Cache>>);

// === impl Cache ===

impl Cache {
    pub(super) fn new(source: Source, clock: Clock) -> Self {
        Self { source, clock, state: Mutex::default(), ended: watch::Sender::new(()) }
    }

    /// Sees the end of every turn from now on.
    pub(super) fn turns(&self) -> watch::Receiver<()> {
        self.ended.subscribe()
    }

    /// What a caller gets, and the turn to start. Who `has_waited` for a turn takes its failure.
    pub(super) fn ask(cache: &Arc<Self>, has_waited: bool) -> (Answer, Option<Turn>) {
        let now = (cache.clock)();
        let mut state = cache.state();
        let may_begin = !state.is_running
            && state.pause.is_none_or(|(_, until)| Instant::now() >= until)
            && state.is_due(now);
        let good = state.good(now).cloned();
        if let Some(why) = &state.failure
            && good.is_none()
            && has_waited
            && !state.is_running
        {
            return (Answer::Failed(why.clone()), None);
        }
        let turn = may_begin.then(|| {
            state.is_running = true;
            Turn(Some(Arc::clone(cache)))
        });
        let answer = match (good, &state.failure) {
            (Some(credential), _) => Answer::Good(credential),
            (None, Some(why)) if !state.is_running => Answer::Failed(why.clone()),
            (None, _) => Answer::Wait,
        };
        (answer, turn)
    }

    pub(super) fn reject(&self, credential: &Credential) {
        let mut state = self.state();
        let now = Instant::now();
        let is_held =
            state.held.as_ref().is_some_and(|held| held.fetched.credential == *credential);
        let is_early = state.rejected_at.is_some_and(|at| now < at + REJECTIONS_APART);
        if is_held && !is_early {
            state.is_rejected = true;
            state.rejected_at = Some(now);
        }
    }

    pub(super) fn status(&self) -> Status {
        let state = self.state();
        let fetched = state.held.as_ref().map(|held| &held.fetched);
        Status {
            from: fetched.map_or_else(|| self.source.name().to_owned(), |held| held.from.clone()),
            secret_id: fetched.map(|held| held.credential.secret_id.clone()),
            ends: fetched.and_then(|held| held.ends),
            failure: state.failure.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_note(&self, result: Result<Fetched, CredentialsError>) {
        let now = (self.clock)();
        let result = result.and_then(|fetched| match fetched.ends {
            Some(ends) if ends <= now => Err(CredentialsError::Ended),
            _ => Ok(fetched),
        });
        let mut state = self.state();
        state.is_running = false;
        match result {
            Ok(fetched) => {
                let is_new = state
                    .held
                    .as_ref()
                    .is_none_or(|held| held.fetched.credential != fetched.credential);
                if is_new || state.failure.is_some() {
                    let Fetched { from, credential, .. } = &fetched;
                    tracing::info!(%from, secret_id = credential.secret_id, "has a credential");
                }
                state.held = Some(Held { due: due(fetched.ends, now), fetched });
                state.is_rejected = false;
                (state.failure, state.pause) = (None, None);
            }
            Err(why) => {
                let longest = state.pause.map_or(PAUSE.0, |(last, _)| (last * 2).min(PAUSE.1));
                let pause = jittered(longest);
                tracing::warn!(
                    from = self.source.name(),
                    error = why.chain(),
                    again_in_ms = pause.as_millis(),
                    is_old_one_good = state.good(now).is_some(),
                    "cannot fetch the credential",
                );
                state.pause = Some((longest, Instant::now() + pause));
                state.failure = Some(why);
            }
        }
        drop(state);
        self.ended.send_replace(());
    }
}

// === impl State ===

impl State {
    fn good(&self, now: SystemTime) -> Option<&Credential> {
        let held = self.held.as_ref().filter(|_| !self.is_rejected)?;
        let is_good = held.fetched.ends.is_none_or(|ends| now < ends);
        is_good.then_some(&held.fetched.credential)
    }

    fn is_due(&self, now: SystemTime) -> bool {
        let Some(held) = self.held.as_ref().filter(|_| !self.is_rejected) else { return true };
        match held.due {
            Due::At(at) => now >= at,
            Due::Look(at) => Instant::now() >= at,
        }
    }
}

// === impl Turn ===

impl Turn {
    pub(super) async fn run(mut self) {
        let Some(cache) = self.0.clone() else { return };
        let result = cache.source.fetch().await;
        self.0 = None;
        cache.take_note(result);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(cache) = self.0.take() {
            cache.take_note(Err(CredentialsError::Interrupted));
        }
    }
}

fn due(ends: Option<SystemTime>, now: SystemTime) -> Due {
    let Some(ends) = ends else { return Due::Look(Instant::now() + LOOKS_APART) };
    let life = ends.duration_since(now).unwrap_or_default();
    let early = life.saturating_sub(LEFT_MIN.max(life / 10));
    Due::At(now + early.max(RENEWALS_APART.min(life / 2)))
}

/// Shortened by up to half at random, so that those who failed together do not try again together.
fn jittered(wait: Duration) -> Duration {
    // A fresh `RandomState` hashes the same input differently each time: jitter needs no more.
    let random = RandomState::new().hash_one(wait) % 1024;
    wait - wait.mul_f64(random as f64 / 2048.0)
}
