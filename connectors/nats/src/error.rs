//! What the client library and the server say, sorted by what to do about it.

use std::error::Error as _;

use async_nats::jetstream::{self, ErrorCode};
use async_nats::{ConnectError, ConnectErrorKind, RequestError, RequestErrorKind};
use vodbridge_core::{PublishError, Unavailable};

use crate::config::Stream;

/// What is said when a connector is closed.
pub(crate) fn closed() -> Unavailable {
    Unavailable::outage("the connector is closed")
}

/// The same failure once more, for somebody else who waits for the same thing.
pub(crate) fn again(why: &Unavailable) -> Unavailable {
    let mut same = Unavailable { source: None, advice: why.advice.clone(), ..copy(why) };
    let mut text = String::new();
    let mut cause = why.source();
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if !text.is_empty() {
        same.source = Some(text.into());
    }
    same
}

fn copy(why: &Unavailable) -> Unavailable {
    Unavailable { cause: why.cause, message: why.message.clone(), advice: None, source: None }
}

/// No connection to `server` (`host:port`).
pub(crate) fn connect(server: &str, error: ConnectError) -> Unavailable {
    let (what, advice): (_, &'static str) = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => (
            format!("the NATS server {server} does not let us in"),
            "check `auth` of this connector against the server's users; secrets and files are \
             read again at the next attempt",
        ),
        ConnectErrorKind::Dns => (
            format!("the name of the NATS server {server} cannot be resolved"),
            "check `servers` of this connector",
        ),
        ConnectErrorKind::TimedOut => (
            format!("the NATS server {server} does not answer"),
            "check `servers` of this connector, and whether a NATS server listens there; a server \
             with `handshake_first` wants `tls_first: true`",
        ),
        ConnectErrorKind::Tls => (
            format!("no TLS with the NATS server {server}"),
            "check `tls` of this connector: `ca_file`, `cert_file`, `key_file`",
        ),
        ConnectErrorKind::Io | ConnectErrorKind::ServerParse | ConnectErrorKind::MaxReconnects => {
            if mentions_certificate(&error) {
                (
                    format!("no TLS with the NATS server {server}"),
                    "check the server's certificate (name, validity) and `tls.ca_file` of this \
                     connector",
                )
            } else {
                (
                    format!("no connection to the NATS server {server}"),
                    "check `servers` of this connector, and whether the server runs and speaks \
                     TLS exactly when `tls` is set",
                )
            }
        }
    };
    Unavailable::outage(what).advise(advice).caused_by(error)
}

/// rustls' errors come wrapped as I/O errors.
fn mentions_certificate(error: &ConnectError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if ["certificate", "handshake", "tls", "TLS", "CorruptMessage", "corrupt message"]
            .iter()
            .any(|word| text.contains(word))
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A publish that got no answer from the stream.
pub(crate) fn request(stream: &Stream, subject: &str, error: RequestError) -> PublishError {
    match error.kind() {
        RequestErrorKind::NoResponders => no_stream(stream, subject).caused_by(error).into(),
        RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => {
            PublishError::Refused(error.into())
        }
        RequestErrorKind::TimedOut | RequestErrorKind::Other => connection_lost().into(),
    }
}

/// The connection ended while something was under way on it.
pub(crate) fn connection_lost() -> Unavailable {
    Unavailable::outage("the connection to the NATS server ended before the stream had answered")
}

/// Nothing listens on the subject: no stream covers it, or the stream has no leader.
pub(crate) fn no_stream(stream: &Stream, subject: &str) -> Unavailable {
    Unavailable::topology(format!("no stream takes the subject {subject}")).advise(format!(
        "nats stream edit {} --subjects '{}'",
        stream.name,
        with(stream, subject)
    ))
}

/// The subjects of the stream and one that it lacks.
fn with(stream: &Stream, subject: &str) -> String {
    let mut subjects = stream.subjects.join(",");
    if !stream.subjects.iter().any(|s| crate::topology::covers(s, subject)) {
        subjects.push(',');
        subjects.push_str(subject);
    }
    subjects
}

/// The stream, or another one, answered a publish with an error.
pub(crate) fn answered(stream: &Stream, subject: &str, error: jetstream::Error) -> PublishError {
    let name = &stream.name;
    match error.error_code() {
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            return PublishError::Refused(error.into());
        }
        ErrorCode::STREAM_NOT_MATCH => {
            Unavailable::topology(format!("the subject {subject} belongs to another stream"))
                .advise(format!("let the stream {name} alone cover {subject}: nats stream ls"))
        }
        // "maximum bytes exceeded", "maximum messages exceeded", "maximum messages per subject
        // exceeded", or the disk.
        ErrorCode::STREAM_STORE_FAILED => {
            Unavailable::outage(format!("the stream {name} cannot store: it is full, or its disk"))
                .advise(format!(
                    "nats stream info {name}; raise its limits (nats stream edit {name} \
                     --max-bytes ...), or let it drop what is old (--discard old)"
                ))
        }
        ErrorCode::STREAM_SEALED => Unavailable::topology(format!("the stream {name} is sealed"))
            .advise("a sealed stream takes nothing more: name another one in `stream.name`"),
        _ => return api(name, error).into(),
    }
    .caused_by(error)
    .into()
}

/// JetStream answered a request about the stream with an error.
pub(crate) fn api(stream: &str, error: jetstream::Error) -> Unavailable {
    match error.error_code() {
        ErrorCode::STREAM_NOT_FOUND => {
            Unavailable::topology(format!("there is no stream {stream}"))
        }
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            no_jetstream()
        }
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED => Unavailable::outage("JetStream has no room left")
            .advise(
                "nats account info; raise max_file_store of the server, or the account's limits",
            ),
        ErrorCode::STREAM_SUBJECT_OVERLAP => Unavailable::topology(format!(
            "the stream {stream} cannot be made: another stream covers some of its subjects"
        ))
        .advise("nats stream ls; name that stream in `stream.name`, or take its subjects away"),
        _ => Unavailable::outage(format!("JetStream does not serve the stream {stream}")),
    }
    .caused_by(error)
}

/// The account has no JetStream.
pub(crate) fn no_jetstream() -> Unavailable {
    Unavailable::topology("JetStream is not enabled on the server, or not for this account")
        .advise("set `jetstream { store_dir: ... }` in the server's configuration, and `jetstream: enabled` in the account's")
}
