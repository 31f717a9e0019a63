use std::sync::Arc;

use bytes::Bytes;
use smol_str::SmolStr;
use vodbridge_core::{ContentDigest, ContentType, Event, Extension, KnownBy, Timestamp, Topic};

use super::footprint::footprint;
use super::names::parted;
use super::record::{Delivered, Delivery, Record};
use super::{Seq, Table};

/// The extensions that have a column of their own, in the order of the columns.
const COLUMNS: [&str; 4] = ["vodeventtype", "vodapplication", "vodfileid", "vodtaskid"];
/// Stands where an extension brings its own name.
const NAMED: u8 = 0;

/// An event as the journal keeps it, made by whoever appends, so that the one writer only binds.
///
/// ```text
/// stored time bytes | event_type application file task id | head | body
///                                                           |      message, then data if it is
///                                                           |      no part of the message
///                                                           known_by content_type digest lengths topic
///                                                           source type subject extensions
/// ```
///
/// `data` is usually a slice of `message`: then only its place is kept, not its bytes.
pub(crate) struct Row {
    pub(crate) table: Table,
    pub(crate) stored: Timestamp,
    pub(crate) time: Timestamp,
    /// What the row takes in the file.
    pub(crate) bytes: u64,
    pub(crate) columns: [Option<SmolStr>; 4],
    pub(crate) id: SmolStr,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Bytes,
    /// Why the event is a dead letter, while it waits in the spool.
    pub(crate) letter: Option<Box<Letter>>,
    /// How the event was delivered, in the history.
    pub(crate) delivery: Option<Arc<Delivery>>,
}

/// That an event is to become a dead letter, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// A short code.
    pub reason: SmolStr,
    /// What is wrong with it.
    pub detail: String,
}

/// Where message and data lie in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    message_len: usize,
    data_at: usize,
    data_end: usize,
}

/// A row as it is read.
pub(crate) struct Kept<'a> {
    pub(crate) seq: Seq,
    pub(crate) stored: Timestamp,
    pub(crate) time: Timestamp,
    pub(crate) columns: [Option<&'a str>; 4],
    pub(crate) id: &'a str,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
    /// Route and connectors, in the history.
    pub(crate) delivery: Option<[&'a str; 2]>,
}

impl Row {
    /// In the spool an event has no topic yet.
    pub(crate) fn new(
        table: Table,
        event: &Event,
        topic: Option<&Topic>,
        stored: Timestamp,
    ) -> Self {
        let (body, message_len, data_at) = body(event);
        let mut columns = [const { None }; 4];
        let mut head = Vec::with_capacity(192);
        head.push(match event.known_by {
            KnownBy::Key => 0,
            KnownBy::Content => 1,
        });
        head.push(match event.content_type {
            ContentType::Json => 0,
            ContentType::OctetStream => 1,
        });
        head.extend_from_slice(&event.content.0);
        for number in [message_len, data_at, event.data.len()] {
            put_number(&mut head, number);
        }
        for text in [topic.map_or("", Topic::as_str), &event.source, &event.ty] {
            put_text(&mut head, text);
        }
        put_number(&mut head, usize::from(event.subject.is_some()));
        if let Some(subject) = &event.subject {
            put_text(&mut head, subject);
        }
        for extension in &event.extensions {
            match COLUMNS.iter().position(|name| *name == extension.name) {
                Some(column) if columns[column].is_none() => {
                    head.push(u8::try_from(column + 1).expect("there are four columns"));
                    columns[column] = Some(extension.value.clone());
                }
                Some(_) | None => {
                    head.push(NAMED);
                    put_text(&mut head, &extension.name);
                    put_text(&mut head, &extension.value);
                }
            }
        }
        let texts: usize = columns.iter().flatten().map(SmolStr::len).sum();
        Self {
            table,
            stored,
            time: event.time,
            bytes: footprint(texts + event.id.len() + head.len() + body.len()),
            columns,
            id: event.id.clone(),
            head,
            body,
            letter: None,
            delivery: None,
        }
    }

    /// A row of the history.
    pub(crate) fn delivered(delivered: &Delivered) -> Self {
        let Delivered { event, topic, delivery, at } = delivered;
        let mut row = Self::new(Table::History, event, Some(topic), *at);
        let names: usize = delivery.acknowledged.iter().map(|name| name.len() + 1).sum();
        row.bytes += (delivery.route.len() + names) as u64;
        row.delivery = Some(Arc::clone(delivery));
        row
    }

    /// The application that the event belongs to.
    pub(crate) fn application(&self) -> &str {
        self.columns[1].as_deref().unwrap_or_default()
    }

    /// Says that the event is to become a dead letter.
    pub(crate) fn lettered(mut self, letter: Letter) -> Self {
        self.bytes += (letter.reason.len() + letter.detail.len()) as u64;
        self.letter = Some(Box::new(letter));
        self
    }
}

impl Letter {
    pub(crate) fn parts(&self) -> (&str, &str) {
        (&self.reason, &self.detail)
    }
}

impl Kept<'_> {
    /// The event as it was; nothing if the row does not hold one.
    pub(crate) fn record(&self, table: Table) -> Option<Record> {
        let (topic, event, places) = self.event()?;
        let topic = Topic::new(topic).ok()?;
        let event = places.fill(event, Bytes::copy_from_slice(self.body))?;
        let delivery = self.delivery.map(|[route, acknowledged]| Delivery {
            route: SmolStr::new(route),
            acknowledged: parted(acknowledged),
        });
        Some(Record { table, seq: self.seq, topic, stored: self.stored, event, delivery })
    }

    /// The topic, the event without message and data, and where these lie.
    pub(crate) fn event(&self) -> Option<(&str, Event, Places)> {
        let mut head = self.head;
        let known_by = match take(&mut head, 1)? {
            [0] => KnownBy::Key,
            [1] => KnownBy::Content,
            _ => return None,
        };
        let content_type = match take(&mut head, 1)? {
            [0] => ContentType::Json,
            [1] => ContentType::OctetStream,
            _ => return None,
        };
        let content = ContentDigest(take(&mut head, 8)?.try_into().ok()?);
        let message_len = take_number(&mut head)?;
        let data_at = take_number(&mut head)?;
        let data_end = data_at.checked_add(take_number(&mut head)?)?;
        let topic = take_text(&mut head)?;
        let source = SmolStr::new(take_text(&mut head)?);
        let ty = SmolStr::new(take_text(&mut head)?);
        let subject = match take_number(&mut head)? {
            0 => None,
            _ => Some(SmolStr::new(take_text(&mut head)?)),
        };
        let extensions = self.extensions(head)?;
        let event = Event {
            id: SmolStr::new(self.id),
            source,
            ty,
            subject,
            time: self.time,
            extensions,
            content_type,
            data: Bytes::new(),
            message: Bytes::new(),
            content,
            known_by,
        };
        Some((topic, event, Places { message_len, data_at, data_end }))
    }

    fn extensions(&self, mut head: &[u8]) -> Option<Vec<Extension>> {
        let mut extensions = Vec::new();
        while let Some((kind, rest)) = head.split_first() {
            head = rest;
            let extension = if *kind == NAMED {
                let name = take_text(&mut head)?.to_owned().into();
                Extension { name, value: SmolStr::new(take_text(&mut head)?) }
            } else {
                let column = usize::from(*kind) - 1;
                let value = SmolStr::new((*self.columns.get(column)?)?);
                Extension { name: COLUMNS[column].into(), value }
            };
            extensions.push(extension);
        }
        Some(extensions)
    }
}

// === impl Places ===

impl Places {
    /// Gives an event its message and data; nothing if they are not all there.
    pub(crate) fn fill(self, mut event: Event, body: Bytes) -> Option<Event> {
        let Self { message_len, data_at, data_end } = self;
        if message_len > body.len() || data_at > data_end || data_end > body.len() {
            return None;
        }
        event.data = body.slice(data_at..data_end);
        event.message = body.slice(..message_len);
        Some(event)
    }
}

/// What is kept of message and data: the bytes, the message's length, where the data begins.
fn body(event: &Event) -> (Bytes, usize, usize) {
    let (message, data) = (&event.message, &event.data);
    if let Some(at) = place(message, data) {
        return (message.clone(), message.len(), at);
    }
    let both = [message.as_ref(), data.as_ref()].concat();
    (Bytes::from(both), message.len(), message.len())
}

/// Where `data` lies within `message`, if it is a part of that very memory or all of it.
fn place(message: &Bytes, data: &Bytes) -> Option<usize> {
    let at = (data.as_ptr() as usize).wrapping_sub(message.as_ptr() as usize);
    if at <= message.len() && data.len() <= message.len() - at {
        return Some(at);
    }
    (message == data).then_some(0)
}

/// LEB128, as most lengths fit one byte.
fn put_number(head: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        head.push(low_bits(number) | 0x80);
        number >>= 7;
    }
    head.push(low_bits(number));
}

fn low_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).expect("seven bits fit a byte")
}

fn put_text(head: &mut Vec<u8>, text: &str) {
    put_number(head, text.len());
    head.extend_from_slice(text.as_bytes());
}

fn take<'a>(head: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = head.split_at_checked(len)?;
    *head = rest;
    Some(taken)
}

fn take_number(head: &mut &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for shift in (0..usize::BITS).step_by(7) {
        let byte = take(head, 1)?[0];
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_text<'a>(head: &mut &'a [u8]) -> Option<&'a str> {
    let len = take_number(head)?;
    std::str::from_utf8(take(head, len)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_back(row: &Row) -> Option<Record> {
        let kept = Kept {
            seq: Seq(7),
            stored: row.stored,
            time: row.time,
            columns: row.columns.each_ref().map(|c| c.as_deref()),
            id: &row.id,
            head: &row.head,
            body: &row.body,
            delivery: None,
        };
        kept.record(row.table)
    }

    fn extension() -> impl Strategy<Value = Extension> {
        let name = prop_oneof![
            prop::sample::select(&COLUMNS[..]).prop_map(str::to_owned),
            "[a-z0-9]{1,20}"
        ];
        (name, "\\PC{1,300}")
            .prop_map(|(name, value)| Extension { name: name.into(), value: value.into() })
    }

    prop_compose! {
        fn event()(
            texts in ("\\PC{0,40}", "\\PC{0,40}", "\\PC{0,40}", prop::option::of("\\PC{0,40}")),
            millis in any::<u64>(),
            extensions in prop::collection::vec(extension(), 0..8),
            message in prop::collection::vec(any::<u8>(), 0..500),
            (data, cut) in (prop::collection::vec(any::<u8>(), 0..40), any::<[u16; 2]>()),
            (own, by_content) in any::<(bool, bool)>(),
            content in any::<[u8; 8]>(),
        ) -> Event {
            let message = Bytes::from(message);
            let [a, b] = cut.map(|c| usize::from(c) % (message.len() + 1));
            let part = message.slice(a.min(b)..a.max(b));
            Event {
                id: texts.0.into(), source: texts.1.into(), ty: texts.2.into(),
                subject: texts.3.map(Into::into),
                time: Timestamp::from_millis(millis),
                extensions,
                content_type: if own { ContentType::OctetStream } else { ContentType::Json },
                data: if own { Bytes::from(data) } else { part },
                message,
                content: ContentDigest(content),
                known_by: if by_content { KnownBy::Content } else { KnownBy::Key },
            }
        }
    }

    proptest! {
        #[test]
        fn an_event_comes_back_whole(event in event(), stored in any::<u32>()) {
            let topic = Topic::new("vod.x").unwrap();
            let stored = Timestamp::from_millis(stored.into());
            let row = Row::new(Table::Events, &event, Some(&topic), stored);
            let record = read_back(&row).unwrap();
            prop_assert_eq!(&record.event, &event);
            prop_assert_eq!((record.topic, record.stored), (topic, stored));
        }

        #[test]
        fn a_damaged_head_is_told_and_never_a_panic(
            event in event(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let topic = Topic::new("t").unwrap();
            let mut row = Row::new(Table::Events, &event, Some(&topic), event.time);
            let at = at.index(row.head.len());
            row.head[at] = byte;
            if cut { row.head.truncate(at); }
            read_back(&row);
        }
    }

    #[test]
    fn data_that_is_a_slice_of_the_message_is_kept_once() {
        let message = Bytes::from_static(br#"{"EventType":"X","XEvent":{"a":1}}"#);
        let event = Event { data: message.slice(26..33), message, ..sample() };
        let topic = Topic::new("t").unwrap();
        let row = Row::new(Table::Events, &event, Some(&topic), event.time);
        assert_eq!(row.body.as_ptr(), event.message.as_ptr(), "not even copied");
        assert_eq!(row.body.len(), event.message.len());
    }

    fn sample() -> Event {
        Event {
            id: "X:1".into(),
            source: "//vod".into(),
            ty: "com.tencentcloud.vod.X".into(),
            subject: None,
            time: Timestamp::from_millis(1),
            extensions: Vec::new(),
            content_type: ContentType::Json,
            data: Bytes::new(),
            message: Bytes::new(),
            content: ContentDigest::default(),
            known_by: KnownBy::Key,
        }
    }
}
