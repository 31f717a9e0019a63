//! Settings that every broker connector has, in the same words.

use std::path::PathBuf;

/// How an event lies in a broker's message: CloudEvents 1.0.2, "Message", section 1.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentMode {
    /// Attributes in headers, data as the body.
    #[default]
    Binary,
    /// The whole event as one JSON object in the body.
    Structured,
}

/// What a connector does about topics, streams, exchanges and queues that are not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provision {
    /// Makes what is missing when it is first needed, and leaves alone what is there.
    #[default]
    Create,
    /// Makes nothing: what is missing is unavailable.
    Verify,
}

/// TLS towards a broker. Files are read again whenever a connection is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificate authorities in PEM that replace the system's.
    pub ca_file: Option<PathBuf>,
    /// What the bridge shows of itself.
    pub identity: Option<Identity>,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and its chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM, without a passphrase.
    pub key_file: PathBuf,
}
