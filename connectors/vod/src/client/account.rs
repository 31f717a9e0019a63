use std::sync::Arc;

use super::Limiter;
use crate::api::Action;
use crate::credentials::Credentials;

/// Whom calls are made for: its credential, and how fast it may call.
#[derive(Debug)]
pub struct Account {
    credentials: Credentials,
    limiters: [Limiter; Action::ALL.len()],
}

// === impl Account ===

impl Account {
    /// An account that makes at most so many calls a second of PullEvents and of ConfirmEvents
    /// each, and of the others what VOD allows by default.
    pub fn new(credentials: Credentials, calls_per_second: u32) -> Arc<Self> {
        let limiters = Action::ALL.map(|action| {
            Limiter::new(match action {
                Action::PullEvents | Action::ConfirmEvents => calls_per_second,
                Action::DescribeEventsState
                | Action::DescribeEventConfig
                | Action::ModifyEventConfig => action.calls_per_second().min(calls_per_second),
            })
        });
        Arc::new(Self { credentials, limiters })
    }

    /// What calls are signed with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What bounds the calls of one action.
    pub fn limiter(&self, action: Action) -> &Limiter {
        &self.limiters[action as usize]
    }
}
