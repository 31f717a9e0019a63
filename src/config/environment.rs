//! Environment variables over the file: `VODBRIDGE__HTTP__LISTEN` is `http.listen`.
//!
//! Two underscores divide, because Kubernetes injects `VODBRIDGE_PORT=tcp://...` for a service
//! named `vodbridge`. Keys and names are lower-case, whatever the variable's case.

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;

use figment::value::{Dict, Value};

use super::tree::{Origin, Path, Tree};
use super::yaml;
use super::{Place, Problem};

const PREFIX: &str = "VODBRIDGE__";

/// The process's own environment, as [`Config::load`](super::Config::load) takes it.
///
/// Variables that are not UTF-8 are left out, unless they have the prefix: those come with
/// U+FFFD in place of what is not, and are judged like the others.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let value = match value.into_string() {
            Ok(value) => value,
            Err(value) if name.starts_with(PREFIX) => value.to_string_lossy().into_owned(),
            Err(_) => return None,
        };
        Some((name, value))
    })
}

/// Whether the process runs in a pod: Kubernetes says so to each container ("Accessing the
/// Kubernetes API from a Pod").
pub fn is_in_pod() -> bool {
    env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// The tree of all `variables` with the prefix. Values are texts; what is a list or a map in
/// YAML's flow style is read as one.
pub(super) fn read(variables: &BTreeMap<String, String>, problems: &mut Vec<Problem>) -> Tree {
    let mut values = Dict::new();
    let mut origins = BTreeMap::new();
    for (name, text) in variables {
        let Some(keys) = name.strip_prefix(PREFIX) else { continue };
        let path = Path(keys.split("__").map(str::to_lowercase).collect());
        let place = Place::Variable(Arc::from(name.as_str()));
        let (value, inner) = value(text, &path, &place);
        if let Err(message) = insert(&mut values, &path.0, value) {
            problems.push(Problem { place, path: path.to_string(), message: message.to_owned() });
            continue;
        }
        for len in 1..=path.0.len() {
            let path = Path(path.0[..len].to_vec());
            let origin = Origin { path: path.clone(), key: place.clone(), value: place.clone() };
            origins.entry(path).or_insert(origin);
        }
        origins.extend(inner);
    }
    Tree::new(values, origins)
}

/// A text that begins like a list or map but cannot be read as one stays a text: its key's type
/// says what it makes of it. So does `{event_type}`, a map without values.
fn value(text: &str, at: &Path, place: &Place) -> (Value, BTreeMap<Path, Origin>) {
    let flow = if text.trim_start().starts_with(['[', '{']) {
        yaml::read_flow(text, at, place)
    } else {
        None
    };
    flow.unwrap_or_else(|| (Value::from(text), BTreeMap::new()))
}

fn insert(values: &mut Dict, path: &[String], value: Value) -> Result<(), &'static str> {
    let (last, parents) = path.split_last().expect("a split text has at least one part");
    let mut dict = values;
    for key in parents {
        let child = dict.entry(key.clone()).or_insert_with(|| Value::from(Dict::new()));
        let Value::Dict(_, child) = child else {
            return Err("another variable has set what this one is a part of");
        };
        dict = child;
    }
    match dict.insert(last.clone(), value) {
        None => Ok(()),
        Some(_) => Err("another variable has set this, or a part of it"),
    }
}
