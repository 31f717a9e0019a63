use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tracing::{error, info, warn};
use vodbridge_vod::api::Action;
use vodbridge_vod::client::CallError;
use vodbridge_vod::reaction::Reaction;

use crate::telemetry::chain::Chain;

/// What is wrong with VOD's API for one application, by action; said once when it begins, changes
/// and ends.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    now: BTreeMap<&'static str, Told>,
    clock_skew: Option<i64>,
}

#[derive(Debug)]
struct Told {
    code: &'static str,
    since: Instant,
    needs_operator: bool,
    error: String,
    advice: String,
}

// === impl Trouble ===

impl Trouble {
    /// VOD answered well.
    pub(super) fn over(&self, application: &str, action: Action) {
        if self.lock().now.remove(action.name()).is_some() {
            info!(application, action = action.name(), "VOD answers again");
        }
    }

    /// A call failed.
    pub(super) fn note(&self, application: &str, action: Action, why: &CallError) {
        let mut state = self.lock();
        let code = why.code();
        let known = state.now.get(action.name());
        if known.is_some_and(|told| told.code == code) {
            return;
        }
        let since = known.map_or_else(Instant::now, |told| told.since);
        let (error, advice) = (Chain(why).to_string(), why.advice().into_owned());
        let needs_operator = why.reaction() == Reaction::Operator;
        let action = action.name();
        if needs_operator || why.reaction() == Reaction::Renew {
            error!(application, action, error, advice, "VOD refuses calls");
        } else {
            warn!(application, action, error, advice, "VOD does not answer well; trying again");
        }
        state.now.insert(action, Told { code, since, needs_operator, error, advice });
    }

    /// Says how far this machine's clock is ahead of VOD's, where that is a lot.
    pub(super) fn note_skew(&self, application: &str, skew: Option<i64>) {
        let mut state = self.lock();
        if skew.is_some() && state.clock_skew.is_none() {
            warn!(
                application,
                seconds_ahead = skew,
                "this machine's clock differs from VOD's; from 300 s on VOD refuses calls: set it (NTP)"
            );
        }
        state.clock_skew = skew;
    }

    /// Whether calls of an action fail until a person acts, or have for longer than that.
    pub(super) fn is_lasting(&self, action: Action, long: Duration) -> bool {
        let state = self.lock();
        let told = state.now.get(action.name());
        told.is_some_and(|told| told.needs_operator || told.since.elapsed() >= long)
    }

    /// Whether all is well.
    pub fn is_none(&self) -> bool {
        let state = self.lock();
        state.now.is_empty() && state.clock_skew.is_none()
    }

    /// What is wrong, for people and programs; null when nothing is.
    pub fn to_json(&self) -> Value {
        let state = self.lock();
        if state.now.is_empty() && state.clock_skew.is_none() {
            return Value::Null;
        }
        let told = |(action, told): (&&str, &Told)| {
            ((*action).to_owned(), json!({ "error": told.error, "advice": told.advice }))
        };
        let mut out: Map<_, _> = state.now.iter().map(told).collect();
        if let Some(seconds) = state.clock_skew {
            out.insert("clock_seconds_ahead".to_owned(), json!(seconds));
        }
        Value::Object(out)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
