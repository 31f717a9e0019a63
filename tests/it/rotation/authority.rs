use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::CertificateDer;

/// An authority, and a folder for what it signs.
pub(super) struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) der: CertificateDer<'static>,
    /// When it ends, in seconds since the epoch.
    pub(super) ends: f64,
}

// === impl Authority ===

impl Authority {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    pub(super) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A certificate for a name and this machine, of a server as of a client, that ends with the
    /// beginning of a year.
    pub(super) fn sign(&self, name: &str, ends: i32) -> Signed {
        let names = [name.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
        // A client is known by its one name.
        let names = if name == "localhost" { &names[1..] } else { &names[..1] };
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(ends, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let ends = Duration::from_secs(date_time_ymd(ends, 1, 1).unix_timestamp().unsigned_abs());
        Signed {
            certificate: made.pem(),
            key: key.serialize_pem(),
            der: made.der().clone(),
            ends: ends.as_secs_f64(),
        }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

// === impl Signed ===

impl Signed {
    /// Writes `NAME.key`, then `NAME.pem`: what is read in between does not fit.
    pub(super) fn write(&self, authority: &Authority, name: &str) {
        let write = |path: &Path, text: &str| fs::write(path, text).unwrap();
        write(&authority.file(&format!("{name}.key")), &self.key);
        write(&authority.file(&format!("{name}.pem")), &self.certificate);
    }
}
