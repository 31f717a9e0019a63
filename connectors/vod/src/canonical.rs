//! The canonical form of a payload, of which nothing but its digest is kept.
//!
//! As in RFC 8785 there is no white space, and strings are decoded and escaped again in one way
//! (lone surrogates, which that document forbids, as `\udXXX`). Unlike there, numbers stay as
//! written, members are sorted by the UTF-8 bytes of their names, duplicate names stay in their
//! order, and members that are null are left out.

use std::io::Write as _;

use sha2::{Digest as _, Sha256};

use crate::literal::{self, Piece};
use crate::outline::{Node, Outline};

/// The first 8 bytes of SHA-256 over the canonical form, without the root's members `omitted`.
pub(crate) fn digest(outline: &Outline<'_>, omitted: &[&str]) -> [u8; 8] {
    let mut canonical = Canonical { outline, out: Sink::default(), order: Vec::with_capacity(32) };
    canonical.object(outline.root(), omitted);
    canonical.out.finish()
}

struct Canonical<'a> {
    outline: &'a Outline<'a>,
    out: Sink,
    /// The members under way, sorted; those of the innermost object last.
    order: Vec<usize>,
}

/// Small pieces on their way into the hash.
struct Sink {
    sha: Sha256,
    pieces: [u8; 512],
    len: usize,
}

// === impl Canonical ===

impl Canonical<'_> {
    /// Writes a value, and returns the place behind it.
    fn value(&mut self, node: Node) -> Node {
        let outline = self.outline;
        let after = match outline.rest(node).as_bytes()[0] {
            b'[' => return self.array(node),
            _ => outline.after(node),
        };
        match outline.between(node, after) {
            object if object.starts_with('{') => self.object(node, &[]),
            string if string.starts_with('"') && string.contains('\\') => self.string(string),
            as_written => self.out.put(as_written.as_bytes()),
        }
        after
    }

    fn object(&mut self, node: Node, omitted: &[&str]) {
        let outline = self.outline;
        let begin = self.order.len();
        let stays = |&member: &usize| {
            omitted.is_empty() || !omitted.contains(&literal::decode(outline.name(member)).as_ref())
        };
        self.order.extend(outline.members(node).filter(stays));
        self.sort(begin);
        self.out.put(b"{");
        for i in begin..self.order.len() {
            if i > begin {
                self.out.put(b",");
            }
            let member = self.order[i];
            if outline.has_escaped_names() {
                self.string(outline.quoted_name(member));
            } else {
                self.out.put(outline.quoted_name(member).as_bytes());
            }
            self.out.put(b":");
            self.value(outline.value_of(member));
        }
        self.order.truncate(begin);
        self.out.put(b"}");
    }

    /// Sorts the members from `begin` on by name; among equal names the order in the text, which
    /// is that of their numbers, stays.
    fn sort(&mut self, begin: usize) {
        let outline = self.outline;
        let order = &mut self.order[begin..];
        if outline.has_escaped_names() {
            order.sort_by_cached_key(|&m| (literal::sort_bytes(outline.name(m)), m));
        } else {
            order.sort_unstable_by_key(|&m| (outline.name(m), m));
        }
    }

    fn array(&mut self, node: Node) -> Node {
        let outline = self.outline;
        let mut next = outline.inside(node);
        self.out.put(b"[");
        while !outline.is_end(next) {
            next = outline.separated(self.value(next));
            if !outline.is_end(next) {
                self.out.put(b",");
            }
        }
        self.out.put(b"]");
        outline.behind(next)
    }

    /// Writes a string literal, its quotes included.
    fn string(&mut self, quoted: &str) {
        self.out.put(b"\"");
        for piece in literal::pieces(&quoted[1..quoted.len() - 1]) {
            self.out.put_piece(piece);
        }
        self.out.put(b"\"");
    }
}

// === impl Sink ===

impl Default for Sink {
    fn default() -> Self {
        Self { sha: Sha256::new(), pieces: [0; 512], len: 0 }
    }
}

impl Sink {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.pieces[self.len..].get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
            return;
        }
        self.sha.update(&self.pieces[..self.len]);
        self.sha.update(bytes);
        self.len = 0;
    }

    fn put_piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Text(text) => self.put(text.as_bytes()),
            Piece::Surrogate(unit) => self.put_unit(unit),
            Piece::Char('"') => self.put(b"\\\""),
            Piece::Char('\\') => self.put(b"\\\\"),
            Piece::Char('\u{8}') => self.put(b"\\b"),
            Piece::Char('\u{c}') => self.put(b"\\f"),
            Piece::Char('\n') => self.put(b"\\n"),
            Piece::Char('\r') => self.put(b"\\r"),
            Piece::Char('\t') => self.put(b"\\t"),
            Piece::Char(c @ '\0'..' ') => self.put_unit(c as u16),
            Piece::Char(c) => self.put(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }

    fn put_unit(&mut self, unit: u16) {
        let mut escape = [0; 6];
        write!(&mut escape[..], "\\u{unit:04x}").expect("six bytes are written into six");
        self.put(&escape);
    }

    fn finish(mut self) -> [u8; 8] {
        self.sha.update(&self.pieces[..self.len]);
        let digest: [u8; 32] = self.sha.finalize().into();
        *digest.first_chunk().expect("SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of a text is that of its canonical form, written down by hand.
    #[track_caller]
    fn check(text: &str, canonical: &str) {
        let sha: [u8; 32] = Sha256::digest(canonical.as_bytes()).into();
        assert_eq!(digest(&Outline::of(text), &["Left", "Out"]), sha[..8], "{text}");
    }

    #[test]
    fn the_canonical_form_is_the_one_written_down() {
        for (text, canonical) in [
            ("{}", "{}"),
            (r#"{ "b" : 1 , "a" : [ 1 , 2 ] }"#, r#"{"a":[1,2],"b":1}"#),
            (r#"{"a":null,"b":[null,{"c":null}]}"#, r#"{"b":[null,{}]}"#),
            (
                r#"{"n":[1.0,1e2,-0,18446744073709551616]}"#,
                r#"{"n":[1.0,1e2,-0,18446744073709551616]}"#,
            ),
            (r#"{"a":"\u0041\/\u00e9\ud83d\ude00"}"#, "{\"a\":\"A/é😀\"}"),
            (r#"{"a":"\u0022\u005c\u0008\u000A\u001F"}"#, r#"{"a":"\"\\\b\n\u001f"}"#),
            (r#"{"a":"\uD800x"}"#, r#"{"a":"\ud800x"}"#),
            (r#"{"b":1,"a":2,"b":0}"#, r#"{"a":2,"b":1,"b":0}"#),
            (r#"{"b":1,"\u0061":2}"#, r#"{"a":2,"b":1}"#),
            (r#"{"a b":1,"a":2,"aé":3}"#, r#"{"a":2,"a b":1,"aé":3}"#),
            // UTF-16, by which RFC 8785 sorts, would put the emoji first.
            (r#"{"\ud83d\ude00":1,"\uff5e":2}"#, "{\"～\":2,\"😀\":1}"),
            (r#"{"Left":1,"b":{"Out":2},"\u004fut":3}"#, r#"{"b":{"Out":2}}"#),
            (r#"{"x":[[],[ ],{ },[{"a":[]}],"]"]}"#, r#"{"x":[[],[],{},[{"a":[]}],"]"]}"#),
            (
                r#"{"z":{"y":{"x":1},"a":[{"c":1,"b":2}]},"a":{}}"#,
                r#"{"a":{},"z":{"a":[{"b":2,"c":1}],"y":{"x":1}}}"#,
            ),
        ] {
            check(text, canonical);
        }
    }

    #[test]
    fn long_strings_pass_the_buffer_by() {
        let long = "0123456789".repeat(500);
        check(&format!("{{ \"a\": \"{long}\" }}"), &format!("{{\"a\":\"{long}\"}}"));
    }
}
