use std::time::Duration;

use vodbridge_core::{ContentMode, Provision, Secret, Tls};

/// What a RabbitMQ connector is told. Checked by whoever reads it from a file; nothing here reads
/// one.
#[derive(Clone, Debug)]
pub struct Config {
    /// Nodes of one cluster, `amqp://host:port/vhost` or `amqps://`, without user and password;
    /// tried in turn.
    pub urls: Vec<String>,
    /// Who logs in; ignored by EXTERNAL.
    pub user: String,
    /// The password, read at every connection.
    pub password: Secret,
    /// How to log in.
    pub mechanism: Mechanism,
    /// TLS for `amqps` addresses.
    pub tls: Option<Tls>,
    /// What the connection is called in the management pages.
    pub client_id: String,
    /// How long one publish may take, from the call to its answer.
    pub publish_timeout: Duration,
    /// The topic exchange that events are published to.
    pub exchange: String,
    /// The queue that keeps events until subscribers have queues of their own; `None`: no queue
    /// and no binding are ours.
    pub queue: Option<Queue>,
    /// Channels, each with one batch under way.
    pub channels: u16,
    /// The most publishes in one batch.
    pub batch_max: u16,
    /// Publishes under way at a time.
    pub in_flight: u32,
    /// Their bytes together.
    pub in_flight_bytes: u32,
    /// The largest body in bytes: the broker's `max_message_size`.
    pub message_bytes_max: u32,
    /// How events lie in messages.
    pub content_mode: ContentMode,
    /// What the names of attributes begin with in headers.
    pub header_prefix: HeaderPrefix,
    /// Whether what is missing is made.
    pub topology: Provision,
    /// Where the management API is, for what AMQP 0.9.1 cannot tell.
    pub management: Option<Management>,
}

/// How to log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// User and password.
    #[default]
    Plain,
    /// The client certificate's name.
    External,
}

/// The queue that we make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: QueueKind,
    /// How many messages it holds before it rejects publishes.
    pub length_max: Option<u64>,
}

/// The type of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueKind {
    /// Replicated by Raft and flushed to disk.
    #[default]
    Quorum,
    /// Where quorum queues cannot be had.
    Classic,
}

/// What the names of attributes begin with in headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderPrefix {
    /// `ce-`, as Knative's eventing-rabbitmq does.
    #[default]
    Ce,
    /// `cloudEvents_`, for readers by AMQP 1.0 that cannot have a colon (JMS).
    CloudEventsUnderscore,
    /// `cloudEvents:`, for readers by AMQP 1.0.
    CloudEventsColon,
}

/// The management API.
#[derive(Clone, Debug)]
pub struct Management {
    /// `http://host:15672`.
    pub url: String,
    /// Who asks; `None`: who publishes.
    pub user: Option<String>,
    /// The password; `None`: the one for publishing.
    pub password: Option<Secret>,
}
