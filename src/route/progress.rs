/// The most connectors that one bridge may have: a leg is one bit of a [`Progress`].
pub const CONNECTORS_MAX: usize = 64;

/// Which legs of an event are done: what a later delivery of the same event need not do again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    acknowledged: u64,
    lettered: u64,
}

impl Progress {
    /// Whether nothing is done yet.
    pub fn is_empty(self) -> bool {
        self.acknowledged | self.lettered == 0
    }

    /// Whether the leg of this connector has the event.
    pub fn is_acknowledged(self, connector: usize) -> bool {
        self.acknowledged & bit(connector) != 0
    }

    /// Whether the leg of this connector refused the event and its dead letter is acknowledged.
    pub fn is_lettered(self, connector: usize) -> bool {
        self.lettered & bit(connector) != 0
    }

    /// What is done in either.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged | other.acknowledged,
            lettered: self.lettered | other.lettered,
        }
    }

    pub(crate) fn acknowledge(&mut self, connector: usize) {
        self.acknowledged |= bit(connector);
    }

    pub(crate) fn letter(&mut self, connector: usize) {
        self.lettered |= bit(connector);
    }
}

fn bit(connector: usize) -> u64 {
    debug_assert!(connector < CONNECTORS_MAX, "configuration allows no more connectors");
    1 << connector
}
