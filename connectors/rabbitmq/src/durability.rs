//! What RabbitMQ's confirm survives, as a table.
//!
//! A confirm says that *every* queue that the message was routed to has it, each in its own way:
//! the weakest of them decides.

use futures_util::future::join_all;
use vodbridge_core::{Answer, Durability, Provenance, Survives, Topic, Unavailable};

use crate::management::{Api, Seen};
use crate::publisher::unroutable;
use crate::topology::{BINDING, Found};
use crate::{Config, QueueKind, pattern};

/// What a queue is, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `members` is `None` when it is not known.
    Quorum {
        members: Option<usize>,
    },
    Stream {
        members: usize,
    },
    Classic {
        durable: bool,
        flushed: Option<bool>,
    },
    Unknown,
}

const USE_QUORUM: &str = "publish to a quorum queue (x-queue-type=quorum), in place of this one";
const GROW: &str = "rabbitmq-queues grow NODE all, until the queue has three members";
const DURABLE: &str = "make the queue durable";

/// The rows of the matrix.
///
/// Quorum: RabbitMQ, "Quorum Queues", section "Data Safety": a confirm comes when a majority has
/// written *and flushed* it. Streams: "Streams", "Data Safety": no explicit flush. Classic, durable
/// with persistent messages: flushed before the confirm up to 3.12 (`rabbit_msg_store.erl` calls
/// `file_handle_cache:sync`), unless the queue is stored in version 2, which there is from 3.10 on;
/// since 3.13 "the message store no longer fsyncs; it only flushes data" (the same file), whatever
/// "Publisher Confirms" says.
pub(crate) fn survives(kind: Kind, by: Provenance) -> Durability {
    let (yes, no) = (|| Answer::yes(by), |remedy: &'static str| Answer::no(by, remedy));
    let unknown = || Answer::unknown(Provenance::NotVisible);
    match kind {
        Kind::Quorum { members: Some(members) } => Durability {
            process: yes(),
            machine: yes(),
            // Two keep an event and lose the majority with either of them.
            node: if members >= 3 { yes() } else { no(GROW) },
            all: yes(),
        },
        Kind::Quorum { members: None } => {
            Durability { process: yes(), machine: yes(), node: unknown(), all: yes() }
        }
        Kind::Stream { members } => {
            let replicated = || if members >= 3 { yes() } else { no(USE_QUORUM) };
            let all = no(USE_QUORUM);
            Durability { process: yes(), machine: replicated(), node: replicated(), all }
        }
        Kind::Classic { durable: false, .. } => Durability {
            process: no(DURABLE),
            machine: no(DURABLE),
            node: no(USE_QUORUM),
            all: no(DURABLE),
        },
        Kind::Classic { durable: true, flushed } => {
            let power = || match flushed {
                Some(true) => yes(),
                Some(false) => no(USE_QUORUM),
                None => unknown(),
            };
            Durability { process: yes(), machine: power(), node: no(USE_QUORUM), all: power() }
        }
        Kind::Unknown => {
            Durability { process: unknown(), machine: unknown(), node: unknown(), all: unknown() }
        }
    }
}

/// What a confirm survives on each topic, read where it can be read.
pub(crate) async fn of(
    config: &Config,
    found: &Found,
    management: Option<&Api>,
    topics: &[Topic],
) -> Vec<Result<Durability, Unavailable>> {
    let one = |topic| async move {
        match (management, &found.seen) {
            (Some(management), Some(seen)) => told(config, management, seen, topic).await,
            (Some(_) | None, _) => Ok(untold(found, topic)),
        }
    };
    join_all(topics.iter().map(one)).await
}

/// By the management API.
async fn told(
    config: &Config,
    management: &Api,
    seen: &Seen,
    topic: &Topic,
) -> Result<Durability, Unavailable> {
    let kinds = management.queues(seen, topic).await;
    let all = kinds.into_iter().map(|kind| survives(kind, Provenance::Monitoring));
    all.reduce(worse).ok_or_else(|| unroutable(config, topic.as_str()))
}

/// Without it: our own queue, if the broker has agreed to what it is and the topic leads there.
fn untold(found: &Found, topic: &Topic) -> Durability {
    // For another topic another queue decides, and of that one nothing is known.
    let ours = found.queue.filter(|_| pattern::matches(BINDING, topic.as_str()));
    match ours {
        Some(QueueKind::Quorum) => survives(Kind::Quorum { members: None }, Provenance::Broker),
        Some(QueueKind::Classic) => {
            survives(Kind::Classic { durable: true, flushed: None }, Provenance::Broker)
        }
        None => survives(Kind::Unknown, Provenance::NotVisible),
    }
}

/// The worse answer to each fault: a no before what is unknown, and that before a yes.
fn worse(a: Durability, b: Durability) -> Durability {
    let rank = |answer: &Answer| match answer.survives {
        Survives::No => 0,
        Survives::Unknown => 1,
        Survives::Yes => 2,
    };
    let worse = |a: Answer, b: Answer| if rank(&b) < rank(&a) { b } else { a };
    Durability {
        process: worse(a.process, b.process),
        machine: worse(a.machine, b.machine),
        node: worse(a.node, b.node),
        all: worse(a.all, b.all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix() {
        use Survives::{No, Unknown, Yes};
        let classic = |flushed| Kind::Classic { durable: true, flushed };
        for (kind, expected) in [
            (Kind::Quorum { members: Some(3) }, [Yes, Yes, Yes, Yes]),
            (Kind::Quorum { members: Some(1) }, [Yes, Yes, No, Yes]),
            (Kind::Quorum { members: Some(2) }, [Yes, Yes, No, Yes]),
            (Kind::Quorum { members: None }, [Yes, Yes, Unknown, Yes]),
            (Kind::Stream { members: 3 }, [Yes, Yes, Yes, No]),
            (Kind::Stream { members: 1 }, [Yes, No, No, No]),
            (classic(Some(true)), [Yes, Yes, No, Yes]),
            (classic(Some(false)), [Yes, No, No, No]),
            (classic(None), [Yes, Unknown, No, Unknown]),
            (Kind::Classic { durable: false, flushed: Some(true) }, [No, No, No, No]),
            (Kind::Unknown, [Unknown, Unknown, Unknown, Unknown]),
        ] {
            let durability = survives(kind, Provenance::Monitoring);
            assert_eq!(durability.answers().map(|(_, a)| a.survives), expected, "{kind:?}");
            for (fault, answer) in durability.answers() {
                let has_remedy = answer.remedy.is_some();
                assert_eq!(has_remedy, answer.survives == No, "{kind:?} {fault:?}");
            }
        }
    }

    #[test]
    fn our_queue_answers_only_for_topics_that_lead_there() {
        use Survives::{Unknown, Yes};
        let found = Found { queue: Some(QueueKind::Quorum), seen: None };
        for (topic, expected) in [
            ("vod.X", [Yes, Yes, Unknown, Yes]),
            ("media.X", [Unknown; 4]),
            ("vodka.X", [Unknown; 4]),
        ] {
            let durability = untold(&found, &Topic::new(topic).unwrap());
            assert_eq!(durability.answers().map(|(_, a)| a.survives), expected, "{topic}");
        }
        let elsewhere = untold(&found, &Topic::new("media.X").unwrap());
        assert_eq!(elsewhere.process.provenance, Provenance::NotVisible);
    }

    #[test]
    fn the_weakest_queue_decides_each_answer() {
        let quorum = survives(Kind::Quorum { members: Some(3) }, Provenance::Monitoring);
        let classic =
            survives(Kind::Classic { durable: true, flushed: Some(false) }, Provenance::Monitoring);
        let both = worse(quorum, classic.clone());
        assert_eq!(both, classic);
    }
}
