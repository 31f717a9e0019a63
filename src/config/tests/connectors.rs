//! The connectors to brokers: what they need, what does not go together, what is read.

use std::fs;

use super::errors::check;
use crate::config::*;

/// The one connector of a text that holds nothing else.
fn connector(yaml: &str) -> Connector {
    let config = Config::from_yaml(&format!("connectors: {{ x: {yaml} }}"));
    let config = config.unwrap_or_else(|errors| panic!("{yaml}\n{errors}"));
    config.connectors["x"].clone()
}

#[test]
fn each_broker_needs_nothing_but_its_addresses() {
    let Connector::Kafka(kafka) = connector("{ type: kafka, brokers: ['127.0.0.1:9092'] }") else {
        panic!("not kafka")
    };
    assert_eq!(kafka.idempotence, Idempotence::Auto);
    assert_eq!(kafka.topology, Provision::Create);
    let yaml = "{ type: rabbitmq, urls: ['amqp://127.0.0.1/%2f'] }";
    let Connector::RabbitMq(rabbitmq) = connector(yaml) else { panic!("not rabbitmq") };
    assert_eq!(rabbitmq.exchange, "vod");
    assert_eq!(
        rabbitmq.queue.0.map(|q| (q.name, q.kind)),
        Some(("vod.events".into(), QueueKind::Quorum))
    );
    let Connector::Nats(nats) = connector("{ type: nats, servers: ['nats://[::1]:4222'] }") else {
        panic!("not nats")
    };
    assert_eq!((nats.stream.as_str(), nats.subjects[0].as_str()), ("VOD", "vod.>"));
}

#[test]
fn no_queue_is_written_null() {
    for null in ["null", "~", "'null'", ""] {
        let yaml = format!(
            "connectors:\n  x:\n    type: rabbitmq\n    urls: ['amqp://h:1/%2f']\n    queue: {null}\n"
        );
        let config = Config::from_yaml(&yaml).unwrap_or_else(|errors| panic!("{yaml}\n{errors}"));
        let Connector::RabbitMq(rabbitmq) = &config.connectors["x"] else { panic!("{yaml}") };
        assert_eq!(rabbitmq.queue, QueueOrNone(None), "{yaml}");
    }
    let yaml = "{ type: rabbitmq, urls: ['amqp://h:1'], queue: { type: classic, length_max: 5 } }";
    let Connector::RabbitMq(rabbitmq) = connector(yaml) else { panic!("not rabbitmq") };
    let queue = rabbitmq.queue.0.unwrap();
    assert_eq!((queue.kind, queue.length_max), (QueueKind::Classic, Some(5)));
}

#[test]
fn what_is_wrong_with_a_connector_is_said_with_its_place() {
    for (connector, expected) in [
        (
            "kafka, brokers: []",
            "brokers: found 0 addresses, expected 1 to 64 such as \"kafka:9092\"",
        ),
        ("kafka, brokers: [kafka]", "brokers.0: found \"kafka\", expected host:port"),
        ("kafka, brokers: ['k:0']", "brokers.0: found \"k:0\", expected host:port"),
        (
            "kafka, brokers: ['k:1'], publish_timeout: 500ms",
            "publish_timeout: found 500ms, expected at least 1s",
        ),
        ("kafka, brokers: ['k:1'], partitions: 0", "partitions: found 0, expected at least 1"),
        (
            "kafka, brokers: ['k:1'], require: [power]",
            "require.0: found \"power\", expected one of \"process\", \"machine\", \"node\", \"all\"",
        ),
        (
            "kafka, brokers: ['k:1'], sasl: { user: u }",
            "sasl.password: is missing: mechanism: plain needs it",
        ),
        (
            "kafka, brokers: ['k:1'], sasl: { mechanism: scram-sha-512, user: u, password: p, scope: s, token_url: t }",
            "sasl.token_url: is of no use with mechanism: scram-sha-512; remove it",
        ),
        (
            "kafka, brokers: ['k:1'], message_max: 65MiB",
            "message_max: found 65MiB, expected no more than in_flight_bytes (64MiB)",
        ),
        (
            "rabbitmq, urls: ['amqp://guest:hunter2@h:5672/%2f']",
            "urls.0: found an address with a user, expected user and password under keys of these names",
        ),
        (
            "rabbitmq, urls: ['http://h']",
            "urls.0: found \"http://h\", expected amqp://host:port/vhost or amqps://...",
        ),
        (
            "rabbitmq, urls: ['amqp://h//']",
            "urls.0: found \"amqp://h//\", expected amqp://host:port/vhost, / as %2f",
        ),
        (
            "rabbitmq, urls: ['amqp://h'], mechanism: external",
            "mechanism: found external, which needs tls with cert_file and key_file",
        ),
        (
            "rabbitmq, urls: ['amqp://h'], queue: none",
            "queue: found \"none\", expected null or a mapping",
        ),
        ("rabbitmq, urls: ['amqp://h'], channels: 0", "channels: found 0, expected 1 to 64"),
        (
            "nats, servers: ['nats://me:hunter2@h:4222']",
            "servers.0: found an address with a user, expected user and password, or token, under keys of these names",
        ),
        (
            "nats, servers: ['h:4222']",
            "servers.0: found \"h:4222\", expected nats://host:port or tls://host:port",
        ),
        ("nats, servers: ['nats://h:1'], replicas: 2", "replicas: found 2, expected 1, 3 or 5"),
        (
            "nats, servers: ['nats://h:1'], subjects: ['vod.>.x']",
            "subjects.0: found \"vod.>.x\", expected a subject such as vod.>",
        ),
        (
            "nats, servers: ['nats://h:1'], stream: a.b",
            "stream: found \"a.b\", expected a name without blanks and . * > / \\",
        ),
        (
            "nats, servers: ['nats://h:1'], accept: [no_ack]",
            "accept.0: found \"no_ack\", expected one of \"memory_storage\", \"async_persistence\", \"interest_retention\"",
        ),
        (
            "nats, servers: ['nats://h:1'], duplicate_window: 5s",
            "duplicate_window: found 5s, expected at least publish_timeout (20s)",
        ),
        (
            "nats, servers: ['nats://h:1'], tls: { verify_hostname: false }",
            "tls.verify_hostname: found false, which only kafka can do",
        ),
    ] {
        let errors = Config::from_yaml(&format!("connectors: {{ x: {{ type: {connector} }} }}"));
        let errors = errors.err().map(|errors| errors.to_string()).unwrap_or_default();
        let without_place = errors.split_once("connectors.x.").map_or("", |(_, rest)| rest);
        assert_eq!(without_place, expected, "{connector}\n{errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}

#[test]
fn a_secret_or_file_that_is_not_there_is_said_at_once() {
    check(
        "connectors: { x: { type: nats, servers: ['nats://h:1'], token: { env: NOT_SET } } }",
        &["1:57: connectors.x.token: the environment variable NOT_SET is not set"],
    );
    check(
        "connectors: { x: { type: kafka, brokers: ['k:1'], tls: { ca_file: /nowhere } } }",
        &["1:67: connectors.x.tls.ca_file: the file /nowhere cannot be read: No such file or \
           directory (os error 2)"],
    );
}

#[test]
fn a_password_is_read_from_its_file_whenever_it_is_asked_for_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    fs::write(&file, "hunter2\n").unwrap();
    let password = format!("{{ file: {} }}", file.display());
    let Connector::Nats(nats) = connector(&format!(
        "{{ type: nats, servers: ['nats://h:1'], user: me, password: {password} }}"
    )) else {
        panic!("not nats")
    };
    let secret = nats.password.as_ref().unwrap().to_connector();
    assert_eq!(secret.read_text().unwrap(), "hunter2");
    fs::write(&file, "hunter3\n").unwrap();
    assert_eq!(secret.read_text().unwrap(), "hunter3");
    fs::remove_file(&file).unwrap();
    assert!(secret.read_text().unwrap_err().to_string().contains("cannot be read"));
    let Connector::Nats(nats) =
        connector("{ type: nats, servers: ['nats://h:1'], user: me, password: hunter2 }")
    else {
        panic!("not nats")
    };
    assert!(!format!("{nats:?}").contains("hunter2"));
}
