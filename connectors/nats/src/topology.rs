//! The stream: made if that is wanted, and judged before anything is published to it.

use std::time::Duration;

use async_nats::jetstream::consumer;
use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind, RequestErrorKind};
use async_nats::jetstream::stream::{
    Config as StreamConfig, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{Context, ErrorCode};
use futures_util::TryStreamExt;
use tracing::{info, warn};
use vodbridge_core::{Cause, Provision, Topic, Unavailable};

use crate::config::{Accept, Config};
use crate::error;

/// A stream that may be published to.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) info: Info,
    /// Where the stream keeps only what some consumer wants: the subjects that are wanted.
    interest: Option<Vec<String>>,
}

/// More consumers than anyone has on a stream of interest; beyond, their filters are not read.
const CONSUMERS_MAX: usize = 1000;

// === impl Verified ===

impl Verified {
    /// Whether an acknowledgement on the topic means that the event is kept.
    pub(crate) fn takes(&self, topic: &Topic, config: &Config) -> Result<(), Unavailable> {
        let stream = &config.stream;
        let topic = topic.as_str();
        debug_assert!(!topic.contains(['*', '>']), "a topic is a subject without wildcards");
        if !self.info.config.subjects.iter().any(|subject| covers(subject, topic)) {
            return Err(error::no_stream(stream, topic));
        }
        let unwanted = self.interest.as_ref().is_some_and(|wanted| {
            !config.accept.contains(&Accept::InterestRetention)
                && !wanted.iter().any(|subject| covers(subject, topic))
        });
        if unwanted {
            return Err(Unavailable::topology(format!(
                "the stream {} acknowledges {topic} and does not keep it: it retains by interest, \
                 and no consumer wants that subject",
                stream.name
            ))
            .advise(format!(
                "nats consumer add {} (with a filter that covers {topic}), or a stream with \
                 --retention limits, or `accept: [interest-retention]`",
                stream.name
            )));
        }
        Ok(())
    }

    /// Whether somebody wants what the stream is for; always, where it keeps by limits.
    pub(crate) fn is_wanted(&self, topic: &Topic) -> bool {
        self.interest
            .as_ref()
            .is_none_or(|wanted| wanted.iter().any(|subject| covers(subject, topic.as_str())))
    }
}

/// Makes sure that the stream is there and fit, and makes it if this time that is wanted. What is
/// there is left as it is.
pub(crate) async fn ensure(
    jetstream: &Context,
    config: &Config,
    wanted_now: Provision,
) -> Result<Verified, Unavailable> {
    let info = match (read(jetstream, &config.stream.name).await?, config.topology, wanted_now) {
        (Some(info), ..) => info,
        (None, Provision::Create, Provision::Create) => create(jetstream, config).await?,
        (None, Provision::Create, Provision::Verify) => return Err(pending(config)),
        (None, Provision::Verify, _) => return Err(missing(config)),
    };
    judge(&info, config)?;
    let interest = match info.config.retention {
        RetentionPolicy::Interest => Some(wanted(jetstream, &config.stream.name).await?),
        RetentionPolicy::Limits | RetentionPolicy::WorkQueue => None,
    };
    Ok(Verified { info, interest })
}

/// What the server says of the stream; `None` if there is none.
pub(crate) async fn read(jetstream: &Context, name: &str) -> Result<Option<Info>, Unavailable> {
    match jetstream.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(failed) => match failed.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::JetStream(error) => Err(error::api(name, error)),
            GetStreamErrorKind::Request => Err(unanswered(name, &failed).caused_by(failed)),
            GetStreamErrorKind::EmptyName | GetStreamErrorKind::InvalidStreamName => {
                Err(Unavailable::topology(format!("{name:?} is no name of a stream"))
                    .advise("name it in `stream.name` without blanks, dots, `*` and `>`"))
            }
        },
    }
}

async fn create(jetstream: &Context, config: &Config) -> Result<Info, Unavailable> {
    let name = &config.stream.name;
    match jetstream.create_stream(wished(config)).await {
        Ok(stream) => {
            info!(stream = name.as_str(), subjects = ?config.stream.subjects, "stream created");
            Ok(stream.cached_info().clone())
        }
        Err(failed) => {
            let why = match failed.kind() {
                // Somebody made it in the meantime, and differently: it is judged as it is.
                CreateStreamErrorKind::JetStream(error)
                    if error.error_code() == ErrorCode::STREAM_NAME_EXIST =>
                {
                    return read(jetstream, name).await?.ok_or_else(|| missing(config));
                }
                CreateStreamErrorKind::JetStream(error) if error.code() < 500 => {
                    let why = error::api(name, error);
                    Unavailable { cause: Cause::Topology, ..why }
                }
                CreateStreamErrorKind::JetStream(error) => error::api(name, error),
                CreateStreamErrorKind::TimedOut => {
                    Unavailable::outage(format!("JetStream does not answer about making {name}"))
                        .caused_by(failed)
                }
                CreateStreamErrorKind::EmptyStreamName
                | CreateStreamErrorKind::InvalidStreamName
                | CreateStreamErrorKind::DomainAndExternalSet
                | CreateStreamErrorKind::JetStreamUnavailable
                | CreateStreamErrorKind::NotFound
                | CreateStreamErrorKind::Response
                | CreateStreamErrorKind::ResponseParse => {
                    Unavailable::outage(format!("the stream {name} cannot be made"))
                        .caused_by(failed)
                }
            };
            Err(if why.advice.is_some() { why } else { why.advise(command(config)) })
        }
    }
}

/// The stream that we make.
fn wished(config: &Config) -> StreamConfig {
    let stream = &config.stream;
    StreamConfig {
        name: stream.name.clone(),
        subjects: stream.subjects.clone(),
        description: Some("Tencent Cloud VOD events, made by vodbridge".to_owned()),
        storage: StorageType::File,
        num_replicas: usize::from(stream.replicas),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_age: stream.max_age.unwrap_or_default(),
        max_bytes: stream.max_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1),
        // The server takes none that is longer than messages are kept.
        duplicate_window: stream.duplicate_window.min(stream.max_age.unwrap_or(Duration::MAX)),
        ..StreamConfig::default()
    }
}

/// The command that makes it.
fn command(config: &Config) -> String {
    let stream = &config.stream;
    format!(
        "nats stream add {} --subjects '{}' --storage file --replicas {} --retention limits \
         --dupe-window {}s --defaults",
        stream.name,
        stream.subjects.join(","),
        stream.replicas,
        stream.duplicate_window.as_secs(),
    )
}

fn missing(config: &Config) -> Unavailable {
    Unavailable::topology(format!("there is no stream {}", config.stream.name))
        .advise(command(config))
}

fn pending(config: &Config) -> Unavailable {
    Unavailable::pending(format!(
        "there is no stream {} yet; it is made with the first event",
        config.stream.name
    ))
    .advise(format!("to make it now: vodbridge check --create, or {}", command(config)))
}

/// Refuses a stream whose acknowledgement may mean nothing.
pub(crate) fn judge(info: &Info, config: &Config) -> Result<(), Unavailable> {
    let it = &info.config;
    let name = &it.name;
    let accepted = |what| config.accept.contains(&what);
    let unfit = |what: &str, advice: String| {
        Err(Unavailable::topology(format!("the stream {name} {what}")).advise(advice))
    };
    if it.no_ack {
        // The server stores and says nothing; nothing could ever be confirmed.
        return unfit(
            "has no_ack and never acknowledges",
            format!("nats stream edit {name} --ack"),
        );
    }
    if it.sealed {
        return unfit("is sealed and takes nothing", "name another stream in `stream.name`".into());
    }
    if it.mirror.is_some() {
        return unfit(
            "is a mirror and takes nothing but what it mirrors",
            "name the stream that it mirrors in `stream.name`".into(),
        );
    }
    // The documentation of `persist_mode`: the "acknowledgement may be sent before the persisting
    // completes".
    if it.persist_mode == Some(PersistenceMode::Async) && !accepted(Accept::AsyncPersistence) {
        return unfit(
            "has persist_mode async and acknowledges before it has stored",
            format!(
                "make {name} anew without it (it cannot be changed), or \
                 `accept: [async-persistence]`"
            ),
        );
    }
    if it.storage == StorageType::Memory && !accepted(Accept::MemoryStorage) {
        return unfit(
            "keeps its messages in memory",
            format!(
                "make {name} anew with --storage file (it cannot be changed), or \
                 `accept: [memory-storage]`"
            ),
        );
    }
    Ok(())
}

/// Says what is not wrong and yet not as it was asked for; once for each connection.
pub(crate) fn warn_of_differences(info: &Info, config: &Config) {
    let stream = info.config.name.as_str();
    let window = info.config.duplicate_window;
    // A publish that was not answered comes again after its time is over.
    let window_min = config.publish_timeout + Duration::from_secs(10);
    if window < window_min {
        warn!(
            stream,
            duplicate_window = ?window,
            advice = format!("nats stream edit {stream} --dupe-window {}s", window_min.as_secs()),
            "the stream forgets an event before it may come again: duplicates are more likely"
        );
    }
    if info.config.retention == RetentionPolicy::WorkQueue {
        warn!(stream, "the stream is a work queue: an event is gone once one consumer took it");
    }
    if info.config.num_replicas < usize::from(config.stream.replicas) {
        warn!(
            stream,
            replicas = info.config.num_replicas,
            wanted = config.stream.replicas,
            advice = format!("nats stream edit {stream} --replicas {}", config.stream.replicas),
            "the stream has fewer replicas than configured; what exists is left as it is"
        );
    }
}

/// The subjects that durable consumers of the stream want.
async fn wanted(jetstream: &Context, name: &str) -> Result<Vec<String>, Unavailable> {
    let unreadable = |source: vodbridge_core::BoxError| {
        Unavailable::outage(format!("the consumers of {name} cannot be read")).caused_by(source)
    };
    let stream = jetstream.get_stream_no_info(name).await.map_err(|e| unreadable(e.into()))?;
    let mut consumers = stream.consumers();
    let mut subjects = Vec::new();
    while let Some(consumer) = consumers.try_next().await.map_err(|e| unreadable(e.into()))? {
        // One that is not durable is gone with its client, and what it wanted is kept no more.
        if consumer.config.durable_name.is_some() {
            subjects.extend(filters(consumer.config));
        }
        if subjects.len() > CONSUMERS_MAX {
            break;
        }
    }
    Ok(subjects)
}

/// What one consumer wants; everything, if it has no filter.
fn filters(config: consumer::Config) -> Vec<String> {
    if !config.filter_subjects.is_empty() {
        config.filter_subjects
    } else if config.filter_subject.is_empty() {
        vec![">".to_owned()]
    } else {
        vec![config.filter_subject]
    }
}

/// No answer to a question about the stream.
fn unanswered(name: &str, failed: &async_nats::jetstream::context::GetStreamError) -> Unavailable {
    let mut cause = std::error::Error::source(failed);
    while let Some(error) = cause {
        if let Some(request) = error.downcast_ref::<async_nats::jetstream::context::RequestError>()
            && request.kind() == RequestErrorKind::NoResponders
        {
            return error::no_jetstream();
        }
        cause = error.source();
    }
    Unavailable::outage(format!("JetStream does not answer about the stream {name}")).advise(
        "check that the servers form a cluster with a leader (nats server check jetstream), and \
         that the user may publish to $JS.API.STREAM.INFO.* and subscribe to _INBOX.>",
    )
}

/// Whether a stream can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    !name.is_empty() && !name.contains(is_bad)
}

/// Whether a subject with wildcards (`*`: one token, `>`: one or more at the end) matches one
/// without.
pub(crate) fn covers(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for part in pattern.split('.') {
        match (part, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (exact, Some(token)) if exact == token => {}
            (_, _) => return false,
        }
    }
    subject.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_cover_what_the_server_says_they_do() {
        for (pattern, subject, covered) in [
            ("vod.>", "vod.NewFileUpload", true),
            ("vod.>", "vod.v2.NewFileUpload", true),
            ("vod.>", "vod", false),
            (">", "vod", true),
            ("vod.*", "vod.x", true),
            ("vod.*", "vod.v2.x", false),
            ("vod.*.x", "vod.v2.x", true),
            ("vod.x", "vod.x", true),
            ("vod.x", "vod.xy", false),
            ("vod.x", "vod.x.y", false),
            ("vod.x.y", "vod.x", false),
        ] {
            assert_eq!(covers(pattern, subject), covered, "{pattern} {subject}");
        }
    }
}
