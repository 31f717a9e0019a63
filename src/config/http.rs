use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::report::Report;
use super::secret::{Rule, Secrets};
use super::tree::Path;
use super::{SecretCell, duration, secret_cell};

/// Where callbacks come in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// The address and port that callbacks are taken on.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Serves HTTPS with this certificate. Default: plain HTTP.
    pub tls: Option<Tls>,
    /// How long a caller may take to send the headers of a request.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub header_timeout: Duration,
    /// How long a caller may take to send the body of a request.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub body_timeout: Duration,
    /// How long a connection may stay open without a request.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub idle_timeout: Duration,
}

/// A certificate and its key. Both files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A PEM file with the certificate, and those between it and the root after it.
    pub cert_file: PathBuf,
    /// A PEM file with the certificate's private key.
    pub key_file: PathBuf,
}

/// Where operators and probes look in.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The address and port.
    pub listen: SocketAddr,
    /// What shows payloads and lets events be sent again, if anything does.
    pub token: Option<SecretCell>,
}

/// Where operators and probes look in: the page at `/`, `/livez`, `/readyz`, `/metrics`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Admin")]
pub(super) struct WrittenAdmin {
    /// The address and port. Whoever reaches it sees what goes on, without payloads: keep it off
    /// public networks.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    listen: SocketAddr,
    /// Whoever brings it as `Authorization: Bearer ...` sees payloads, sends events and dead letters
    /// again and removes dead letters; the page asks for it. Default: nobody can.
    #[serde(skip_serializing)]
    token: Option<Secrets>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            tls: None,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
        }
    }
}

impl Default for WrittenAdmin {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9090)), token: None }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        de::Error::custom(format!(
            "found {text:?}, expected an address and port such as 127.0.0.1:8080"
        ))
    })
}

// === checks ===

impl Http {
    pub(super) fn check(&self, at: &Path, report: &mut Report<'_>) {
        for (key, duration) in [
            ("header_timeout", self.header_timeout),
            ("body_timeout", self.body_timeout),
            ("idle_timeout", self.idle_timeout),
        ] {
            duration::check(duration, duration::HOUR, &at.join(key), report);
        }
        if let Some(tls) = &self.tls {
            for (key, file) in [("cert_file", &tls.cert_file), ("key_file", &tls.key_file)] {
                if let Err(error) = File::open(file).and_then(|file| file.metadata()) {
                    let message = format!("the file {} cannot be read: {error}", file.display());
                    report.problem(&at.join("tls").join(key), message);
                }
            }
        }
    }
}

impl WrittenAdmin {
    pub(super) fn check(self, at: &Path, http: &Http, report: &mut Report<'_>) -> Admin {
        let (own, other) = (self.listen, http.listen);
        let one_takes_all = own.ip().is_unspecified() || other.ip().is_unspecified();
        let same = own.port() == other.port() && (own.ip() == other.ip() || one_takes_all);
        report.expect(
            !same || own.port() == 0,
            &at.join("listen"),
            format!("found {own}, expected another port than http.listen's ({other})"),
        );
        let token = secret_cell::open(self.token, Rule::Any, &at.join("token"), report);
        Admin { listen: self.listen, token }
    }
}
