//! What an acknowledgement with `acks=all` survives, by what the topic is like.

use vodbridge_core::{Answer, Durability, Provenance, Survives};

/// What the brokers say about one topic; of several partitions the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replicas {
    /// Copies there should be.
    pub(crate) assigned: usize,
    /// Copies that are in sync now.
    pub(crate) in_sync: usize,
}

/// The topic's settings that matter, the brokers' defaults resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    /// `min.insync.replicas`
    pub(crate) min_in_sync: usize,
    /// `unclean.leader.election.enable`
    pub(crate) unclean_election: bool,
    /// `flush.messages` is 1.
    pub(crate) flushes_each: bool,
    /// `write.caching` of Redpanda: acknowledged before it is written.
    pub(crate) write_caching: bool,
    /// `cleanup.policy` is `compact` and nothing else.
    pub(crate) only_compacts: bool,
}

/// A row of the table: the first whose condition is true.
struct Row {
    holds: fn(Replicas, &TopicSettings) -> bool,
    process: Word,
    machine: Word,
    node: Word,
    all: Word,
}

#[derive(Clone, Copy)]
enum Word {
    Yes,
    /// With the setting that would make it a yes.
    No(&'static str),
    /// The same.
    Unknown(&'static str),
}

use Word::{No, Unknown, Yes};

const WRITE_CACHING: &str = "set write.caching=false on the topic";
const REPLICATE: &str = "give the topic 3 replicas and min.insync.replicas=2";
const MIN_IN_SYNC: &str = "set min.insync.replicas=2 on the topic";
const UNCLEAN: &str = "set unclean.leader.election.enable=false on the topic";
const FLUSH: &str = "set flush.messages=1 on the topic, at the price of one flush a record";

/// Kafka writes to the file system and leaves flushing to the kernel (documentation, "Application
/// vs. OS Flush Management"): a killed process loses nothing, a machine without power what it had
/// not flushed. Records that were acknowledged by all of the *current* in-sync replicas are lost
/// with the last of these ("Availability and Durability Guarantees"), so that what counts is how
/// few they may have been: `min.insync.replicas`.
const TABLE: &[Row] = &[
    Row {
        holds: |_, topic| topic.write_caching,
        process: No(WRITE_CACHING),
        machine: No(WRITE_CACHING),
        node: No(WRITE_CACHING),
        all: No(WRITE_CACHING),
    },
    Row {
        holds: |replicas, topic| replicas.assigned < 2 && topic.flushes_each,
        process: Yes,
        machine: Yes,
        node: No(REPLICATE),
        all: Yes,
    },
    Row {
        holds: |replicas, _| replicas.assigned < 2,
        process: Yes,
        machine: No(REPLICATE),
        node: No(REPLICATE),
        all: No(FLUSH),
    },
    // The leader is alone: the next acknowledgement is its own.
    Row {
        holds: |replicas, topic| topic.min_in_sync < 2 && replicas.in_sync < 2,
        process: Yes,
        machine: No(MIN_IN_SYNC),
        node: No(MIN_IN_SYNC),
        all: No(FLUSH),
    },
    // It is not alone now, and nothing keeps it from being alone when the next event comes.
    Row {
        holds: |_, topic| topic.min_in_sync < 2,
        process: Yes,
        machine: Unknown(MIN_IN_SYNC),
        node: Unknown(MIN_IN_SYNC),
        all: No(FLUSH),
    },
    Row {
        holds: |_, topic| topic.unclean_election,
        process: Yes,
        machine: Unknown(UNCLEAN),
        node: Unknown(UNCLEAN),
        all: No(FLUSH),
    },
    Row { holds: |_, topic| topic.flushes_each, process: Yes, machine: Yes, node: Yes, all: Yes },
    Row { holds: |_, _| true, process: Yes, machine: Yes, node: Yes, all: No(FLUSH) },
];

/// The four answers; `settings` is `None` when this user may not read them.
pub(crate) fn answers(replicas: Replicas, settings: Option<&TopicSettings>) -> Durability {
    let Some(settings) = settings else { return unseen(replicas) };
    let row = TABLE.iter().find(|row| (row.holds)(replicas, settings));
    let row = row.expect("the last row always holds");
    Durability {
        // How Kafka treats its files is documented, not told.
        process: answer(row.process, Provenance::Assumed),
        machine: answer(row.machine, Provenance::Broker),
        node: answer(row.node, Provenance::Broker),
        all: answer(row.all, Provenance::Broker),
    }
}

/// Only the replicas are known.
fn unseen(replicas: Replicas) -> Durability {
    let hidden = || {
        let mut answer = Answer::unknown(Provenance::NotVisible);
        answer.remedy = Some("permit DescribeConfigs on the topic to this user".into());
        answer
    };
    let node =
        if replicas.assigned < 2 { Answer::no(Provenance::Broker, REPLICATE) } else { hidden() };
    Durability { process: Answer::yes(Provenance::Assumed), machine: hidden(), node, all: hidden() }
}

fn answer(word: Word, provenance: Provenance) -> Answer {
    let (survives, remedy) = match word {
        Yes => (Survives::Yes, None),
        No(remedy) => (Survives::No, Some(remedy)),
        Unknown(remedy) => (Survives::Unknown, Some(remedy)),
    };
    Answer { survives, provenance, remedy: remedy.map(Into::into) }
}

// === impl TopicSettings ===

impl TopicSettings {
    /// From a topic's configuration; `get` looks one entry up. `None` if it does not say what
    /// every Kafka says.
    pub(crate) fn read<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let policy = get("cleanup.policy")?;
        Some(Self {
            min_in_sync: get("min.insync.replicas")?.parse().ok()?,
            unclean_election: get("unclean.leader.election.enable") == Some("true"),
            flushes_each: get("flush.messages") == Some("1"),
            write_caching: get("write.caching") == Some("true"),
            only_compacts: policy.contains("compact") && !policy.contains("delete"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: TopicSettings = TopicSettings {
        min_in_sync: 1,
        unclean_election: false,
        flushes_each: false,
        write_caching: false,
        only_compacts: false,
    };

    fn check(assigned: usize, in_sync: usize, settings: Option<&TopicSettings>, expected: &str) {
        let durability = answers(Replicas { assigned, in_sync }, settings);
        let words = durability.answers().map(|(_, answer)| match answer.survives {
            Survives::Yes => 'y',
            Survives::No => 'n',
            Survives::Unknown => '?',
        });
        assert_eq!(words.iter().collect::<String>(), expected, "{assigned} {in_sync} {settings:?}");
        for (_, answer) in durability.answers() {
            assert_eq!(answer.remedy.is_none(), answer.survives == Survives::Yes);
        }
    }

    #[test]
    fn every_row_answers_for_process_machine_node_and_all() {
        let min_two = TopicSettings { min_in_sync: 2, ..PLAIN };
        check(1, 1, Some(&PLAIN), "ynnn");
        check(1, 1, Some(&TopicSettings { flushes_each: true, ..PLAIN }), "yyny");
        check(3, 3, Some(&PLAIN), "y??n");
        check(3, 1, Some(&PLAIN), "ynnn");
        check(3, 3, Some(&min_two), "yyyn");
        check(3, 2, Some(&min_two), "yyyn");
        check(3, 3, Some(&TopicSettings { unclean_election: true, ..min_two.clone() }), "y??n");
        check(3, 3, Some(&TopicSettings { flushes_each: true, ..min_two.clone() }), "yyyy");
        check(3, 3, Some(&TopicSettings { write_caching: true, ..min_two }), "nnnn");
        check(1, 1, None, "y?n?");
        check(3, 3, None, "y???");
    }

    #[test]
    fn settings_are_read_as_kafka_writes_them() {
        let entries = [("cleanup.policy", "compact,delete"), ("min.insync.replicas", "2")];
        let get = |name: &str| entries.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        assert_eq!(TopicSettings::read(get), Some(TopicSettings { min_in_sync: 2, ..PLAIN }));
        let entries = [("cleanup.policy", "compact"), ("min.insync.replicas", "1")];
        let get = |name: &str| entries.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        assert!(TopicSettings::read(get).unwrap().only_compacts);
        assert_eq!(TopicSettings::read(|_| None), None);
    }
}
