//! The two ways in.

mod answer;
pub mod callback;
pub mod pull;
pub mod spool;

use vodbridge_vod::catalogue;

pub use answer::{Answer, Id};

/// The place of an event type among the labels of the metrics: the catalogue's, then `other`.
pub(crate) fn type_index(entry: Option<&'static catalogue::Entry>) -> usize {
    entry.map_or(catalogue::ENTRIES.len(), catalogue::Entry::index)
}

/// The values of the label `event_type`, in the order in which an intake counts them.
pub fn event_types() -> Vec<&'static str> {
    let known = catalogue::ENTRIES.iter().map(catalogue::Entry::event_type);
    known.chain(["other"]).collect()
}
