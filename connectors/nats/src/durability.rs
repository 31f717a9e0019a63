//! What a PubAck survives: the facts about a stream, and the table that turns them into answers.

use std::borrow::Cow;
use std::time::Duration;

use async_nats::jetstream::stream::{Info, PersistenceMode, StorageType};
use vodbridge_core::{Answer, Durability, Provenance};

/// What the answers hang on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) kept: Kept,
    /// Replicas that the stream is to have.
    pub(crate) replicas: usize,
    /// Those of them, the leader included, that have everything at the moment.
    pub(crate) current: usize,
    pub(crate) sync: Sync,
}

/// How a message lies with each replica when it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Not at all: no consumer wants it.
    Nowhere,
    Memory,
    /// On its way to a file.
    AsyncFile,
    /// Handed to the file system.
    File,
}

/// When a server flushes its files to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before it acknowledges.
    Always(Provenance),
    /// Every so often; two minutes unless configured.
    Every(Duration, Provenance),
    /// Its monitoring does not tell.
    Unknown,
}

/// nats.docs, "Syncing data to disk": "the default setting is 2 minutes".
pub(crate) const SYNC_INTERVAL_DEFAULT: Duration = Duration::from_secs(120);

/// The tag by which the documentation of NATS marks servers that flush before they acknowledge.
const SYNC_ALWAYS_TAG: &str = "sync:always";

const ALWAYS: &str = "set `jetstream { sync_interval: always }` in the server's configuration";

// === impl Facts ===

impl Facts {
    /// The facts as STREAM.INFO has them. `sync` is what the server's monitoring says, if it was
    /// asked.
    pub(crate) fn of(info: &Info, is_wanted: bool, sync: Option<Sync>) -> Self {
        let config = &info.config;
        let kept = match config.storage {
            _ if !is_wanted => Kept::Nowhere,
            StorageType::Memory => Kept::Memory,
            StorageType::File if config.persist_mode == Some(PersistenceMode::Async) => {
                Kept::AsyncFile
            }
            StorageType::File => Kept::File,
        };
        let followers = info.cluster.iter().flat_map(|cluster| &cluster.replicas);
        let current = 1 + followers.filter(|peer| peer.current && !peer.offline).count();
        let tagged = || {
            let placement = config.placement.iter();
            placement.flat_map(|placement| &placement.tags).any(|tag| tag == SYNC_ALWAYS_TAG)
        };
        let assumed = || {
            if tagged() {
                Sync::Always(Provenance::Assumed)
            } else {
                Sync::Every(SYNC_INTERVAL_DEFAULT, Provenance::Assumed)
            }
        };
        Self { kept, replicas: config.num_replicas, current, sync: sync.unwrap_or_else(assumed) }
    }
}

/// The table.
///
/// | stream | process | machine | node | all |
/// | --- | --- | --- | --- | --- |
/// | interest, no consumer | no | no | no | no |
/// | memory, 1 replica | no | no | no | no |
/// | memory, more | yes | yes | yes | no |
/// | file, `persist_mode: async` | no | no | no | no |
/// | file, 1 replica, default sync | yes | no | no | no |
/// | file, 1 replica, `sync_interval: always` | yes | yes | no | yes |
/// | file, 3 replicas, default sync | yes | yes | yes | no |
/// | file, 3 replicas, `sync_interval: always` | yes | yes | yes | yes |
///
/// A stream with replicas acknowledges once a majority has the message, so two machines do; one
/// crash of an operating system together with pauses or partitions can lose it all the same
/// (nats-server issue 7567), which no table can show.
pub(crate) fn of(stream: &str, facts: &Facts) -> Durability {
    let no = |remedy: String| Answer::no(Provenance::Broker, remedy);
    let nothing = |remedy: String| Durability {
        process: no(remedy.clone()),
        machine: no(remedy.clone()),
        node: no(remedy.clone()),
        all: no(remedy),
    };
    let yes = Answer::yes(Provenance::Broker);
    // An acknowledgement is by a majority of those that are to be: of two by both, of three by two.
    let elsewhere = facts.replicas > 1 && facts.current > 1;
    let replicate: Cow<'static, str> = if facts.replicas > 1 {
        format!("bring the other servers of {stream} back: nats stream info {stream}").into()
    } else {
        format!("nats stream edit {stream} --replicas 3 (on three servers)").into()
    };
    let node =
        if elsewhere { yes.clone() } else { Answer::no(Provenance::Broker, replicate.clone()) };
    match facts.kept {
        Kept::Nowhere => nothing(format!("nats consumer add {stream}")),
        Kept::AsyncFile => nothing(format!("make {stream} anew without persist_mode async")),
        Kept::Memory if elsewhere => Durability {
            process: yes.clone(),
            machine: yes,
            node,
            all: no(format!("make {stream} anew with --storage file")),
        },
        Kept::Memory => nothing(format!("make {stream} anew with --storage file")),
        Kept::File => {
            let flushed = match facts.sync {
                Sync::Always(by) => Answer::yes(by),
                Sync::Every(_, by) => Answer::no(by, ALWAYS),
                Sync::Unknown => Answer::unknown(Provenance::NotVisible),
            };
            let machine = if elsewhere { yes.clone() } else { flushed.clone() };
            Durability { process: yes, machine, node, all: flushed }
        }
    }
}

#[cfg(test)]
mod tests {
    use vodbridge_core::Survives::{No, Unknown, Yes};

    use super::*;

    #[test]
    fn each_row_of_the_table() {
        let always = Sync::Always(Provenance::Monitoring);
        let default = Sync::Every(SYNC_INTERVAL_DEFAULT, Provenance::Assumed);
        for (kept, replicas, sync, answers) in [
            (Kept::Nowhere, 3, always, [No, No, No, No]),
            (Kept::Memory, 1, always, [No, No, No, No]),
            (Kept::Memory, 3, always, [Yes, Yes, Yes, No]),
            (Kept::AsyncFile, 1, always, [No, No, No, No]),
            (Kept::File, 1, default, [Yes, No, No, No]),
            (Kept::File, 1, Sync::Unknown, [Yes, Unknown, No, Unknown]),
            (Kept::File, 1, always, [Yes, Yes, No, Yes]),
            (Kept::File, 3, default, [Yes, Yes, Yes, No]),
            (Kept::File, 3, Sync::Unknown, [Yes, Yes, Yes, Unknown]),
            (Kept::File, 3, always, [Yes, Yes, Yes, Yes]),
        ] {
            let facts = Facts { kept, replicas, current: replicas, sync };
            let survives = of("VOD", &facts).answers().map(|(_, answer)| answer.survives);
            assert_eq!(survives, answers, "{facts:?}");
        }
    }

    #[test]
    fn a_no_says_what_would_make_it_a_yes() {
        let sync = Sync::Every(SYNC_INTERVAL_DEFAULT, Provenance::Assumed);
        let facts = Facts { kept: Kept::File, replicas: 1, current: 1, sync };
        let durability = of("VOD", &facts);
        for (fault, answer) in durability.answers() {
            assert_eq!(answer.remedy.is_some(), answer.survives == No, "{fault:?}");
        }
        assert_eq!(durability.machine.provenance, Provenance::Assumed);
        assert_eq!(durability.node.provenance, Provenance::Broker);
    }

    #[test]
    fn replicas_that_are_away_survive_nothing() {
        let sync = Sync::Every(SYNC_INTERVAL_DEFAULT, Provenance::Assumed);
        let facts = Facts { kept: Kept::File, replicas: 3, current: 1, sync };
        let durability = of("VOD", &facts);
        assert_eq!(durability.node.survives, No);
        assert_eq!(durability.machine.survives, No);
    }
}
