use vodbridge_core::Timestamp;

use super::row::Kept;

/// Which records a listing wants; what is not set admits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The event's type as VOD names it (`vodeventtype`): one of these, any if empty.
    pub event_types: Vec<String>,
    /// The application (`vodapplication`).
    pub application: Option<String>,
    /// The file (`vodfileid`).
    pub file: Option<String>,
    /// The task (`vodtaskid`).
    pub task: Option<String>,
    /// The event's `id`.
    pub id: Option<String>,
    /// Received at this moment or later.
    pub since: Option<Timestamp>,
    /// Received before this moment.
    pub until: Option<Timestamp>,
}

// === impl Filter ===

impl Filter {
    pub(crate) fn admits(&self, row: &Kept<'_>) -> bool {
        let [event_type, application, file, task] = row.columns;
        (self.event_types.is_empty()
            || event_type.is_some_and(|found| self.event_types.iter().any(|t| t == found)))
            && same(self.application.as_deref(), application)
            && same(self.file.as_deref(), file)
            && same(self.task.as_deref(), task)
            && same(self.id.as_deref(), Some(row.id))
            && self.since.is_none_or(|since| row.time >= since)
            && self.until.is_none_or(|until| row.time < until)
    }
}

fn same(wanted: Option<&str>, found: Option<&str>) -> bool {
    wanted.is_none() || wanted == found
}
