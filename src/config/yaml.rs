//! YAML as a [`Tree`] of texts: nothing is guessed about a scalar, so that the token `0123` stays
//! `0123` and `off` stays `off`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use figment::value::{Dict, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Spanned};

use super::tree::{Origin, Path, Tree};
use super::{Place, Problem};

/// The largest file that is read.
pub(super) const FILE_BYTES_MAX: usize = 1 << 20;

const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 50_000;
const ALIASED_NODES_MAX: usize = 50_000;

/// Reads `text`. What cannot be used is reported and left out.
pub(super) fn read(text: &str, file: &Arc<str>, problems: &mut Vec<Problem>) -> Tree {
    let mut building = Building { text, file, origins: BTreeMap::new(), problems };
    let values = building.document();
    Tree::new(values, building.origins)
}

/// Reads a value in flow style, `[a, b]` or `{ a: b }`; `None` if it is not that.
pub(super) fn read_flow(
    text: &str,
    at: &Path,
    place: &Place,
) -> Option<(Value, BTreeMap<Path, Origin>)> {
    let node: Spanned<Node> = serde_saphyr::from_str_with_options(text, options()).ok()?;
    let mut problems = Vec::new();
    let file = Arc::from("");
    let mut building =
        Building { text, file: &file, origins: BTreeMap::new(), problems: &mut problems };
    let value = building.value(&node, at, None)?;
    let mut origins = building.origins;
    for origin in origins.values_mut() {
        origin.key = place.clone();
        origin.value = place.clone();
    }
    let is_whole = problems.is_empty() && !matches!(value, Value::String(..));
    is_whole.then_some((value, origins))
}

/// What YAML knows of a value.
enum Node {
    Text(String),
    /// A plain scalar that looks like a number or a boolean: its text is read from the source.
    Plain,
    Null,
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

struct Building<'a> {
    text: &'a str,
    file: &'a Arc<str>,
    origins: BTreeMap<Path, Origin>,
    problems: &'a mut Vec<Problem>,
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: ALIASED_NODES_MAX,
        },
        // Every duplicate is reported, not only the first.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

// === impl Building ===

impl Building<'_> {
    fn document(&mut self) -> Dict {
        let whole = Location::UNKNOWN;
        if self.text.len() > FILE_BYTES_MAX {
            let message = format!("larger than {FILE_BYTES_MAX} bytes");
            self.report(whole, &Path::default(), message);
            return Dict::new();
        }
        let node =
            serde_saphyr::from_str_with_options::<Option<Spanned<Node>>>(self.text, options());
        match node {
            Ok(None) => Dict::new(),
            Ok(Some(node)) => match self.value(&node, &Path::default(), None) {
                Some(Value::Dict(_, dict)) => dict,
                None if matches!(node.value, Node::Null) => Dict::new(),
                _ => {
                    let message = "expected a mapping of keys to values".to_owned();
                    self.report(node.referenced, &Path::default(), message);
                    Dict::new()
                }
            },
            Err(error) => {
                let at = error.location().unwrap_or(whole);
                self.report(at, &Path::default(), one_line(&error));
                Dict::new()
            }
        }
    }

    fn value(&mut self, node: &Spanned<Node>, at: &Path, key: Option<Location>) -> Option<Value> {
        let own = self.place(node.referenced);
        let key = key.map_or_else(|| own.clone(), |key| self.place(key));
        let is_scalar = !matches!(node.value, Node::List(_) | Node::Map(_));
        let value = if is_scalar { own } else { key.clone() };
        self.origins.insert(at.clone(), Origin { path: at.clone(), key, value });
        match &node.value {
            Node::Text(text) => Some(Value::from(text.as_str())),
            Node::Plain => Some(Value::from(self.source(node.defined))),
            Node::Null if may_be_null(at) => Some(Value::from("null")),
            Node::Null => {
                if !at.0.is_empty() {
                    let message = "has no value; write one ({} for all defaults) or remove the key";
                    self.report(node.referenced, at, message.to_owned());
                }
                None
            }
            Node::List(list) => {
                let mut values = Vec::with_capacity(list.len());
                for element in list {
                    values.extend(self.value(element, &at.join(values.len()), None));
                }
                Some(Value::from(values))
            }
            Node::Map(entries) => Some(Value::from(self.map(entries, at))),
        }
    }

    fn map(&mut self, entries: &[(Spanned<String>, Spanned<Node>)], at: &Path) -> Dict {
        let mut dict = Dict::new();
        let mut seen = BTreeMap::new();
        for (key, node) in entries {
            let path = at.join(&key.value);
            if let Some(first) = seen.insert(key.value.as_str(), key.referenced.line()) {
                let message = format!("the key is there twice, first in line {first}");
                self.report(key.referenced, &path, message);
                continue;
            }
            if let Some(value) = self.value(node, &path, Some(key.referenced)) {
                dict.insert(key.value.clone(), value);
            }
        }
        dict
    }

    /// The text of a plain scalar. It stands between white space and punctuation.
    fn source(&self, at: Location) -> &str {
        let byte = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
        let (from, len) = (byte(at.span().byte_offset()), byte(at.span().byte_len()));
        let range = from.zip(len).map(|(from, len)| from..from + len);
        range.and_then(|range| self.text.get(range)).unwrap_or_default().trim()
    }

    fn place(&self, at: Location) -> Place {
        Place::File { file: Arc::clone(self.file), line: at.line(), column: at.column() }
    }

    fn report(&mut self, at: Location, path: &Path, message: String) {
        let place = self.place(at);
        self.problems.push(Problem { place, path: path.to_string(), message });
    }
}

/// Where an absent value means something of its own: `connectors.<name>.queue`.
fn may_be_null(at: &Path) -> bool {
    matches!(at.0.as_slice(), [connectors, _, queue] if connectors == "connectors" && queue == "queue")
}

/// The parser's message without its position, which the problem has already.
fn one_line(error: &serde_saphyr::Error) -> String {
    let message = error.without_snippet().to_string();
    let message = message.lines().next().unwrap_or_default();
    if message.contains("Documents") {
        return "expected one document, found a second".to_owned();
    }
    if message.starts_with("budget breached") || message.contains("limit exceeded") {
        return format!(
            "too large: expected at most {NODES_MAX} values, {DEPTH_MAX} levels and \
             {ALIASED_NODES_MAX} values by alias"
        );
    }
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message).to_owned()
}

// === impl Node ===

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Plain)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = seq.next_element()? {
            list.push(element);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}
