use std::sync::Arc;

use tokio::sync::watch;

use crate::error::Reason;
use crate::session::Session;

/// Whether there is a connection.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// One is being made, and nothing speaks against it so far.
    Connecting,
    /// There is one.
    Up(Arc<Session>),
    /// The last attempt at every address failed; more follow.
    Down(Reason),
    /// No more are made.
    Closed,
}

/// What is known of the connection once something is: the session, or why there is none.
///
/// # Cancel safety
///
/// Safe: nothing changes by waiting.
pub(crate) async fn known(state: &mut watch::Receiver<State>) -> Known {
    loop {
        match &*state.borrow_and_update() {
            State::Connecting => {}
            State::Up(session) => return Known::Up(Arc::clone(session)),
            State::Down(reason) => return Known::Down(reason.clone()),
            State::Closed => return Known::Closed,
        }
        if state.changed().await.is_err() {
            return Known::Closed;
        }
    }
}

/// A [`State`] that is not in between.
#[derive(Debug)]
pub(crate) enum Known {
    Up(Arc<Session>),
    Down(Reason),
    Closed,
}
