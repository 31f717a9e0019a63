use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use crate::canonical;
use crate::catalogue::{Entry, IdRule};
use crate::content::Format;
use crate::facts::{self, Facts};
use crate::outline::Outline;
use crate::payload::Found;

/// The longest id, in bytes. AMQP 0.9.1 ends `message_id` at 255; prefixes have the rest.
pub const ID_BYTES_MAX: usize = 200;

/// What names an event: the same event has the same, whichever way and however often it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The type and what tells its events apart, joined by colons; each part percent-encoded
    /// outside `A-Z a-z 0-9 - _ .`. Beyond [`ID_BYTES_MAX`]: the type, cut to fit, and 32 hex
    /// digits of SHA-256 over the long id.
    pub id: SmolStr,
    /// The first 8 bytes of SHA-256 over the canonical payload, which tells apart two events
    /// that share an id.
    pub digest: [u8; 8],
    /// Whether the id is made of the content alone: the same may rightly happen again later.
    pub by_content: bool,
}

/// Members of ProcedureStateChanged that the vendor calls deprecated; older and newer bodies of
/// one event differ in them.
const PROCEDURE_DEPRECATED: &[&str] = &["ErrCode", "Message"];

/// A digest in an id, in bytes: half of SHA-256, as hex digits.
const LONG_ID_DIGEST_LEN: usize = 32;

// === impl Identity ===

impl Identity {
    pub(crate) fn of(outline: &Outline<'_>, found: &Found<'_>, facts: &Facts) -> Self {
        let procedure =
            found.format == Format::V3 && found.entry.is_some_and(Entry::is_procedure_state);
        let omitted = if procedure { PROCEDURE_DEPRECATED } else { &[] };
        let digest = canonical::digest(outline, omitted);

        let mut id = Id::new(found);
        let named = id.name(outline, found, facts, digest);
        if !named {
            id.restart();
            id.push_hex(&digest);
        }
        Self { id: id.finish(), digest, by_content: !named }
    }
}

/// An id under way.
struct Id {
    text: String,
    /// Where the type ends.
    type_end: usize,
}

// === impl Id ===

impl Id {
    /// Begins with the type. The catalogue's spelling counts: some types are known under two.
    fn new(found: &Found<'_>) -> Self {
        let mut text = String::with_capacity(128);
        if found.format == Format::V2 {
            text.push_str("v2:");
        }
        encode(&mut text, found.entry.map_or(found.name.as_str(), |entry| entry.event_type()));
        Self { type_end: text.len(), text }
    }

    /// Adds what names the event; `false` if it has no name, or a part of it is missing.
    fn name(
        &mut self,
        outline: &Outline<'_>,
        found: &Found<'_>,
        facts: &Facts,
        digest: [u8; 8],
    ) -> bool {
        match found.entry.map_or(IdRule::TaskState, |entry| entry.id) {
            IdRule::Task if is_final(facts.status.as_deref(), found.format) => {
                self.push(facts.task.as_deref())
            }
            IdRule::Task | IdRule::TaskState => {
                let named = self.push(facts.task.as_deref()) && self.push(facts.status.as_deref());
                self.push_hex(&digest);
                named
            }
            IdRule::Members(names) => names.iter().all(|name| {
                let part = match found.format {
                    Format::V3 => facts::first(outline, name),
                    Format::V2 => facts::first(outline, &lower_camel(name)),
                };
                self.push(part.as_deref())
            }),
            IdRule::Content => false,
        }
    }

    fn restart(&mut self) {
        self.text.truncate(self.type_end);
    }

    fn push(&mut self, part: Option<&str>) -> bool {
        if let Some(part) = part {
            self.text.push(':');
            encode(&mut self.text, part);
        }
        part.is_some()
    }

    fn push_hex(&mut self, bytes: &[u8]) {
        self.text.push(':');
        for byte in bytes {
            write!(self.text, "{byte:02x}").expect("a String takes everything");
        }
    }

    fn finish(mut self) -> SmolStr {
        if self.text.len() > ID_BYTES_MAX {
            let sha: [u8; 32] = Sha256::digest(self.text.as_bytes()).into();
            // The text is ASCII, so every cut is between characters; none goes through a `%XX`.
            let longest = ID_BYTES_MAX - 1 - LONG_ID_DIGEST_LEN;
            let cut = self.type_end.min(longest);
            let escape = self.text[..cut].rfind('%').filter(|&at| at + 3 > cut);
            self.text.truncate(escape.unwrap_or(cut));
            self.push_hex(&sha[..LONG_ID_DIGEST_LEN / 2]);
        }
        SmolStr::new(self.text)
    }
}

/// Whether a task has no further events: format 2.0 has a result code in place of most states.
fn is_final(status: Option<&str>, format: Format) -> bool {
    match status {
        None | Some("FINISH" | "SUCCESS" | "FAIL") => true,
        Some(code) => format == Format::V2 && code.parse::<i64>().is_ok(),
    }
}

fn lower_camel(name: &str) -> String {
    let mut name = name.to_owned();
    name[..1].make_ascii_lowercase();
    name
}

fn encode(out: &mut String, part: &str) {
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("a String takes everything"),
        }
    }
}
