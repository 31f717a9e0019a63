use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::Report;
use super::tree::Path;
use super::{Size, duration};

/// The embedded journal's store on this machine's disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// The directory it lies in; made if it is missing.
    pub path: PathBuf,
    /// How large it may become. At least 16MiB.
    pub size_max: Size,
    /// How large its write-ahead log may become before it takes nothing more for a while. At
    /// least 1MiB; the largest event is half of it, or of `size_max` if that is less.
    pub wal_max: Size,
    /// What is kept of events that were delivered, to find them and send them again.
    pub history: History,
}

/// What the journal keeps of events that connectors other than the journal have acknowledged. It
/// takes a quarter of `size_max` at the most, and makes room for whatever else needs it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct History {
    /// How many events are kept; the oldest go first. 0: none.
    pub events: usize,
    /// Whether their payloads are kept as well. Without them events can be found, but not sent
    /// again.
    pub payloads: bool,
}

/// What is remembered of events that were delivered, to recognize those that come again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Duplicates {
    /// How long an event is remembered.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub window: Duration,
    /// How many events are remembered; the oldest are forgotten first.
    pub entries_max: NonZeroUsize,
}

const SIZE_MAX_LEAST: Size = Size::mebibytes(16);
const WAL_MAX_LEAST: Size = Size::mebibytes(1);
const ENTRIES_MAX_MOST: usize = 10_000_000;
const HISTORY_EVENTS_MOST: usize = 10_000_000;

impl Default for Journal {
    fn default() -> Self {
        Self {
            path: PathBuf::from("./vodbridge-data"),
            size_max: Size::mebibytes(1024),
            wal_max: Size::mebibytes(64),
            history: History::default(),
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self { events: 100_000, payloads: true }
    }
}

impl Default for Duplicates {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10 * 60),
            entries_max: NonZeroUsize::new(200_000).expect("not zero"),
        }
    }
}

// === impl Journal ===

impl Journal {
    /// The largest body that the journal can keep: half of what its data or its log may take,
    /// less what an event has beside its body.
    pub(super) fn body_max(&self) -> Size {
        let largest = self.size_max.min(self.wal_max).half();
        largest.less(Size::kibibytes(64))
    }
}

// === checks ===

impl Journal {
    pub(super) fn check(&self, at: &Path, report: &mut Report<'_>) {
        let path = &self.path;
        report.expect(!path.as_os_str().is_empty(), &at.join("path"), "expected a directory");
        report.expect(
            self.size_max >= SIZE_MAX_LEAST,
            &at.join("size_max"),
            format!("found {}, expected at least {SIZE_MAX_LEAST}", self.size_max),
        );
        report.expect(
            self.wal_max >= WAL_MAX_LEAST,
            &at.join("wal_max"),
            format!("found {}, expected at least {WAL_MAX_LEAST}", self.wal_max),
        );
        let events = self.history.events;
        report.expect(
            events <= HISTORY_EVENTS_MOST,
            &at.join("history").join("events"),
            format!("found {events}, expected at most {HISTORY_EVENTS_MOST}"),
        );
    }
}

impl Duplicates {
    pub(super) fn check(&self, at: &Path, report: &mut Report<'_>) {
        duration::check(self.window, duration::DAY, &at.join("window"), report);
        report.expect(
            self.entries_max.get() <= ENTRIES_MAX_MOST,
            &at.join("entries_max"),
            format!("found {}, expected at most {ENTRIES_MAX_MOST}", self.entries_max),
        );
    }
}
