//! What lies in the files of a certificate.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The largest file that is read, in bytes: a system's bundle of authorities has a quarter of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// PEM files that belong together.
#[derive(Debug)]
pub(super) enum Files {
    /// What its owner shows.
    Pair {
        /// The certificate, and those between it and its root.
        cert_file: PathBuf,
        /// Its private key.
        key_file: PathBuf,
    },
    /// Whom others are believed from.
    Authorities {
        /// Their certificates.
        ca_file: PathBuf,
    },
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} holds no {what} in PEM form")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What the reader says.
        #[source]
        source: pem::Error,
    },
    /// The key is of no kind that TLS can use, or not the certificate's.
    #[error("the private key does not serve the certificate")]
    Key(#[source] tokio_rustls::rustls::Error),
}

/// What was read.
#[derive(Debug)]
pub(super) struct Contents {
    /// The pair as TLS uses it; authorities have none.
    pub(super) key: Option<Arc<CertifiedKey>>,
    /// When each certificate ends, in seconds since the epoch.
    ends: Vec<i64>,
}

/// What tells a changed file. The kubelet exchanges a mounted Secret by renaming, which changes all
/// of it.
pub(super) type Stamp = (SystemTime, u64, u64);

// === impl Files ===

impl Files {
    pub(super) fn stamps(&self) -> Vec<Option<Stamp>> {
        let stamp = |path: &Path| {
            let data = fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len(), data.ino()))
        };
        match self {
            Self::Pair { cert_file, key_file } => vec![stamp(cert_file), stamp(key_file)],
            Self::Authorities { ca_file } => vec![stamp(ca_file)],
        }
    }

    pub(super) fn read(&self) -> Result<Contents, CertificateError> {
        match self {
            Self::Pair { cert_file, key_file } => {
                let chain = certificates(cert_file)?;
                let key = PrivateKeyDer::from_pem_slice(&text(key_file)?)
                    .map_err(pem_error(key_file, "private key"))?;
                let ends = ends(&chain);
                let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
                    .map_err(CertificateError::Key)?;
                Ok(Contents { key: Some(Arc::new(key)), ends })
            }
            Self::Authorities { ca_file } => {
                Ok(Contents { key: None, ends: ends(&certificates(ca_file)?) })
            }
        }
    }

    /// When what was read ends, seen from `now`. A chain ends with the first of its certificates. Of
    /// authorities it is the next one to end: those that have ended already lie in a bundle beside
    /// the one that is needed; only when all have ended it is the last of them.
    pub(super) fn ends(&self, contents: &Contents, now: i64) -> Option<i64> {
        let ends = || contents.ends.iter().copied();
        match self {
            Self::Pair { .. } => ends().min(),
            Self::Authorities { .. } => {
                ends().filter(|end| *end > now).min().or_else(|| ends().max())
            }
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    CertificateDer::pem_slice_iter(&text(path)?)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|all| if all.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(all) })
        .map_err(pem_error(path, "certificate"))
}

/// A certificate that TLS may take and this reader does not is no reason to refuse it.
fn ends(certificates: &[CertificateDer<'_>]) -> Vec<i64> {
    let end = |der: &CertificateDer<'_>| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(certificate.validity().not_after.timestamp())
    };
    certificates.iter().filter_map(end).collect()
}

fn text(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let read = || {
        let data = fs::metadata(path)?;
        // A pipe would block whoever reads it.
        if !data.is_file() {
            return Err(io::Error::other("not a file"));
        }
        if data.len() > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
        }
        fs::read(path)
    };
    read().map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

fn pem_error(path: &Path, what: &'static str) -> impl FnOnce(pem::Error) -> CertificateError {
    let path = path.to_owned();
    move |source| CertificateError::Pem { path, what, source }
}
