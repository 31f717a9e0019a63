use std::fmt;

/// What the journal keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// What routes sent to the journal connector.
    Events,
    /// What nobody took, each with its reason.
    DeadLetters,
    /// What came in and is not settled.
    Spool,
    /// What was delivered elsewhere, the last of it.
    History,
}

/// A row's number in its table: ascending in the order of arrival, never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub(crate) i64);

// === impl Table ===

impl Table {
    /// Every table, in the order of their counters.
    pub const ALL: [Self; 4] = [Self::Events, Self::DeadLetters, Self::Spool, Self::History];

    /// The name in the file, in metrics and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::DeadLetters => "dead_letters",
            Self::Spool => "spool",
            Self::History => "history",
        }
    }

    /// The number under which its counters are kept. Written in files: never given to another.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Events => 1,
            Self::DeadLetters => 2,
            Self::Spool => 3,
            Self::History => 4,
        }
    }

    /// Its place in [`Table::ALL`].
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Events => 0,
            Self::DeadLetters => 1,
            Self::Spool => 2,
            Self::History => 3,
        }
    }
}

// === impl Seq ===

impl Seq {
    /// The row with this number; what no row can have becomes the largest number.
    pub fn new(number: u64) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.unsigned_abs()
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
