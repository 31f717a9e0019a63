//! TLS with certificates that are read again when their files change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use super::connection::Version;
use crate::telemetry::chain::Chain;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The listener's side of TLS 1.2 and 1.3.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

/// Why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
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
    /// The library refuses the settings.
    #[error("TLS cannot be set up")]
    Setup(#[source] tokio_rustls::rustls::Error),
}

/// A certificate chain and its key, as their files hold them now.
#[derive(Debug)]
struct Certificate {
    files: [PathBuf; 2],
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    key: Arc<CertifiedKey>,
    stamps: Stamps,
    looked: Instant,
}

type Stamps = [Option<(SystemTime, u64)>; 2];

impl Tls {
    /// Reads a certificate chain and its private key, both PEM.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or the two do not fit each other. Later changes that do not fit
    /// are reported and leave the last good pair in use.
    pub fn new(cert_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let certificate = Certificate::open([cert_file.to_owned(), key_file.to_owned()])?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificate));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands, and says what the two sides agreed to speak.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Version)> {
        let stream = self.0.accept(stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((stream, if is_http2 { Version::Http2 } else { Version::Http1 }))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

// === impl Certificate ===

impl Certificate {
    fn open(files: [PathBuf; 2]) -> Result<Self, TlsError> {
        let stamps = stamps(&files);
        let key = read(&files)?;
        Ok(Self { files, held: Mutex::new(Held { key, stamps, looked: Instant::now() }) })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.looked.elapsed() >= LOOK_EVERY {
            held.looked = Instant::now();
            let stamps = stamps(&self.files);
            if stamps != held.stamps {
                held.stamps = stamps;
                match read(&self.files) {
                    Ok(key) => {
                        info!("the listener's certificate was exchanged");
                        held.key = key;
                    }
                    Err(why) => {
                        warn!(error = %Chain(&why), "the listener keeps its old certificate");
                    }
                }
            }
        }
        Arc::clone(&held.key)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn read([cert_file, key_file]: &[PathBuf; 2]) -> Result<Arc<CertifiedKey>, TlsError> {
    let pem_error = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, what, source }
    };
    let text = |path: &Path| {
        fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
    };
    let chain = CertificateDer::pem_slice_iter(&text(cert_file)?)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
        .map_err(pem_error(cert_file, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&text(key_file)?)
        .map_err(pem_error(key_file, "private key"))?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
    certified.map(Arc::new).map_err(TlsError::Key)
}

/// What tells a changed file; kubelet exchanges a mounted Secret by renaming, which changes both.
fn stamps(files: &[PathBuf; 2]) -> Stamps {
    files.each_ref().map(|path| {
        let data = fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len()))
    })
}
