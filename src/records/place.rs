use std::fmt;
use std::str::FromStr;

use vodbridge_journal::{Record, Seq, Table};

/// What a listing is of; several tables are one listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// What the journal connector took and what other connectors acknowledged.
    Events,
    /// The dead letters.
    DeadLetters,
}

/// The number of a row in a listing: `12`, or `h12` in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    is_history: bool,
    number: u64,
}

// === impl Of ===

impl Of {
    pub(crate) fn tables(self) -> &'static [Table] {
        match self {
            Self::Events => &[Table::Events, Table::History],
            Self::DeadLetters => &[Table::DeadLetters],
        }
    }
}

// === impl Place ===

impl Place {
    pub(crate) fn of(record: &Record) -> Self {
        Self { is_history: record.table == Table::History, number: record.seq.get() }
    }

    /// Where that is; nothing if this listing has no such rows.
    pub(crate) fn row(self, of: Of) -> Option<(Table, Seq)> {
        let table = match (of, self.is_history) {
            (Of::Events, false) => Table::Events,
            (Of::Events, true) => Table::History,
            (Of::DeadLetters, false) => Table::DeadLetters,
            (Of::DeadLetters, true) => return None,
        };
        Some((table, Seq::new(self.number)))
    }
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix('h');
        let number = digits.unwrap_or(text).parse();
        let number = number.map_err(|_| "expected a number of the listing, such as 12 or h12")?;
        Ok(Self { is_history: digits.is_some(), number })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.is_history { "h" } else { "" };
        f.pad(&format!("{prefix}{}", self.number))
    }
}
