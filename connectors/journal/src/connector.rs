use std::path::Path;
use std::time::SystemTime;

use async_trait::async_trait;
use vodbridge_core::{
    Answer, Durability, Event, Provenance, PublishError, Timestamp, Topic, Unavailable,
};

use crate::store::{AppendError, State, Store, Table};

/// A table of the journal as a connector.
#[derive(Clone, Debug)]
pub struct Connector {
    store: Store,
    table: Table,
}

impl Connector {
    /// Publishes into one table of the store; topics need nothing to exist.
    pub fn new(store: Store, table: Table) -> Self {
        Self { store, table }
    }
}

/// What a commit in a directory survives.
pub fn durability(path: &Path) -> Durability {
    let all = if in_memory(path) {
        Answer::no(Provenance::Assumed, "put journal.path on a disk; it is in memory")
    } else {
        // That a disk keeps what it has flushed cannot be seen from here.
        Answer::yes(Provenance::Assumed)
    };
    Durability {
        process: Answer::yes(Provenance::Broker),
        machine: all.clone(),
        node: Answer::no(
            Provenance::Assumed,
            "use a volume that outlives the node, or a broker that replicates",
        ),
        all,
    }
}

#[async_trait]
impl vodbridge_core::Connector for Connector {
    async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        let now = Timestamp::from(SystemTime::now());
        match self.store.append(self.table, event, topic, now).await {
            Ok(_) => Ok(()),
            Err(why @ AppendError::TooLarge { .. }) => Err(PublishError::Refused(why.into())),
            Err(why) => Err(unavailable(why).into()),
        }
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        match self.store.state() {
            State::Trouble(why @ AppendError::Closed) => Err(unavailable(why)),
            // What was full may have room again; the next append tells.
            State::Writable | State::Trouble(_) => {
                Ok(topics.iter().map(|_| Ok(durability(self.store.path()))).collect())
            }
        }
    }

    /// Nothing is held back here; the store is closed by whoever opened it.
    async fn close(&self) {}
}

fn unavailable(why: AppendError) -> Unavailable {
    let advice = match &why {
        AppendError::Full { .. } => {
            "raise journal.size_max, or set max_age or `keep: newest` on the journal connector"
        }
        AppendError::DiskFull => "free the disk of journal.path",
        AppendError::WalFull { .. } => "end the process that has been reading the journal",
        AppendError::Failed(_) => "check the disk of journal.path",
        AppendError::TooLarge { .. } | AppendError::Closed => "",
    };
    let unavailable = Unavailable::outage("the journal takes nothing").caused_by(why);
    if advice.is_empty() { unavailable } else { unavailable.advise(advice) }
}

/// Whether a directory lies in a file system that no disk is behind.
fn in_memory(path: &Path) -> bool {
    /// `TMPFS_MAGIC` and `RAMFS_MAGIC` of statfs(2).
    const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
    rustix::fs::statfs(path).is_ok_and(|f| IN_MEMORY.contains(&f.f_type.cast_unsigned()))
}
