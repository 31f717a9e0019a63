use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use vodbridge_core::{
    Answer, Durability, Event, Provenance, PublishError, Timestamp, Topic, Unavailable,
};

use crate::filesystem::Filesystem;
use crate::store::PAGE_BYTES;
use crate::{AppendError, Keep, Retention, State, Store, Table};

/// The journal as a target of routes ([`Table::Events`]), or as the letter box
/// ([`Table::DeadLetters`]). The store is closed by whoever opened it.
#[derive(Debug)]
pub struct Connector {
    store: Store,
    table: Table,
    closed: AtomicBool,
    filesystem: Filesystem,
}

// === impl Connector ===

impl Connector {
    /// A connector over one table.
    ///
    /// `keep` and `max_age` become the retention of the store's events; for
    /// [`Table::DeadLetters`], which are never removed, they say nothing.
    pub fn new(store: Store, table: Table, keep: Keep, max_age: Option<Duration>) -> Self {
        if table == Table::Events {
            store.retain(Retention { keep, max_age });
        }
        let filesystem = Filesystem::of(store.path());
        Self { store, table, closed: AtomicBool::new(false), filesystem }
    }

    /// What keeps every event from being taken, whatever its topic.
    fn obstacle(&self) -> Option<AppendError> {
        if self.closed.load(Ordering::Relaxed) {
            return Some(AppendError::Closed);
        }
        if let State::Unwritable(error) = self.store.state() {
            return Some(error);
        }
        let usage = self.store.usage();
        let limit_bytes = usage.share_max_bytes;
        // Less than a page is room for hardly any event.
        let is_full = usage.events.bytes + usage.dead_letters.bytes + PAGE_BYTES > limit_bytes;
        let stays_full = self.store.keep() == Keep::All;
        (is_full && stays_full).then_some(AppendError::ShareFull { table: self.table, limit_bytes })
    }
}

#[async_trait]
impl vodbridge_core::Connector for Connector {
    async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Unavailable::from(AppendError::Closed).into());
        }
        let now = Timestamp::from(SystemTime::now());
        match self.store.append(self.table, event, topic, now).await {
            Ok(_) => Ok(()),
            Err(error @ AppendError::TooLarge { .. }) => Err(PublishError::Refused(error.into())),
            Err(error) => Err(Unavailable::from(error).into()),
        }
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        match self.obstacle() {
            Some(error) => Err(error.into()),
            None => Ok(topics.iter().map(|_| Ok(on(self.filesystem))).collect()),
        }
    }

    /// The journal takes any topic.
    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        Ok(topics.iter().map(|_| Ok(())).collect())
    }

    async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// What a synced commit in a directory survives.
pub fn durability(directory: &Path) -> Durability {
    on(Filesystem::of(directory))
}

/// Whether what lies in a directory is gone with the container that it is seen from, as far as can
/// be told: it lies in memory, or in the container's own layer.
pub fn dies_with_its_container(directory: &Path) -> bool {
    matches!(Filesystem::of(directory), Filesystem::Memory | Filesystem::Layer)
}

/// That the disk obeys a flush is assumed.
fn on(filesystem: Filesystem) -> Durability {
    let power = match filesystem {
        Filesystem::Disk | Filesystem::Layer => Answer::yes(Provenance::Assumed),
        Filesystem::Memory => Answer::no(
            Provenance::Assumed,
            "set journal.path to a directory on a disk; this one lies in memory",
        ),
        Filesystem::Network | Filesystem::Unknown => Answer::unknown(Provenance::NotVisible),
    };
    Durability {
        process: Answer::yes(Provenance::Assumed),
        machine: power.clone(),
        node: Answer::no(
            Provenance::Assumed,
            "send the route to a broker with replicas as well; the journal is on one disk",
        ),
        all: power,
    }
}
