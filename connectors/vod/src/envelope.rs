use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::literal;
use crate::nesting;
use crate::no_event::{NoEvent, excerpt, kind};
use crate::scanner::Scanner;

/// The largest message that is read, in bytes. VOD's own messages are capped at 10 MB; who
/// receives them sets a limit of their own below this one.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most members that the top level of a message may have. EventContent has 39.
pub const MEMBERS_MAX: usize = 1024;

/// The members around the payload that concern the delivery and not the event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// `EventHandle`, by which a pulled event is confirmed.
    pub handle: Option<String>,
    /// `Sign` and `T`, if both are there.
    pub signature: Option<Signature>,
}

/// VOD's signature of a callback, see [`sign`](crate::sign).
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// Hex digits of an MD5, if it is what it should be.
    pub sign: String,
    /// When the signature expires, in Unix seconds.
    pub t: i64,
}

/// One member of the message's top level.
pub(crate) struct Member<'a> {
    pub(crate) name: Cow<'a, str>,
    /// The value as written, without white space around it.
    pub(crate) value: &'a str,
    /// The offset of the name's opening quote.
    pub(crate) start: usize,
    /// The offset after the value.
    end: usize,
}

/// The whole EventContent as it came in, without the top-level members EventHandle, Sign and T
/// and their commas. The message itself, uncopied, if it has none of them or is no JSON object.
pub fn without_envelope(message: &Bytes) -> Bytes {
    let Ok(text) = checked(message) else { return message.clone() };
    let Ok(members) = read(text) else { return message.clone() };
    if members.len() > MEMBERS_MAX || !members.iter().any(is_envelope) {
        return message.clone();
    }
    let mut bare = Vec::with_capacity(text.len());
    let (mut copied, mut one_stays) = (0, false);
    for (i, member) in members.iter().enumerate() {
        if !is_envelope(member) {
            one_stays = true;
            continue;
        }
        // Behind a member that stays, the comma in front goes; before the first that stays, the
        // comma behind goes.
        let (from, to) = if one_stays {
            (members[i - 1].end, member.end)
        } else {
            (member.start, members.get(i + 1).map_or(member.end, |next| next.start))
        };
        bare.extend_from_slice(&text.as_bytes()[copied..from]);
        copied = to;
    }
    bare.extend_from_slice(&text.as_bytes()[copied..]);
    Bytes::from(bare)
}

/// The message as text that is safe to parse: of bearable size and nesting, and UTF-8.
pub(crate) fn checked(message: &[u8]) -> Result<&str, NoEvent> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(NoEvent::TooLarge { bytes: message.len() });
    }
    if message.trim_ascii().is_empty() {
        return Err(NoEvent::Empty);
    }
    if message.starts_with(b"\xEF\xBB\xBF") {
        return Err(NoEvent::ByteOrderMark);
    }
    let text = std::str::from_utf8(message)
        .map_err(|source| NoEvent::NotUtf8 { at: source.valid_up_to(), source })?;
    match nesting::too_deep_at(message) {
        Some(at) => Err(NoEvent::TooDeep { at }),
        None => Ok(text),
    }
}

/// The members of the top level in their order, each name once.
pub(crate) fn members(text: &str) -> Result<Vec<Member<'_>>, NoEvent> {
    let members = read(text)?;
    if members.len() > MEMBERS_MAX {
        return Err(NoEvent::TooManyMembers);
    }
    let mut order: Vec<&Member<'_>> = members.iter().collect();
    order.sort_unstable_by_key(|member| (member.name.as_ref(), member.start));
    match order.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => {
            Err(NoEvent::DuplicateMember { name: excerpt(&pair[1].name), at: pair[1].start })
        }
        None => Ok(members),
    }
}

/// The members of the top level, and one more than [`MEMBERS_MAX`] at most.
fn read(text: &str) -> Result<Vec<Member<'_>>, NoEvent> {
    let value = text.trim_start_matches([' ', '\t', '\n', '\r']);
    if !value.starts_with('{') {
        return Err(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => NoEvent::NotObject { found: kind(value) },
            Err(source) => not_json(text, source),
        });
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(TopLevel { text })
        .and_then(|members| json.end().map(|()| members))
        .map_err(|source| not_json(text, source))
}

fn not_json(text: &str, source: serde_json::Error) -> NoEvent {
    let line = source.line().saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let at = (start + source.column().saturating_sub(1)).min(text.len());
    NoEvent::NotJson { at, source }
}

fn is_envelope(member: &Member<'_>) -> bool {
    matches!(member.name.as_ref(), "EventHandle" | "Sign" | "T")
}

struct TopLevel<'a> {
    text: &'a str,
}

// === impl Envelope ===

impl Envelope {
    /// What can still be found of it in any message, whether that is an event or not: a handle
    /// must be confirmed although its event is unreadable. A name that stands twice is not found.
    pub fn find(message: &[u8]) -> Self {
        let by_brackets = || Self { handle: handle_by_brackets(message), signature: None };
        if message.len() > MESSAGE_BYTES_MAX {
            return by_brackets();
        }
        let text = String::from_utf8_lossy(message);
        let Ok(mut members) = read(&text) else { return by_brackets() };
        if matches!(text, Cow::Owned(_)) {
            // What was not UTF-8 is not what VOD sent: no handle that it knows.
            members.retain(|member| !member.value.contains(char::REPLACEMENT_CHARACTER));
        }
        Self::of(&members)
    }

    pub(crate) fn of(members: &[Member<'_>]) -> Self {
        let t = scalar(members, "T").and_then(|t| t.parse().ok());
        let signature = scalar(members, "Sign")
            .zip(t)
            .map(|(sign, t)| Signature { sign: sign.into_owned(), t });
        Self { handle: scalar(members, "EventHandle").map(Cow::into_owned), signature }
    }
}

/// The handle of what is no JSON, where its brackets and quotes at least are in order: an event
/// that could never be confirmed would come again for four days.
fn handle_by_brackets(message: &[u8]) -> Option<String> {
    let mut handles = Vec::new();
    let mut scanner = Scanner::new(message, 0);
    let member = |name: &[u8], value| {
        if name == b"EventHandle" {
            handles.push(value);
        }
    };
    scanner.object(member).ok()?;
    let [only] = &handles[..] else { return None };
    let value = std::str::from_utf8(message.get(only.clone())?).ok()?;
    // What is no JSON may hold escapes that are none.
    serde_json::from_str::<&RawValue>(value).ok()?;
    literal::scalar(value).map(Cow::into_owned)
}

/// The one member `name`, if it is a text or a number and not empty.
fn scalar<'a>(members: &[Member<'a>], name: &str) -> Option<Cow<'a, str>> {
    let mut named = members.iter().filter(|member| member.name == name);
    let member = named.next()?;
    if named.next().is_some() { None } else { literal::scalar(member.value) }
}

// === impl Signature ===

/// Without the signature: whoever has it can replay it until it expires.
impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature").field("t", &self.t).finish_non_exhaustive()
    }
}

// === impl TopLevel ===

impl<'a> Visitor<'a> for TopLevel<'a> {
    type Value = Vec<Member<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // A body with every member of EventContent, most of them null, has 39.
        let mut members = Vec::with_capacity(40);
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            let (name, value) = (name.get(), value.get());
            let start = self.offset(name);
            let end = self.offset(value) + value.len();
            let name = literal::decode(&name[1..name.len() - 1]);
            members.push(Member { name, value, start, end });
            if members.len() > MEMBERS_MAX {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            }
        }
        Ok(members)
    }
}

impl TopLevel<'_> {
    /// Where a part of the text begins in it.
    fn offset(&self, part: &str) -> usize {
        part.as_ptr().addr() - self.text.as_ptr().addr()
    }
}
