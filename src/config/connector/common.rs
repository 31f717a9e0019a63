//! What connectors of every type have, under the same keys.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Size;
use crate::config::report::Report;
use crate::config::secret::Secret;
use crate::config::tree::Path;

/// What happens to a broker, and an acknowledged event may survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The broker's process is killed.
    Process,
    /// One machine loses power.
    Machine,
    /// One node is lost for good.
    Node,
    /// All nodes lose power at once.
    All,
}

/// How an event lies in a broker's message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContentMode {
    /// CloudEvents attributes in headers, data as the body.
    #[default]
    Binary,
    /// The whole CloudEvent as one JSON object.
    Structured,
}

/// What is done about topics, streams, exchanges and queues that are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Provision {
    /// They are made when they are first needed; what is there is left as it is.
    #[default]
    Create,
    /// Nothing is made: what is missing is unavailable.
    Verify,
}

/// TLS towards a broker. The files are read again whenever a connection is made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsClient {
    /// A PEM file of certificate authorities. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate that the bridge shows. Default: none is shown.
    pub cert_file: Option<PathBuf>,
    /// A PEM file with that certificate's private key.
    pub key_file: Option<PathBuf>,
    /// Whether the broker's certificate must be for its host name. Only Kafka's can do without.
    pub verify_hostname: bool,
}

/// How long one publish may take unless it is said otherwise.
pub(super) const PUBLISH_TIMEOUT: Duration = Duration::from_secs(20);

/// VOD's 30 s for a handle, less the 5 s it takes to confirm it.
const PUBLISH_TIMEOUT_BELOW: Duration = Duration::from_secs(25);

/// Publishes of one connector under way at a time, unless it is said otherwise.
pub(super) const IN_FLIGHT: u32 = 4096;

/// The bytes of those.
pub(super) const IN_FLIGHT_BYTES: Size = Size::mebibytes(64);

pub(super) const IN_FLIGHT_MAX: u32 = 100_000;

/// What no broker takes in one message.
pub(super) const MESSAGE_MAX: Size = Size::mebibytes(512);

const NAMES_MAX: usize = 64;

impl Default for TlsClient {
    fn default() -> Self {
        Self { ca_file: None, cert_file: None, key_file: None, verify_hostname: true }
    }
}

// === checks ===

pub(super) fn publish_timeout(timeout: Duration, at: &Path, report: &mut Report<'_>) {
    report.expect(
        !timeout.is_zero() && timeout < PUBLISH_TIMEOUT_BELOW,
        &at.join("publish_timeout"),
        format!(
            "found {}, expected more than 0s and less than {}",
            humantime::format_duration(timeout),
            humantime::format_duration(PUBLISH_TIMEOUT_BELOW),
        ),
    );
}

/// A connector that goes over the network is given time to find out what is wrong.
pub(super) fn publish_timeout_of_network(timeout: Duration, at: &Path, report: &mut Report<'_>) {
    report.expect(
        timeout >= Duration::from_secs(1),
        &at.join("publish_timeout"),
        format!("found {}, expected at least 1s", humantime::format_duration(timeout)),
    );
}

/// Addresses of one cluster: some, none of them empty or named twice.
pub(super) fn addresses(
    addresses: &[String],
    example: &str,
    fault: impl Fn(&str) -> Option<String>,
    at: &Path,
    report: &mut Report<'_>,
) {
    report.expect(
        (1..=NAMES_MAX).contains(&addresses.len()),
        at,
        format!(
            "found {} addresses, expected 1 to {NAMES_MAX} such as {example:?}",
            addresses.len()
        ),
    );
    for (n, address) in addresses.iter().enumerate() {
        if let Some(fault) = fault(address) {
            report.problem(&at.join(n), fault);
        }
    }
}

/// `host:port`.
pub(super) fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b))
            && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

/// An address that is printed where it does not answer, and so holds no secret.
pub(super) fn http_url(url: &Option<String>, example: &str, at: &Path, report: &mut Report<'_>) {
    let Some(url) = url else { return };
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match rest {
        Some(rest) if rest.contains(['@', '?']) => {
            report.problem(
                at,
                format!("found a user or a query, expected an address such as {example}"),
            );
        }
        Some(rest) if !rest.is_empty() => {}
        _ => report.problem(at, format!("found {url:?}, expected an address such as {example}")),
    }
}

pub(super) fn in_flight(in_flight: u32, at: &Path, report: &mut Report<'_>) {
    report.expect(
        (1..=IN_FLIGHT_MAX).contains(&in_flight),
        &at.join("in_flight"),
        format!("found {in_flight}, expected 1 to {IN_FLIGHT_MAX}"),
    );
}

pub(super) fn message_max(
    message: Size,
    in_flight_bytes: Size,
    at: &Path,
    report: &mut Report<'_>,
) {
    let at = at.join("message_max");
    report.expect(
        message <= MESSAGE_MAX,
        &at,
        format!("found {message}, expected at most {MESSAGE_MAX}"),
    );
    report.expect(
        message <= in_flight_bytes,
        &at,
        format!("found {message}, expected no more than in_flight_bytes ({in_flight_bytes})"),
    );
}

impl TlsClient {
    pub(super) fn check(&self, at: &Path, report: &mut Report<'_>) {
        let both = self.cert_file.is_some() == self.key_file.is_some();
        report.expect(both, at, "cert_file and key_file go together");
        for (key, file) in [
            ("ca_file", &self.ca_file),
            ("cert_file", &self.cert_file),
            ("key_file", &self.key_file),
        ] {
            if let Some(file) = file
                && let Err(error) = std::fs::File::open(file)
            {
                let message = format!("the file {} cannot be read: {error}", file.display());
                report.problem(&at.join(key), message);
            }
        }
    }
}

/// Reads a secret once, so that what is wrong with it shows at once.
pub(super) fn secret(secret: &mut Option<Secret>, at: &Path, report: &mut Report<'_>) {
    if let Some(secret) = secret
        && let Err(error) = secret.resolve(report.variables)
    {
        report.problem(at, error.to_string());
    }
}

/// Reports a key that must be there, or must not.
pub(super) fn wanted<T>(
    value: &Option<T>,
    is_wanted: bool,
    what: &str,
    at: &Path,
    report: &mut Report<'_>,
) {
    match (value, is_wanted) {
        (None, true) => report.problem(at, format!("is missing: {what} needs it")),
        (Some(_), false) => report.problem(at, format!("is of no use with {what}; remove it")),
        _ => {}
    }
}
