use std::fmt::Write as _;

use proptest::prelude::*;
use vodbridge_vod::Content;

use crate::support::read;

/// A JSON value as a test makes it: what counts for the digest, without the way it is written.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Word(&'static str),
    Number(String),
    Text(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

fn value() -> impl Strategy<Value = Value> {
    let number = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        prop::sample::select(vec!["true", "false"]).prop_map(Value::Word),
        number.prop_map(Value::Number),
        any::<String>().prop_map(Value::Text),
        "[a-z]{0,4}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            members(inner).prop_map(Value::Object),
        ]
    })
}

/// Members with names of their own, none of which names the event.
fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<(String, Value)>> {
    let name = prop_oneof!["[a-z]{1,3}", "\\PC{1,3}", any::<String>()];
    prop::collection::btree_map(name, value, 0..5).prop_map(|map| map.into_iter().collect())
}

fn payload() -> impl Strategy<Value = Vec<(String, Value)>> {
    let facts = |(task, status, file): (String, String, String)| {
        [("TaskId", task), ("Status", status), ("FileId", file)]
            .map(|(name, text)| (name.to_owned(), Value::Text(text)))
    };
    let facts = ("\\PC{0,60}", "FINISH|PROCESSING|", "[0-9]{0,20}").prop_map(facts);
    (facts, members(value())).prop_map(|(facts, mut members)| {
        members.retain(|(name, _)| !["TaskId", "Status", "FileId"].contains(&name.as_str()));
        members.extend(facts);
        members
    })
}

fn event_type() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "NewFileUpload",
        "PullComplete",
        "FileDeleted",
        "ProcedureStateChanged",
        "RestoreMediaComplete",
        "SomethingNew",
    ])
}

/// One of the many ways to write a value. What it decides, it decides by `dice`.
struct Writer {
    out: String,
    dice: u64,
}

impl Writer {
    /// A number below `n`, another one each time (SplitMix64).
    fn roll(&mut self, n: u64) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.dice ^ self.dice >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ mixed >> 27) % n
    }

    fn space(&mut self) {
        for _ in 0..self.roll(3) {
            let space = usize::try_from(self.roll(4)).unwrap();
            self.out.push([' ', '\t', '\n', '\r'][space]);
        }
    }

    fn list<T>(&mut self, brackets: [char; 2], items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.out.push(brackets[0]);
        self.space();
        for (i, one) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
                self.space();
            }
            item(self, one);
            self.space();
        }
        self.out.push(brackets[1]);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Word(word) => self.out.push_str(word),
            Value::Number(number) => self.out.push_str(number),
            Value::Text(text) => self.text(text),
            Value::Array(elements) => self.list(['[', ']'], elements, Self::value),
            Value::Object(members) => self.object(members),
        }
    }

    /// The members in any order, with members that are null among them.
    fn object(&mut self, members: &[(String, Value)]) {
        let mut members = members.to_vec();
        for i in 0..self.roll(3) {
            members.push((format!("null{i}"), Value::Word("null")));
        }
        for i in (1..members.len()).rev() {
            let other = self.roll(i as u64 + 1);
            members.swap(i, usize::try_from(other).unwrap());
        }
        self.list(['{', '}'], &members, |writer, (name, value)| {
            writer.text(name);
            writer.space();
            writer.out.push(':');
            writer.space();
            writer.value(value);
        });
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match (c, self.roll(4)) {
                ('"' | '\\' | '/', 0 | 1) => self.out.extend(['\\', c]),
                ('\n', 0 | 1) => self.out.push_str("\\n"),
                ('\u{8}', 0 | 1) => self.out.push_str("\\b"),
                ('\0'..' ' | '"' | '\\', _) | (_, 0) => {
                    let upper = self.roll(2) == 0;
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        if upper {
                            write!(self.out, "\\u{unit:04X}").unwrap();
                        } else {
                            write!(self.out, "\\u{unit:04x}").unwrap();
                        }
                    }
                }
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// The event, with or without what belongs to its delivery.
fn write(event_type: &str, payload: &[(String, Value)], dice: u64, delivered: bool) -> String {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut members = vec![
        ("EventType".to_owned(), text(event_type)),
        ("SomeEvent".to_owned(), Value::Object(payload.to_vec())),
    ];
    if delivered {
        members.push(("EventHandle".to_owned(), text(&format!("handle {dice}"))));
        members.push(("Sign".to_owned(), text("7ac575afac0e8081ad1421399ab59099")));
        members.push(("T".to_owned(), Value::Number("1767226200".to_owned())));
    }
    let mut writer = Writer { out: String::new(), dice };
    writer.object(&members);
    writer.out
}

/// What the bridge makes known of an event.
fn facts(content: Content) -> impl PartialEq + std::fmt::Debug {
    let Content { event_type, identity, subject, file, task, status, .. } = content;
    (event_type, identity, subject, file, task, status)
}

proptest! {
    #[test]
    fn an_event_is_the_same_however_it_is_written(
        event_type in event_type(),
        payload in payload(),
        one in any::<u64>(),
        other in any::<u64>(),
    ) {
        let one = write(event_type, &payload, one, false);
        let other = write(event_type, &payload, other, true);
        prop_assert_eq!(facts(read(one)), facts(read(other)));
    }

    #[test]
    fn other_content_has_another_digest(
        event_type in event_type(),
        payload in payload(),
        name in "\\PC{0,3}",
        changed in value(),
        dice in any::<u64>(),
    ) {
        let mut other = payload.clone();
        other.retain(|(present, _)| *present != name);
        other.push((name.clone(), changed.clone()));
        prop_assume!(!payload.contains(&(name, changed)));
        let one = read(write(event_type, &payload, dice, false));
        let other = read(write(event_type, &other, dice, false));
        prop_assert_ne!(one.identity.digest, other.identity.digest);
    }

    #[test]
    fn another_file_task_or_status_has_another_id(
        files in ("[0-9]{1,25}", "[0-9]{1,25}"),
        tasks in ("\\PC{1,300}", "\\PC{1,300}"),
    ) {
        prop_assume!(files.0 != files.1 && tasks.0 != tasks.1);
        let id = |event_type: &str, file: &str, task: &str, status: &str| {
            let texts = [("FileId", file), ("TaskId", task), ("Status", status)];
            let payload = texts.map(|(name, text)| (name.to_owned(), Value::Text(text.to_owned())));
            read(write(event_type, &payload, 0, false)).identity.id
        };
        let upload = |file: &str| id("NewFileUpload", file, "", "");
        prop_assert_ne!(upload(&files.0), upload(&files.1));
        let task = |task: &str, status: &str| id("PullComplete", "", task, status);
        prop_assert_ne!(task(&tasks.0, "FINISH"), task(&tasks.1, "FINISH"));
        prop_assert_ne!(task(&tasks.0, "FINISH"), task(&tasks.0, "PROCESSING"));
        let flow = |status: &str| id("ProcedureStateChanged", "", &tasks.0, status);
        prop_assert_ne!(flow("FINISH"), flow("PROCESSING"));
    }

    #[test]
    fn ids_are_short_ascii_whatever_comes(
        event_type in any::<String>(),
        task in any::<String>(),
        status in any::<String>(),
        times in 1..50_usize,
    ) {
        prop_assume!(!event_type.is_empty());
        let text = |text: String| Value::Text(text);
        let payload = [
            ("TaskId".to_owned(), text(task.repeat(times))),
            ("Status".to_owned(), text(status)),
        ];
        let content = read(write(&event_type.repeat(times), &payload, 0, false));
        let id = content.identity.id;
        prop_assert!(id.len() <= vodbridge_vod::ID_BYTES_MAX);
        prop_assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:%".contains(&b)));
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let message = bytes::Bytes::from(bytes);
        prop_assert!(Content::read(&message).is_err());
    }
}
