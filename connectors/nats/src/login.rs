//! How a connection is made: who we are, and TLS. Secrets and files are read at each connecting.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::rustls::crypto::ring;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{ClientConfig, RootCertStore};
use vodbridge_core::{BoxError, Tls, Unavailable};

use crate::config::{Auth, Config};

/// How long one server may take to let us in.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Commands that wait in the client for its writer; beyond them, publishes wait.
const COMMANDS_MAX: usize = 1024;

/// Options for one connection.
pub(crate) fn options(config: &Config) -> Result<ConnectOptions, Unavailable> {
    let mut options = ConnectOptions::new()
        .name(&config.client_id)
        .connection_timeout(CONNECT_WITHIN)
        .client_capacity(COMMANDS_MAX)
        .no_echo()
        // A server that has fallen silent is given up after three pings, before the first publish
        // that it owes an answer runs out of its time: so nothing of it is left to be sent late.
        .ping_interval(config.publish_timeout / 4);
    if let Some(tls) = &config.tls {
        options = options.require_tls(true).tls_client_config(client_config(tls)?);
    } else {
        // A server may demand TLS of itself.
        options = options.tls_client_config(client_config(&Tls::default())?);
    }
    if config.tls_first {
        options = options.tls_first();
    }
    authenticated(options, &config.auth)
}

fn authenticated(options: ConnectOptions, auth: &Auth) -> Result<ConnectOptions, Unavailable> {
    let unreadable = |what: &str, error: BoxError| {
        Unavailable::outage(format!("{what} cannot be read"))
            .advise("check `auth` of this connector; it is read again at the next attempt")
            .caused_by(error)
    };
    Ok(match auth {
        Auth::None => options,
        Auth::User { user, password } => {
            let password =
                password.read_text().map_err(|e| unreadable("the password for NATS", e))?;
            options.user_and_password(user.clone(), password)
        }
        Auth::Token(token) => {
            options.token(token.read_text().map_err(|e| unreadable("the token for NATS", e))?)
        }
        Auth::Nkey(seed) => {
            let seed = seed.read_text().map_err(|e| unreadable("the nkey seed for NATS", e))?;
            options.nkey(seed.trim().to_owned())
        }
        Auth::Credentials(path) => {
            let what = format!("the credentials file {}", path.display());
            let credentials = fs::read_to_string(path).map_err(|e| unreadable(&what, e.into()))?;
            // What the client says about bad contents is left out: it is about a secret.
            options
                .credentials(&credentials)
                .map_err(|_| unreadable(&what, "no JWT and seed are in it".into()))?
        }
    })
}

/// TLS by rustls with its ring provider, whatever provider the process has.
pub(crate) fn client_config(tls: &Tls) -> Result<ClientConfig, Unavailable> {
    let failed = |what: String, error: BoxError| {
        Unavailable::outage(what)
            .advise("check `tls` of this connector; files are read again at the next attempt")
            .caused_by(error)
    };
    let mut roots = RootCertStore::empty();
    match &tls.ca_file {
        Some(path) => {
            for certificate in certificates(path)
                .map_err(|e| failed(format!("`ca_file` {} cannot be read", path.display()), e))?
            {
                roots.add(certificate).map_err(|e| {
                    failed(format!("`ca_file` {} holds no authority", path.display()), e.into())
                })?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the protocol versions that rustls has")
        .with_root_certificates(roots);
    let Some(identity) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(&identity.cert_file).map_err(|e| {
        failed(format!("`cert_file` {} cannot be read", identity.cert_file.display()), e)
    })?;
    // The key's own error could show what is in the file.
    let key = fs::read(&identity.key_file)
        .map_err(BoxError::from)
        .and_then(|pem| {
            PrivateKeyDer::from_pem_slice(&pem).map_err(|_| "no private key is in it".into())
        })
        .map_err(|e| {
            failed(format!("`key_file` {} cannot be read", identity.key_file.display()), e)
        })?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| failed("`cert_file` and `key_file` do not fit together".to_owned(), e.into()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    let pem = fs::read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>()?;
    if found.is_empty() { Err("no certificate is in it".into()) } else { Ok(found) }
}
