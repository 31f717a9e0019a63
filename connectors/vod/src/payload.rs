use smol_str::{SmolStr, format_smolstr};

use crate::catalogue::{self, Entry};
use crate::content::Format;
use crate::envelope::Member;
use crate::literal;
use crate::no_event::{NoEvent, excerpt, kind};

/// The payload of a message, and the type that goes with it.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) format: Format,
    /// As sent or inferred, without a prefix for the format.
    pub(crate) name: SmolStr,
    pub(crate) entry: Option<&'static Entry>,
    /// The object with its brackets.
    pub(crate) payload: &'a str,
}

/// Finds it: the type's own member, else one of its aliases, else the only object beside the
/// envelope. Without EventType the member's name tells the type.
pub(crate) fn find<'a>(members: &[Member<'a>]) -> Result<Found<'a>, NoEvent> {
    match (text(members, "EventType")?, text(members, "eventType")) {
        (Some(name), _) => by_type(members, name),
        (None, Ok(Some(name))) => legacy(members, name),
        (None, _) => by_member(members),
    }
}

fn by_type<'a>(members: &[Member<'a>], name: SmolStr) -> Result<Found<'a>, NoEvent> {
    let entry = catalogue::find(&name);
    let candidates = candidates(members);
    let own = entry.and_then(|entry| {
        entry.members().find_map(|name| candidates.iter().find(|member| member.name == name))
    });
    let payload = match own {
        Some(own) => own.value,
        None => only(&candidates, &name)?.value,
    };
    let name = entry.map(Entry::event_type).filter(|&known| known == name).map_or(name, Into::into);
    Ok(Found { format: Format::V3, name, entry, payload })
}

fn by_member<'a>(members: &[Member<'a>]) -> Result<Found<'a>, NoEvent> {
    const NO_TYPE: &str = "an event without EventType";
    let candidates = candidates(members);
    let member = only(&candidates, NO_TYPE)?;
    let entry = catalogue::find_by_member(&member.name);
    let name = match entry {
        Some(entry) => SmolStr::new_static(entry.event_type()),
        // Any object has members; only what is called as VOD calls its payloads is one.
        None => match member.name.strip_suffix("Event") {
            Some(name) if !name.is_empty() => name.into(),
            _ if member.name.ends_with("Complete") => member.name.as_ref().into(),
            _ => return Err(NoEvent::NoPayload { event_type: NO_TYPE.into() }),
        },
    };
    Ok(Found { format: Format::V3, name, entry, payload: member.value })
}

fn legacy<'a>(members: &[Member<'a>], name: SmolStr) -> Result<Found<'a>, NoEvent> {
    let data = members.iter().find(|member| member.name == "data" && is_object(member));
    let payload = data.ok_or_else(|| NoEvent::NoPayload { event_type: excerpt(&name) })?.value;
    Ok(Found { format: Format::V2, entry: catalogue::find(&name), name, payload })
}

/// The objects beside the envelope; empty ones only if there is no other.
fn candidates<'m, 'a>(members: &'m [Member<'a>]) -> Vec<&'m Member<'a>> {
    let of_event = |member: &&Member<'a>| {
        is_object(member)
            && !matches!(member.name.as_ref(), "EventHandle" | "EventType" | "Sign" | "T")
    };
    let filled = |member: &&Member<'a>| !member.value[1..member.value.len() - 1].trim().is_empty();
    let objects: Vec<_> = members.iter().filter(of_event).collect();
    if objects.iter().any(filled) { objects.into_iter().filter(filled).collect() } else { objects }
}

fn only<'m, 'a>(
    candidates: &[&'m Member<'a>],
    event_type: &str,
) -> Result<&'m Member<'a>, NoEvent> {
    let event_type = || excerpt(event_type);
    match candidates {
        [] => Err(NoEvent::NoPayload { event_type: event_type() }),
        [member] => Ok(member),
        [first, second, ..] => Err(NoEvent::AmbiguousPayload {
            event_type: event_type(),
            first: excerpt(&first.name),
            second: excerpt(&second.name),
        }),
    }
}

fn is_object(member: &Member<'_>) -> bool {
    member.value.starts_with('{')
}

/// The string member `name`; null and empty are absent.
fn text(members: &[Member<'_>], name: &str) -> Result<Option<SmolStr>, NoEvent> {
    match members.iter().find(|member| member.name == name) {
        Some(Member { value, .. }) if value.starts_with('"') => {
            Ok(literal::scalar(value).map(SmolStr::new))
        }
        Some(Member { value, start, .. }) if *value != "null" => {
            Err(NoEvent::EventType { found: kind(value), at: *start })
        }
        _ => Ok(None),
    }
}

// === impl Found ===

impl Found<'_> {
    /// The type under which the event goes out.
    pub(crate) fn event_type(&self) -> SmolStr {
        match self.format {
            Format::V3 => self.name.clone(),
            Format::V2 => format_smolstr!("v2.{}", self.name),
        }
    }
}
