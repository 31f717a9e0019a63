//! Where the credential comes from that calls are signed with, and how it is kept fresh
//! (spec 7.3; the order and the names are those of the vendor's SDK).
//!
//! ```text
//! current --held, good--> credential
//!    |  due: one turn runs           ^
//!    +--> source [--> AssumeRole] ---+      a turn that fails: the old one, until it ends
//! ```
//!
//! A turn (one fetch, with everything it takes) is a task that the [`Credentials`] own: no caller
//! drives it, so no caller that is dropped ends it, and the last clone that is dropped does. There
//! is never more than one. Callers wait for it only while there is no credential that is good.
//!
//! Nothing here reads the environment: an [`Env`] is handed in. A TLS provider must be installed
//! before (`rustls::crypto::ring::default_provider().install_default()`).

mod cache;
mod error;
mod http;
mod metadata;
pub mod profile;
mod settings;
mod source;
mod sts;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::task::JoinSet;

use crate::tc3::Credential;
use cache::{Answer, Cache, Turn};
use source::Source;

pub use error::CredentialsError;
pub use settings::{Clock, Env, Lookup, Origin, Session, Settings};

/// A credential that is kept fresh. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    cache: Arc<Cache>,
    /// The turn that runs, if one does.
    turns: Mutex<JoinSet<()>>,
}

/// How the credential is doing.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where it comes from: `environment`, `profile default of /home/me/.tencentcloud/credentials`.
    pub from: String,
    /// Names the key; no secret.
    pub secret_id: Option<String>,
    /// When it ends. None: it does not, or there is none.
    pub ends: Option<SystemTime>,
    /// Why the last turn failed, if it did.
    pub failure: Option<CredentialsError>,
}

// === impl Credentials ===

impl Credentials {
    /// Credentials that nothing was fetched for yet.
    ///
    /// # Errors
    ///
    /// What no attempt could mend: an address that is none, a duration out of its range.
    pub fn new(settings: Settings) -> Result<Self, CredentialsError> {
        let clock = Arc::clone(&settings.clock);
        let cache = Arc::new(Cache::new(Source::new(settings)?, clock));
        Ok(Self(Arc::new(Inner { cache, turns: Mutex::default() })))
    }

    /// The credential to sign with now: the one that is held while it is good, else what the next
    /// turn brings.
    ///
    /// # Errors
    ///
    /// Why the last turn failed, when there is none that is good. After a failure there is a pause
    /// before the next turn, up to a minute; in it the failure is told at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; a turn that runs goes on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn current(&self) -> Result<Credential, CredentialsError> {
        let Inner { cache, .. } = &*self.0;
        let mut has_waited = false;
        loop {
            let mut turns = cache.turns();
            let (answer, turn) = Cache::ask(cache, has_waited);
            if let Some(turn) = turn {
                self.start(turn);
            }
            match answer {
                Answer::Good(credential) => return Ok(credential),
                Answer::Failed(why) => return Err(why),
                Answer::Wait => turns.changed().await.expect("the cache holds the sender"),
            }
            has_waited = true;
        }
    }

    /// Takes note that the API refused this credential: the next [`current`](Self::current)
    /// fetches anew, unless another one is held already. Acted on once in 10 s, so that a
    /// credential that stays refused does not cause a fetch for every call.
    pub fn reject(&self, credential: &Credential) {
        self.0.cache.reject(credential);
    }

    /// How the credential is doing, for people and metrics.
    pub fn status(&self) -> Status {
        self.0.cache.status()
    }

    fn start(&self, turn: Turn) {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // At most the one that ended before; it told what it had to tell.
        while turns.try_join_next().is_some() {}
        turns.spawn(turn.run());
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.status()).finish()
    }
}
