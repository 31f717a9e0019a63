use std::sync::atomic::{AtomicUsize, Ordering};

use brokers::RabbitMqTls;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;
use vodbridge_core::{Identity, Tls};

/// An authority of our own, what it has signed, and the files that hold it.
pub(crate) struct Certificates {
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
    authority_pem: String,
}

/// A certificate and its key, PEM.
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        // Two of one name would be taken for each other, up to the signature.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(
            DnType::CommonName,
            format!("authority {}", NEXT.fetch_add(1, Ordering::Relaxed)),
        );
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority_pem = params.self_signed(&key).unwrap().pem();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &authority_pem).unwrap();
        Self { folder, authority: Issuer::new(params, key), authority_pem }
    }

    /// A certificate for `name`, of a server as of a client.
    pub(crate) fn sign(&self, name: &str, is_expired: bool) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if is_expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let certificate = params.signed_by(&key, &self.authority).unwrap().pem();
        Signed { certificate, key: key.serialize_pem() }
    }

    pub(crate) fn for_rabbitmq(&self) -> RabbitMqTls {
        let Signed { certificate, key } = self.sign("localhost", false);
        RabbitMqTls { certificate, key, authority: self.authority_pem.clone() }
    }

    /// The settings of a client that believes this authority, and shows itself as `name`.
    pub(crate) fn tls(&self, name: Option<&str>) -> Tls {
        let identity = name.map(|name| {
            let Signed { certificate, key } = self.sign(name, false);
            let cert_file = self.folder.path().join(format!("{name}.pem"));
            let key_file = self.folder.path().join(format!("{name}.key"));
            std::fs::write(&cert_file, certificate).unwrap();
            std::fs::write(&key_file, key).unwrap();
            Identity { cert_file, key_file }
        });
        Tls { ca_file: Some(self.folder.path().join("ca.pem")), identity }
    }
}
