use std::path::Path;

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use vodbridge_core::{Tls, Unavailable};

/// Reads the files anew. Blocks for as long as small files take.
///
/// # Errors
///
/// A file that is missing or holds something else; the error names it.
pub(crate) fn connector(tls: &Tls) -> Result<RustlsConnector, Unavailable> {
    let mut config = RustlsConnectorConfig::default();
    match &tls.ca_file {
        Some(file) => config.add_parsable_certificates(certificates("tls.ca_file", file)?),
        None => {
            config = RustlsConnectorConfig::new_with_native_certs().map_err(|why| {
                Unavailable::outage("the system's certificate authorities cannot be read")
                    .advise("install them (ca-certificates), or set tls.ca_file")
                    .caused_by(why)
            })?;
        }
    }
    let unusable = |why: std::io::Error| {
        Unavailable::outage("the TLS settings for RabbitMQ cannot be used")
            .advise("see tls.ca_file and tls.identity: PEM, and a key that fits the certificate")
            .caused_by(why)
    };
    let Some(identity) = &tls.identity else {
        return config.connector_with_no_client_auth().map_err(unusable);
    };
    let chain = certificates("tls.identity.cert_file", &identity.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key_file)
        .map_err(|why| unreadable("tls.identity.key_file", &identity.key_file, why))?;
    config.connector_with_single_cert(chain, key).map_err(unusable)
}

fn certificates(setting: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Unavailable> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates = certificates.map_err(|why| unreadable(setting, file, why))?;
    if certificates.is_empty() {
        let file = file.display();
        return Err(Unavailable::outage(format!("{setting} ({file}) holds no certificate"))
            .advise("it begins with -----BEGIN CERTIFICATE-----"));
    }
    Ok(certificates)
}

fn unreadable(setting: &str, file: &Path, why: rustls_pki_types::pem::Error) -> Unavailable {
    Unavailable::outage(format!("{setting} ({}) cannot be read", file.display()))
        .advise("it is a PEM file that the bridge may read")
        .caused_by(why)
}
