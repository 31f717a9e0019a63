//! Every event type that VOD documents, in one table.
//!
//! VOD adds types several times a year without notice, so a type that is missing here is normal:
//! it is an event all the same, named by [`IdRule::TaskState`].

mod entries;
mod markdown;

pub use entries::ENTRIES;
pub use markdown::markdown;

/// One event type.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    event_type: &'static str,
    index: usize,
    /// The EventContent member that holds the payload, as the SDK calls it.
    pub member: &'static str,
    /// Other names of that member, seen in the vendor's samples and in real bodies.
    pub aliases: &'static [&'static str],
    /// What the id of an event is made of.
    pub id: IdRule,
    /// Where the files stand in the payload, the first one that is there counts: a dot leads into
    /// an object, `[]` to each element of an array.
    pub files: &'static [&'static str],
    /// Whether the payload has a `TaskId`.
    pub task: bool,
    /// Whether the payload has a `CastId`.
    pub cast: bool,
    /// The parameter of ModifyEventConfig that switches the type on. Such a type is off by
    /// default; one without comes whenever its task is run.
    pub switch: Option<&'static str>,
}

/// What the id of an event is made of, besides its type. A rule that finds a part of the name
/// absent, null or empty gives way to [`IdRule::Content`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdRule {
    /// `TaskId`: there is one final event. While `Status` is none of FINISH, SUCCESS and FAIL,
    /// as [`IdRule::TaskState`].
    Task,
    /// `TaskId`, `Status` and the digest: a task sends several events.
    TaskState,
    /// The members with these names.
    Members(&'static [&'static str]),
    /// The digest: nothing in the payload names the event, and the same may happen again.
    Content,
}

/// The entry of an event type. A type is known with and without `Event` at its end: for four of
/// them the vendor's texts do not settle which one is sent.
pub fn find(event_type: &str) -> Option<&'static Entry> {
    let stem = |name: &'_ str| name.strip_suffix("Event").map_or(name.len(), str::len);
    let wanted = &event_type[..stem(event_type)];
    let exact = ENTRIES.iter().find(|entry| entry.event_type == event_type);
    exact.or_else(|| ENTRIES.iter().find(|e| &e.event_type[..stem(e.event_type)] == wanted))
}

/// The entry whose payload stands in a member of this name.
pub fn find_by_member(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.members().any(|member| member == name))
}

// === impl Entry ===

impl Entry {
    /// The value of `EventType`.
    pub fn event_type(&self) -> &'static str {
        self.event_type
    }

    /// Its place in [`ENTRIES`].
    pub fn index(&self) -> usize {
        self.index
    }

    /// The member's name, then its aliases.
    pub fn members(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.member).chain(self.aliases.iter().copied())
    }

    /// Whether this is ProcedureStateChanged, whose own ErrCode and Message are deprecated.
    pub(crate) fn is_procedure_state(&self) -> bool {
        self.member == "ProcedureStateChangeEvent"
    }

    /// A type with a task and one final event, without files.
    const fn task(event_type: &'static str, member: &'static str) -> Self {
        Self {
            event_type,
            index: 0,
            member,
            aliases: &[],
            id: IdRule::Task,
            files: &[],
            task: true,
            cast: false,
            switch: None,
        }
    }

    /// A type without a task, known by its content.
    const fn taskless(event_type: &'static str, member: &'static str) -> Self {
        Self { id: IdRule::Content, task: false, ..Self::task(event_type, member) }
    }

    const fn aliases(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn files(self, files: &'static [&'static str]) -> Self {
        Self { files, ..self }
    }

    const fn id(self, id: IdRule) -> Self {
        Self { id, ..self }
    }

    const fn cast(self) -> Self {
        Self { cast: true, ..self }
    }

    const fn switch(self, switch: &'static str) -> Self {
        Self { switch: Some(switch), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_entry_is_found_by_its_names_alone() {
        let mut names = HashSet::new();
        for (index, entry) in ENTRIES.iter().enumerate() {
            assert_eq!(entry.index(), index);
            assert_eq!(find(entry.event_type()).map(Entry::index), Some(index));
            for member in entry.members() {
                assert_eq!(find_by_member(member).map(Entry::index), Some(index));
                assert!(names.insert(member), "{member} is the member of two types");
            }
        }
        assert_eq!(ENTRIES.len(), 37);
    }

    #[test]
    fn a_type_is_known_with_and_without_event_at_its_end() {
        for (spelling, event_type) in [
            ("SceneAigcImageCompleteEvent", Some("SceneAigcImageCompleteEvent")),
            ("SceneAigcImageComplete", Some("SceneAigcImageCompleteEvent")),
            ("NewFileUploadEvent", Some("NewFileUpload")),
            ("newFileUpload", None),
            ("Event", None),
            ("", None),
        ] {
            assert_eq!(find(spelling).map(Entry::event_type), event_type, "{spelling}");
        }
    }
}
