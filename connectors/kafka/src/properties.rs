//! From our configuration to librdkafka's properties; pure.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use vodbridge_core::{BoxError, Tls};

use crate::limits::Limits;
use crate::{Compression, Config, Sasl};

/// Properties, and their aliases, that the promise depends on or that have a setting of ours. A
/// name that ends in a dot stands for all that begin with it.
const OURS: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "bootstrap.servers",
    "client.id",
    "compression.codec",
    "compression.type",
    "delivery.report.only.error",
    "delivery.timeout.ms",
    "dr_cb",
    "dr_msg_cb",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.sasl.oauthbearer.unsecure.jwt",
    "linger.ms",
    "log.queue",
    "message.max.bytes",
    "message.timeout.ms",
    "metadata.broker.list",
    "plugin.library.paths",
    "produce.offset.report",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "request.required.acks",
    "sasl.",
    "security.protocol",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "statistics.interval.ms",
    "test.mock.",
    "topic.metadata.propagation.max.ms",
    "transactional.id",
];

/// What a producer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batches {
    /// Every record of the ordinary way.
    Many,
    /// Records that a broker refused as part of a batch: each by itself.
    Single,
}

/// What every client of ours is told, save secrets.
///
/// # Errors
///
/// A raw property that is ours, or that librdkafka does not know.
pub(crate) fn client(config: &Config) -> Result<ClientConfig, BoxError> {
    let mut client = ClientConfig::new();
    for (name, value) in &config.properties {
        if is_ours(name) {
            return Err(format!(
                "properties: {name} is the connector's own and cannot be set: the promise depends \
                 on it, or it has a setting of its own"
            )
            .into());
        }
        client.set(name, value);
    }
    client.set("bootstrap.servers", config.brokers.join(","));
    client.set("client.id", &config.client_id);
    // A topic that nobody made would have the broker's defaults, and a misspelt one would be made.
    client.set("allow.auto.create.topics", "false");
    client.set("security.protocol", security_protocol(config));
    or_default(&mut client, "socket.keepalive.enable", "true");
    or_default(&mut client, "socket.nagle.disable", "true");
    or_default(&mut client, "socket.connection.setup.timeout.ms", "5000");
    // A broker that is back is found within a second, an exchanged password as well.
    or_default(&mut client, "reconnect.backoff.max.ms", "1000");
    tls(&mut client, config.tls.as_ref(), config.verify_hostname);
    sasl(&mut client, config.sasl.as_ref());
    client.set_log_level(RDKafkaLogLevel::Info);
    client.create_native_config()?;
    Ok(client)
}

/// What a producer is told beside that.
///
/// # Errors
///
/// A raw property that contradicts ours.
pub(crate) fn producer(
    mut client: ClientConfig,
    config: &Config,
    limits: Limits,
    idempotent: bool,
    batches: Batches,
) -> Result<ClientConfig, BoxError> {
    let millis = |duration: std::time::Duration| duration.as_millis().max(1).to_string();
    client.set("acks", "all");
    client.set("enable.idempotence", if idempotent { "true" } else { "false" });
    client.set("message.timeout.ms", millis(limits.message));
    client.set("topic.metadata.propagation.max.ms", millis(limits.propagation));
    client.set("linger.ms", (config.linger.as_secs_f64() * 1000.0).to_string());
    client.set("compression.codec", codec(config.compression));
    client.set("message.max.bytes", config.message_bytes_max.to_string());
    // Never reached: `Room` lets in no more. The bytes are without headers' overhead here.
    client.set("queue.buffering.max.messages", config.in_flight.saturating_add(1000).to_string());
    let kbytes = (config.in_flight_bytes / 1024).saturating_mul(2).saturating_add(65_536);
    client.set("queue.buffering.max.kbytes", kbytes.min(2_097_151).to_string());
    client.set("statistics.interval.ms", "5000");
    // How long the leader may wait for its followers, and a request for its answer: afterwards
    // the connection is given up, and with it whatever lies unsent in it.
    or_default(&mut client, "request.timeout.ms", &millis(limits.message));
    or_default(&mut client, "socket.timeout.ms", &millis(limits.message.max(MIN_SOCKET_TIMEOUT)));
    if batches == Batches::Single {
        client.set("batch.num.messages", "1");
    }
    client.create_native_config()?;
    Ok(client)
}

/// Below it metadata of large clusters would never come through.
const MIN_SOCKET_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|&ours| {
        if ours.ends_with('.') { name.starts_with(ours) } else { name.eq_ignore_ascii_case(ours) }
    })
}

fn or_default(client: &mut ClientConfig, name: &str, value: &str) {
    if client.get(name).is_none() {
        client.set(name, value);
    }
}

fn security_protocol(config: &Config) -> &'static str {
    match (&config.tls, &config.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    }
}

fn tls(client: &mut ClientConfig, tls: Option<&Tls>, verify_hostname: bool) {
    let Some(tls) = tls else { return };
    if let Some(ca_file) = &tls.ca_file {
        client.set("ssl.ca.location", ca_file.display().to_string());
    }
    if let Some(identity) = &tls.identity {
        client.set("ssl.certificate.location", identity.cert_file.display().to_string());
        client.set("ssl.key.location", identity.key_file.display().to_string());
    }
    let algorithm = if verify_hostname { "https" } else { "none" };
    client.set("ssl.endpoint.identification.algorithm", algorithm);
}

fn sasl(client: &mut ClientConfig, sasl: Option<&Sasl>) {
    let Some(sasl) = sasl else { return };
    let (mechanism, user) = match sasl {
        Sasl::Plain { user, .. } => ("PLAIN", Some(user)),
        Sasl::ScramSha256 { user, .. } => ("SCRAM-SHA-256", Some(user)),
        Sasl::ScramSha512 { user, .. } => ("SCRAM-SHA-512", Some(user)),
        Sasl::OAuthBearer(_) => ("OAUTHBEARER", None),
    };
    client.set("sasl.mechanism", mechanism);
    if let Some(user) = user {
        client.set("sasl.username", user);
    }
}

fn codec(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}
