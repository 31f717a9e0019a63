//! Certificates in files that are read again when they change, and when they end.
//!
//! The listener serves from here. What connectors show to brokers, and what they believe of them, is
//! read by themselves whenever they connect; here it is only watched, so that an end that comes
//! near, or a file that nobody could connect with, is seen while the old connection still stands.

mod files;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_rustls::rustls::sign::CertifiedKey;
use tracing::{info, warn};

use crate::config::{self, Config};
use crate::telemetry::chain::Chain;
use files::{Contents, Files, Stamp};

pub use files::CertificateError;

/// How often files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Certificates that follow their files: what was read last and could be used stays.
#[derive(Debug)]
pub struct Certificate {
    used_by: String,
    files: Files,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    good: Option<Contents>,
    /// Why what the files hold now cannot be used, as it was logged.
    fault: Option<String>,
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
}

/// What is worth measuring of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When the last good one ends, in seconds since the epoch; `None` where there was none yet.
    pub ends: Option<i64>,
    /// Whether what the files hold now can be used.
    pub usable: bool,
}

/// Those that the connectors of a configuration name. What cannot be used at first may be mended.
pub fn of_connectors(config: &Config) -> Vec<Arc<Certificate>> {
    let mut all = Vec::new();
    for (name, connector) in &config.connectors {
        let Some(tls) = connector.tls() else { continue };
        let mut add = |key: &str, files| {
            let used_by = format!("connectors.{}.tls.{key}", name.as_str());
            all.push(Arc::new(Certificate::watch(used_by, files)));
        };
        if let Some(ca_file) = tls.ca_file.clone() {
            add("ca_file", Files::Authorities { ca_file });
        }
        if let (Some(cert_file), Some(key_file)) = (tls.cert_file.clone(), tls.key_file.clone()) {
            add("cert_file", Files::Pair { cert_file, key_file });
        }
    }
    all
}

// === impl Certificate ===

impl Certificate {
    /// What callbacks are served with.
    ///
    /// # Errors
    ///
    /// When the files cannot be used now.
    pub fn of_listener(tls: &config::Tls) -> Result<Self, CertificateError> {
        let config::Tls { cert_file, key_file } = tls.clone();
        Self::open("http.tls.cert_file".to_owned(), Files::Pair { cert_file, key_file })
    }

    /// Reads the files; `used_by` is the key of the configuration that names them.
    fn open(used_by: String, files: Files) -> Result<Self, CertificateError> {
        let stamps = files.stamps();
        let good = Some(files.read()?);
        let held = Held { good, fault: None, stamps, looked: Instant::now() };
        Ok(Self { used_by, files, held: Mutex::new(held) })
    }

    /// The same, where it is no error that they cannot be used yet.
    fn watch(used_by: String, files: Files) -> Self {
        let held = Held { good: None, fault: None, stamps: Vec::new(), looked: Instant::now() };
        let all = Self { used_by, files, held: Mutex::new(held) };
        all.look(&mut all.lock());
        all
    }

    /// The key of the configuration that names the files.
    pub fn used_by(&self) -> &str {
        &self.used_by
    }

    /// The last good pair. Once a second the caller looks at the files first, and reads them if they
    /// have changed.
    pub fn key(&self) -> Option<Arc<CertifiedKey>> {
        self.current().good.as_ref()?.key.clone()
    }

    /// How it stands, seen from `now`, in seconds since the epoch. Looks at the files as
    /// [`key`](Self::key) does.
    pub fn standing(&self, now: i64) -> Standing {
        let held = self.current();
        let ends = held.good.as_ref().and_then(|good| self.files.ends(good, now));
        Standing { ends, usable: held.fault.is_none() }
    }

    fn current(&self) -> MutexGuard<'_, Held> {
        let mut held = self.lock();
        if held.looked.elapsed() >= LOOK_EVERY {
            self.look(&mut held);
        }
        held
    }

    fn look(&self, held: &mut Held) {
        held.looked = Instant::now();
        // Taken before the reading: what changes in between is read at the next look.
        let stamps = self.files.stamps();
        if stamps == held.stamps {
            return;
        }
        held.stamps = stamps;
        match self.files.read() {
            Ok(good) => {
                if held.good.replace(good).is_some() {
                    info!(used_by = self.used_by, "a certificate was exchanged");
                }
                held.fault = None;
            }
            Err(why) => {
                let why = Chain(&why).to_string();
                if held.fault.as_ref() != Some(&why) {
                    warn!(
                        used_by = self.used_by,
                        error = why,
                        "a certificate cannot be used, the last good one stays"
                    );
                }
                held.fault = Some(why);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
