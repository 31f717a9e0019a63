use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use tempfile::TempDir;

/// A certificate authority of its own, with what a server and a client of it show, in files.
#[derive(Clone, Debug)]
pub struct Certificates(Arc<TempDir>);

/// What is wrong with the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it is for `localhost` and valid.
    None,
    /// It was valid years ago.
    Expired,
    /// It is for another host.
    OtherName,
}

// === impl Certificates ===

impl Certificates {
    /// Makes an authority, a server certificate and a client certificate.
    pub fn make(flaw: Flaw) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let write = |name: &str, pem: &str| {
            fs::write(folder.path().join(name), pem).expect("it can be written");
        };

        let mut authority = params(&[], "vodbridge's tests");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = authority.self_signed(&key).expect("it can be signed");
        write("ca.pem", &certificate.pem());
        let issuer = Issuer::new(authority, key);

        let name = if flaw == Flaw::OtherName { "elsewhere.example" } else { "localhost" };
        let mut server = params(&[name], name);
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if flaw == Flaw::Expired {
            server.not_before = date_time_ymd(2019, 1, 1);
            server.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = server.signed_by(&key, &issuer).expect("it can be signed");
        // Kafka reads the key and the chain from one file.
        write("server.pem", &[key.serialize_pem(), certificate.pem()].concat());

        let mut client = params(&[], "client");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = client.signed_by(&key, &issuer).expect("it can be signed");
        write("client.pem", &certificate.pem());
        write("client.key", &key.serialize_pem());
        Self(Arc::new(folder))
    }

    /// The authority's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder().join("ca.pem")
    }

    /// The client's certificate and its key.
    pub fn client_files(&self) -> (PathBuf, PathBuf) {
        (self.folder().join("client.pem"), self.folder().join("client.key"))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }
}

fn params(names: &[&str], common_name: &str) -> CertificateParams {
    let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let mut params = CertificateParams::new(names).expect("these are valid names");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
