//! Where the members of every object of a JSON text lie.
//!
//! One pass over text that a parser has passed, without copying any of it. Arrays and scalars
//! take no room: whatever walks the outline reads them from the text again. An outline is at most
//! about four times as large as its text, however hostile that is, and far smaller than any that
//! VOD sends.

use crate::literal;

/// The outline of one JSON value.
#[derive(Debug)]
pub(crate) struct Outline<'a> {
    text: &'a str,
    /// In the order of their opening brackets.
    objects: Vec<Object>,
    /// Those that are not null, in their order; the members of one object form a list.
    members: Vec<Member>,
    /// Whether some name is written with an escape.
    escaped_names: bool,
}

/// A value in the text, and how many objects begin before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    at: u32,
    object: u32,
}

#[derive(Debug)]
struct Object {
    first: u32,
    after: Node,
}

#[derive(Debug)]
struct Member {
    /// The name between its quotes.
    name: u32,
    name_end: u32,
    value: Node,
    /// The next member of the same object.
    next: u32,
}

/// The end of a list of members.
const NONE: u32 = u32::MAX;

// === impl Outline ===

impl<'a> Outline<'a> {
    /// The outline of a valid JSON text that begins with its value and nests at most
    /// [`NESTING_MAX`](crate::NESTING_MAX) deep.
    pub(crate) fn of(text: &'a str) -> Self {
        let mut outline = Self {
            text,
            objects: Vec::with_capacity(8),
            members: Vec::with_capacity(32),
            escaped_names: false,
        };
        outline.value(0);
        outline
    }

    pub(crate) fn root(&self) -> Node {
        Node { at: 0, object: 0 }
    }

    /// The text from the value on.
    pub(crate) fn rest(&self, node: Node) -> &'a str {
        &self.text[node.at as usize..]
    }

    /// The value as written: a scalar's literal, an object or an array with its brackets.
    pub(crate) fn written(&self, node: Node) -> &'a str {
        self.between(node, self.after(node))
    }

    pub(crate) fn between(&self, node: Node, after: Node) -> &'a str {
        &self.text[node.at as usize..after.at as usize]
    }

    /// The members of an object that are not null; none of any other value.
    pub(crate) fn members(&self, node: Node) -> impl Iterator<Item = usize> {
        let object = self.rest(node).starts_with('{').then(|| &self.objects[node.object as usize]);
        let mut next = object.map_or(NONE, |object| object.first);
        std::iter::from_fn(move || {
            let member = (next != NONE).then_some(next as usize)?;
            next = self.members[member].next;
            Some(member)
        })
    }

    /// A member's name as written between its quotes.
    pub(crate) fn name(&self, member: usize) -> &'a str {
        let Member { name, name_end, .. } = self.members[member];
        &self.text[name as usize..name_end as usize]
    }

    /// A member's name as written.
    pub(crate) fn quoted_name(&self, member: usize) -> &'a str {
        let Member { name, name_end, .. } = self.members[member];
        &self.text[name as usize - 1..name_end as usize + 1]
    }

    pub(crate) fn value_of(&self, member: usize) -> Node {
        self.members[member].value
    }

    pub(crate) fn has_escaped_names(&self) -> bool {
        self.escaped_names
    }

    /// An object's member by its decoded name; the last one if there are several, which is what
    /// most JSON readers see.
    pub(crate) fn member(&self, node: Node, name: &str) -> Option<Node> {
        let found = self.members(node).filter(|&member| {
            let written = self.name(member);
            written == name || self.escaped_names && literal::decode(written) == name
        });
        found.last().map(|member| self.value_of(member))
    }

    /// The elements of an array; none of any other value.
    pub(crate) fn elements(&self, node: Node) -> impl Iterator<Item = Node> {
        let mut next = self.rest(node).starts_with('[').then(|| self.inside(node));
        std::iter::from_fn(move || {
            let element = next.filter(|&node| !self.is_end(node))?;
            next = Some(self.separated(self.after(element)));
            Some(element)
        })
    }

    /// The first element of an array, or its end.
    pub(crate) fn inside(&self, array: Node) -> Node {
        let at = literal::skip_space(self.text.as_bytes(), array.at as usize + 1);
        Node { at: offset(at), ..array }
    }

    /// The next element of an array, or its end, from the place behind an element.
    pub(crate) fn separated(&self, node: Node) -> Node {
        let bytes = self.text.as_bytes();
        let mut at = literal::skip_space(bytes, node.at as usize);
        if bytes[at] == b',' {
            at = literal::skip_space(bytes, at + 1);
        }
        Node { at: offset(at), ..node }
    }

    /// Whether this is the end of an array: its closing bracket.
    pub(crate) fn is_end(&self, node: Node) -> bool {
        self.rest(node).starts_with(']')
    }

    /// The place behind the end of an array.
    pub(crate) fn behind(&self, end: Node) -> Node {
        Node { at: end.at + 1, ..end }
    }

    /// The place behind a value; at once for an object, else read from the text.
    pub(crate) fn after(&self, node: Node) -> Node {
        let bytes = self.text.as_bytes();
        let at = match bytes[node.at as usize] {
            b'{' => return self.objects[node.object as usize].after,
            b'[' => {
                let mut next = self.inside(node);
                while !self.is_end(next) {
                    next = self.separated(self.after(next));
                }
                return self.behind(next);
            }
            b'"' => literal::string_end(bytes, node.at as usize + 1) + 1,
            _ => literal::word_end(bytes, node.at as usize),
        };
        Node { at: offset(at), ..node }
    }

    /// Takes in the value at an offset, and returns the offset behind it.
    fn value(&mut self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        match bytes[at] {
            b'{' => self.object(at),
            b'[' => self.array(at),
            b'"' => literal::string_end(bytes, at + 1) + 1,
            _ => literal::word_end(bytes, at),
        }
    }

    fn object(&mut self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let object = self.objects.len();
        self.objects.push(Object { first: NONE, after: self.root() });
        let mut last = NONE;
        let mut at = literal::skip_space(bytes, at + 1);
        while bytes[at] != b'}' {
            let name = at + 1;
            let name_end = literal::string_end(bytes, name);
            self.escaped_names |= bytes[name..name_end].contains(&b'\\');
            // Behind the name: white space, the colon, white space.
            let colon = literal::skip_space(bytes, name_end + 1);
            at = literal::skip_space(bytes, colon + 1);
            if bytes[at] != b'n' {
                let member = offset(self.members.len());
                self.members.push(Member {
                    name: offset(name),
                    name_end: offset(name_end),
                    value: Node { at: offset(at), object: offset(self.objects.len()) },
                    next: NONE,
                });
                match last {
                    NONE => self.objects[object].first = member,
                    last => self.members[last as usize].next = member,
                }
                last = member;
            }
            at = literal::skip_space(bytes, self.value(at));
            if bytes[at] == b',' {
                at = literal::skip_space(bytes, at + 1);
            }
        }
        self.objects[object].after =
            Node { at: offset(at + 1), object: offset(self.objects.len()) };
        at + 1
    }

    fn array(&mut self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = literal::skip_space(bytes, at + 1);
        while bytes[at] != b']' {
            at = literal::skip_space(bytes, self.value(at));
            if bytes[at] == b',' {
                at = literal::skip_space(bytes, at + 1);
            }
        }
        at + 1
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a message has at most MESSAGE_BYTES_MAX bytes")
}
