use std::collections::BTreeMap;
use std::time::Duration;

use vodbridge_core::{ContentMode, Provision, Secret, Tls};

/// What a Kafka connector is told. Checked by whoever reads it from a file; nothing here reads one.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port` of the brokers to begin with.
    pub brokers: Vec<String>,
    /// What the brokers' logs and quotas call us.
    pub client_id: String,
    /// How long one publish may take, from the call to its answer.
    pub publish_timeout: Duration,
    /// Whether the producer is idempotent (KIP-98).
    pub idempotence: Idempotence,
    /// How long a record may wait for others. Anything above zero costs a lone event 1.4 ms.
    pub linger: Duration,
    /// How batches are compressed.
    pub compression: Compression,
    /// The largest record, headers included, in bytes: the brokers' `max.message.bytes`.
    pub message_bytes_max: u32,
    /// Publishes under way at a time.
    pub in_flight: u32,
    /// Their bytes together.
    pub in_flight_bytes: u32,
    /// How events lie in records.
    pub content_mode: ContentMode,
    /// Whether missing topics are made.
    pub topology: Provision,
    /// What made topics are like.
    pub topics: Topics,
    /// How to log in.
    pub sasl: Option<Sasl>,
    /// TLS, if the brokers speak it.
    pub tls: Option<Tls>,
    /// Whether the broker's certificate must be for its host name.
    pub verify_hostname: bool,
    /// Raw properties of librdkafka, save those that the promise owns.
    pub properties: BTreeMap<String, String>,
}

/// Whether the producer is idempotent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Idempotence {
    /// Yes, and where the cluster forbids it no, said aloud.
    #[default]
    Auto,
    /// Yes; a cluster that forbids it is unavailable.
    On,
    /// No: a retry inside the client may write a record twice or out of order.
    Off,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Slow to write; for consumers that know nothing else.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    #[default]
    Lz4,
    /// Zstandard.
    Zstd,
}

/// What a topic that we make is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics {
    /// The number of partitions; `None`: as the broker has it.
    pub partitions: Option<u16>,
    /// The number of replicas; `None`: as the broker has it.
    pub replication_factor: Option<u16>,
    /// How many topics this connector makes at most.
    pub made_max: u32,
}

/// How to log in.
#[derive(Clone, Debug)]
pub enum Sasl {
    /// RFC 4616.
    Plain {
        /// The name that ACLs know it by.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// RFC 7677.
    ScramSha256 {
        /// The name that ACLs know it by.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// RFC 7677 with SHA-512.
    ScramSha512 {
        /// The name that ACLs know it by.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// RFC 7628, with tokens by the client credentials grant (RFC 6749, section 4.4).
    OAuthBearer(TokenEndpoint),
}

/// Where OAuth tokens come from.
#[derive(Clone, Debug)]
pub struct TokenEndpoint {
    /// The token endpoint, `https://...`.
    pub url: String,
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// What is asked for.
    pub scope: Option<String>,
    /// SASL extensions, for clusters that want to be told more (`logicalCluster`).
    pub extensions: BTreeMap<String, String>,
}
