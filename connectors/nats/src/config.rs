use std::path::PathBuf;
use std::time::Duration;

use vodbridge_core::{ContentMode, Provision, Secret, Tls};

/// What a NATS connector is told. Checked by whoever reads it from a file; nothing here reads one.
#[derive(Clone, Debug)]
pub struct Config {
    /// `nats://host:port` or `tls://`, any servers of one cluster.
    pub servers: Vec<String>,
    /// What the servers call us.
    pub client_id: String,
    /// How to log in.
    pub auth: Auth,
    /// TLS, if the servers speak it.
    pub tls: Option<Tls>,
    /// Whether TLS comes before the server's greeting.
    pub tls_first: bool,
    /// How long one publish may take, from the call to its answer.
    pub publish_timeout: Duration,
    /// The stream that must take the events.
    pub stream: Stream,
    /// Publishes under way at a time.
    pub in_flight: u32,
    /// Their bytes together.
    pub in_flight_bytes: u32,
    /// How events lie in messages.
    pub content_mode: ContentMode,
    /// Whether a missing stream is made.
    pub topology: Provision,
    /// Streams whose acknowledgement may mean nothing, which the operator wants all the same.
    pub accept: Vec<Accept>,
    /// `http://host:8222`, where the server tells how often it flushes.
    pub monitoring_url: Option<String>,
}

/// How to log in.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Not at all, or by certificate.
    #[default]
    None,
    /// User and password.
    User {
        /// The user's name.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
    /// The seed of an nkey.
    Nkey(Secret),
    /// A file with a JWT and the seed of its nkey.
    Credentials(PathBuf),
}

/// The stream, and what it is like if we make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// What it covers, `vod.>`.
    pub subjects: Vec<String>,
    /// Copies.
    pub replicas: u8,
    /// For how long it keeps messages; `None`: for ever.
    pub max_age: Option<Duration>,
    /// How much it keeps; `None`: as much as there is room.
    pub max_bytes: Option<u64>,
    /// For how long it knows a message again.
    pub duplicate_window: Duration,
}

/// What is refused unless it is accepted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// `storage: memory`.
    MemoryStorage,
    /// `persist_mode: async`.
    AsyncPersistence,
    /// `retention: interest` without a consumer.
    InterestRetention,
}
