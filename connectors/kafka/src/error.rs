//! What Kafka's errors mean to a publish, sorted by what to do about them.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use vodbridge_core::{PublishError, Topic, Unavailable};

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// The record is larger than the broker takes; nothing will change that.
    Shrink,
    /// The topic is not there.
    CreateTopic,
    /// The user may not write to the topic.
    PermitTopic,
    /// The user may not have an idempotent producer.
    PermitIdempotence,
    /// The topic takes no record like ours.
    ChangeTopic,
    /// The login is refused.
    CorrectLogin,
    /// Connections are refused because of their certificates.
    CorrectTls,
    /// Too few replicas are in sync.
    AwaitReplicas,
    /// It passes.
    Wait,
}

/// The one table; what is not in it passes.
///
/// The brokers' codes are those of the protocol guide ("Error Codes"), the client's own are
/// librdkafka's.
const TABLE: &[(Code, Repair)] = &[
    (Code::MessageSizeTooLarge, Repair::Shrink),
    // Of a batch that no segment of the log could hold; its records are tried one by one.
    (Code::MessageBatchTooLarge, Repair::Shrink),
    (Code::InvalidMessageSize, Repair::Shrink),
    (Code::UnknownTopic, Repair::CreateTopic),
    (Code::UnknownTopicOrPartition, Repair::CreateTopic),
    (Code::UnknownPartition, Repair::CreateTopic),
    (Code::TopicAuthorizationFailed, Repair::PermitTopic),
    (Code::ClusterAuthorizationFailed, Repair::PermitIdempotence),
    (Code::TransactionalIdAuthorizationFailed, Repair::PermitIdempotence),
    (Code::InvalidTopic, Repair::ChangeTopic),
    (Code::InvalidRecord, Repair::ChangeTopic),
    (Code::PolicyViolation, Repair::ChangeTopic),
    (Code::UnsupportedForMessageFormat, Repair::ChangeTopic),
    (Code::Authentication, Repair::CorrectLogin),
    (Code::SaslAuthenticationFailed, Repair::CorrectLogin),
    (Code::UnsupportedSASLMechanism, Repair::CorrectLogin),
    (Code::IllegalSASLState, Repair::CorrectLogin),
    (Code::SSL, Repair::CorrectTls),
    (Code::NotEnoughReplicas, Repair::AwaitReplicas),
    (Code::NotEnoughReplicasAfterAppend, Repair::AwaitReplicas),
];

/// Whom an operator's commands are about.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// `host:port` to give to a command line tool.
    pub(crate) bootstrap: String,
    /// The name that ACLs know us by.
    pub(crate) principal: String,
}

/// What the client said last about its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) code: Code,
    pub(crate) reason: String,
}

// === impl Repair ===

impl Repair {
    pub(crate) fn of(code: Code) -> Self {
        TABLE.iter().find(|(known, _)| *known == code).map_or(Self::Wait, |&(_, repair)| repair)
    }

    /// Whether what is known of the topic may be true no longer.
    pub(crate) fn is_about_topic(self) -> bool {
        matches!(self, Self::CreateTopic | Self::PermitTopic | Self::ChangeTopic)
    }

    fn message(self, topic: &str) -> String {
        match self {
            Self::Shrink => format!("the record is larger than topic {topic} takes"),
            Self::CreateTopic => format!("there is no topic {topic}"),
            Self::PermitTopic => format!("this user may not write to topic {topic}"),
            Self::PermitIdempotence => "this user may not have an idempotent producer".to_owned(),
            Self::ChangeTopic => format!("topic {topic} does not take records like ours"),
            Self::CorrectLogin => "the brokers refuse the login".to_owned(),
            Self::CorrectTls => "no TLS connection to the brokers comes about".to_owned(),
            Self::AwaitReplicas => format!("too few replicas of topic {topic} are in sync"),
            Self::Wait if topic.is_empty() => "the Kafka brokers do not answer".to_owned(),
            Self::Wait => format!("Kafka has not acknowledged a record for topic {topic}"),
        }
    }

    fn advice(self, topic: &str, site: &Site) -> Option<String> {
        let Site { bootstrap, principal } = site;
        let acls = format!(
            "kafka-acls --bootstrap-server {bootstrap} --add --allow-principal User:{principal}"
        );
        match self {
            Self::Shrink | Self::Wait => None,
            Self::CreateTopic => Some(create_command(topic, site)),
            Self::PermitTopic => {
                Some(format!("{acls} --operation Write --operation Describe --topic {topic}"))
            }
            Self::PermitIdempotence => Some(format!(
                "{acls} --operation IdempotentWrite --cluster, or set idempotence: auto"
            )),
            Self::ChangeTopic => Some(format!(
                "kafka-configs --bootstrap-server {bootstrap} --describe --topic {topic}; it must \
                 have cleanup.policy=delete and no policy against it"
            )),
            Self::CorrectLogin => Some(format!(
                "correct the user ({principal}), the password or the mechanism under sasl; a \
                 password file is read again by itself"
            )),
            Self::CorrectTls => Some(
                "look at tls.ca_file, at the names in the brokers' certificates \
                 (verify_hostname), at when they end, and at whether the port speaks TLS"
                    .to_owned(),
            ),
            Self::AwaitReplicas => Some(format!(
                "start the missing brokers: kafka-topics --bootstrap-server {bootstrap} --describe \
                 --under-min-isr-partitions"
            )),
        }
    }

    /// Whether an operator must act before it is of any use to try again.
    fn is_topology(self) -> bool {
        match self {
            Self::CreateTopic | Self::PermitTopic | Self::PermitIdempotence | Self::ChangeTopic => {
                true
            }
            Self::Shrink
            | Self::CorrectLogin
            | Self::CorrectTls
            | Self::AwaitReplicas
            | Self::Wait => false,
        }
    }
}

/// The command that makes a topic as we would.
pub(crate) fn create_command(topic: &str, site: &Site) -> String {
    let bootstrap = &site.bootstrap;
    format!(
        "kafka-topics --bootstrap-server {bootstrap} --create --topic {topic} --partitions 3 \
         --replication-factor 3 --config min.insync.replicas=2"
    )
}

/// The answer to a publish that ended in `error`; `trouble` is what is known of the connections,
/// and says more than a timeout does.
pub(crate) fn of_publish(
    error: KafkaError,
    topic: &Topic,
    trouble: Option<&Trouble>,
    site: &Site,
) -> PublishError {
    if error.rdkafka_error_code().map(Repair::of) == Some(Repair::Shrink) {
        return PublishError::Refused(Box::new(error));
    }
    unavailable(error, topic.as_str(), trouble, site).into()
}

/// The same for what is no publish: metadata, creating topics, reading their settings.
pub(crate) fn unavailable(
    error: KafkaError,
    topic: &str,
    trouble: Option<&Trouble>,
    site: &Site,
) -> Unavailable {
    let repair = error.rdkafka_error_code().map_or(Repair::Wait, Repair::of);
    if repair != Repair::Wait {
        return state(repair, repair.message(topic), topic, site).caused_by(error);
    }
    match trouble {
        None => state(repair, repair.message(topic), topic, site).caused_by(error),
        Some(Trouble { code, reason }) => {
            let repair = Repair::of(*code);
            let message = format!("{} ({reason})", repair.message(topic));
            // A connection's trouble passes with the connection, whatever it is.
            let why = Unavailable::outage(message).caused_by(error);
            let advice = repair.advice(topic, site).unwrap_or_else(|| {
                format!(
                    "look whether the brokers run, whether {} is their address, and whether that \
                     port speaks TLS or not, as is configured",
                    site.bootstrap
                )
            });
            why.advise(advice)
        }
    }
}

/// An error of the brokers about one topic, known by its code alone.
pub(crate) fn of_topic(code: Code, topic: &str, site: &Site) -> Unavailable {
    let repair = Repair::of(code);
    state(repair, repair.message(topic), topic, site).caused_by(KafkaError::MetadataFetch(code))
}

fn state(repair: Repair, message: String, topic: &str, site: &Site) -> Unavailable {
    let why = if repair.is_topology() {
        Unavailable::topology(message)
    } else {
        Unavailable::outage(message)
    };
    match repair.advice(topic, site) {
        Some(advice) => why.advise(advice),
        None => why,
    }
}

#[cfg(test)]
mod tests {
    use vodbridge_core::Cause;

    use super::*;

    fn answer(code: Code, trouble: Option<&Trouble>) -> PublishError {
        let site = Site { bootstrap: "kafka:9092".to_owned(), principal: "vodbridge".to_owned() };
        let topic = Topic::new("vod.NewFileUpload").unwrap();
        of_publish(KafkaError::MessageProduction(code), &topic, trouble, &site)
    }

    #[test]
    fn only_what_lies_in_the_event_is_refused() {
        assert!(matches!(answer(Code::MessageSizeTooLarge, None), PublishError::Refused(_)));
        for (code, cause) in [
            (Code::UnknownTopicOrPartition, Cause::Topology),
            (Code::UnknownTopic, Cause::Topology),
            (Code::TopicAuthorizationFailed, Cause::Topology),
            (Code::ClusterAuthorizationFailed, Cause::Topology),
            (Code::InvalidRecord, Cause::Topology),
            (Code::NotEnoughReplicas, Cause::Outage),
            (Code::MessageTimedOut, Cause::Outage),
            (Code::PurgeQueue, Cause::Outage),
            (Code::PurgeInflight, Cause::Outage),
            (Code::KafkaStorageError, Cause::Outage),
            (Code::Fatal, Cause::Outage),
        ] {
            let PublishError::Unavailable(why) = answer(code, None) else { panic!("{code}") };
            assert_eq!(why.cause, cause, "{code}");
            assert_eq!(why.advice.is_some(), Repair::of(code) != Repair::Wait, "{code}");
            assert!(why.source.is_some(), "{code}");
        }
    }

    #[test]
    fn a_timeout_tells_what_the_connections_suffer_from() {
        let trouble =
            Trouble { code: Code::Authentication, reason: "SASL: wrong password".to_owned() };
        let PublishError::Unavailable(why) = answer(Code::MessageTimedOut, Some(&trouble)) else {
            panic!("a timeout is no refusal")
        };
        assert_eq!(why.cause, Cause::Outage);
        assert_eq!(why.message, "the brokers refuse the login (SASL: wrong password)");
        assert!(why.advice.unwrap().contains("password"));
    }
}
