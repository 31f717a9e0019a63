//! From a tree of texts to types, with everything that does not fit reported at once.

use figment::error::{Actual, Kind};
use serde::de::DeserializeOwned;

use super::deserializer::{TAG, ValueDeserializer};
use super::error::did_you_mean;
use super::tree::{Path, Tree};
use super::{Place, Problem};

/// How many problems of shape are reported before the reader gives up.
const PROBLEMS_MAX: usize = 100;

/// Reads the whole tree.
///
/// A deserializer stops at the first error. What is wrong is therefore pruned from the tree and
/// the rest is read again, until it fits: every turn makes the tree smaller.
pub(super) fn read<T: DeserializeOwned + Default>(
    tree: &mut Tree,
    problems: &mut Vec<Problem>,
) -> T {
    for _ in 0..PROBLEMS_MAX {
        let error = match T::deserialize(ValueDeserializer(&tree.values())) {
            Ok(read) => return read,
            Err(error) => error,
        };
        let mut path = Path(error.path);
        let origin = tree.origin(&path);
        let is_key = matches!(error.kind, Kind::UnknownField(..) | Kind::MissingField(..));
        let place = if is_key { origin.key } else { origin.value };
        let mut message = message(error.kind);
        if matches!(place, Place::Variable(_)) && message.contains("expected a list") {
            message.push_str("; a variable sets a list whole, like [a, b]");
        }
        problems.push(Problem { place, path: origin.path.to_string(), message });
        // Without its type nothing can be said of the rest.
        path.0.pop_if(|key| key == TAG);
        if !tree.prune(&path) {
            break;
        }
    }
    T::default()
}

fn message(kind: Kind) -> String {
    match kind {
        Kind::Message(message) => message,
        Kind::InvalidType(found, expected_type) | Kind::InvalidValue(found, expected_type) => {
            format!("found {}, expected {}", actual(&found), expected(&expected_type))
        }
        Kind::UnknownVariant(found, known) => {
            let nearest = did_you_mean(&found, known.iter().copied());
            format!("found {found:?}, expected {}{nearest}", one_of(known))
        }
        Kind::UnknownField(found, known) => {
            let nearest = did_you_mean(&found, known.iter().copied());
            if nearest.is_empty() {
                format!("unknown key, expected {}", one_of(known))
            } else {
                format!("unknown key{nearest}")
            }
        }
        Kind::MissingField(field) => format!("the key {field:?} is missing"),
        Kind::DuplicateField(field) => format!("the key {field:?} is there twice"),
        other @ (Kind::InvalidLength(..)
        | Kind::ISizeOutOfRange(_)
        | Kind::USizeOutOfRange(_)
        | Kind::Unsupported(_)
        | Kind::UnsupportedKey(..)) => other.to_string(),
    }
}

fn one_of(known: &[&str]) -> String {
    let quoted: Vec<_> = known.iter().map(|name| format!("{name:?}")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

fn actual(found: &Actual) -> String {
    if let Actual::Str(text) = found {
        format!("{text:?}")
    } else if let Actual::Unsigned(number) = found {
        number.to_string()
    } else if *found == Actual::Map {
        "a mapping".to_owned()
    } else if *found == Actual::Seq {
        "a list".to_owned()
    } else {
        found.to_string()
    }
}

/// Serde's name of a type, in words for people.
fn expected(name: &str) -> &str {
    match name {
        "a nonzero u64" | "a nonzero usize" | "a nonzero u32" => "a whole number above zero",
        "u64" | "usize" | "u32" => "a whole number",
        "a boolean" => "true or false",
        "a map" => "a mapping",
        "a sequence" => "a list",
        "a string" | "path string" => "a text",
        _ if name.starts_with("struct ") => "a mapping",
        _ if name.starts_with("enum ") => "a mapping with the key \"type\"",
        _ => name,
    }
}
