use std::collections::BTreeMap;
use std::fmt;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::Place;

/// A configuration as it was written, scalars still texts: what a key's type makes of them is
/// for the reader to say. Knows where everything was written.
#[derive(Default)]
pub(super) struct Tree {
    values: Dict,
    origins: BTreeMap<Path, Origin>,
    pruned: Vec<Path>,
}

/// The way from the root to a value. Elements of lists are counted from zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path(pub(super) Vec<String>);

/// Where a value was written.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// Its path there: elements of lists change their numbers when one before them is pruned.
    pub(super) path: Path,
    /// Where its key stands.
    pub(super) key: Place,
    /// Where the value stands; for a map or list that is its key's place too, which says more
    /// than the place of its first element.
    pub(super) value: Place,
}

/// One source, as figment merges it.
struct Source<'a>(&'a Tree);

// === impl Tree ===

impl Tree {
    pub(super) fn new(values: Dict, origins: BTreeMap<Path, Origin>) -> Self {
        Self { values, origins, pruned: Vec::new() }
    }

    /// This tree with `over` laid over it: maps are merged, everything else is replaced.
    pub(super) fn overridden_by(mut self, over: Self) -> Self {
        let merged = Figment::from(Source(&self)).merge(Source(&over));
        let data = merged.data().expect("both sources are in memory");
        self.values = data.into_values().next().unwrap_or_default();
        for (path, origin) in over.origins {
            if !matches!(get(&over.values, &path), Some(Value::Dict(..))) {
                self.origins.retain(|p, _| !p.is_within(&path));
            }
            self.origins.insert(path, origin);
        }
        self
    }

    pub(super) fn values(&self) -> Value {
        Value::from(self.values.clone())
    }

    /// The keys of the map at `path`.
    pub(super) fn keys(&self, path: &Path) -> impl Iterator<Item = &str> {
        let dict = get(&self.values, path).and_then(Value::as_dict);
        dict.into_iter().flat_map(|dict| dict.keys().map(String::as_str))
    }

    /// Where the value at `path` was written, or else the nearest of its parents.
    pub(super) fn origin(&self, path: &Path) -> Origin {
        for len in (0..=path.0.len()).rev() {
            if let Some(origin) = self.origins.get(&Path(path.0[..len].to_vec())) {
                let mut origin = origin.clone();
                origin.path.0.extend_from_slice(&path.0[len..]);
                return origin;
            }
        }
        Origin { path: path.clone(), key: Place::Default, value: Place::Default }
    }

    /// Takes the value at `path`, or else the nearest of its parents, out of the tree, so that
    /// its default stands in and what else is wrong can be found. False at the root.
    pub(super) fn prune(&mut self, path: &Path) -> bool {
        let Some(path) = (1..=path.0.len())
            .rev()
            .map(|len| Path(path.0[..len].to_vec()))
            .find(|path| get(&self.values, path).is_some())
        else {
            return false;
        };
        self.pruned.push(self.origin(&path).path);
        let (last, parent) = path.0.split_last().expect("never the root");
        match get_mut(&mut self.values, parent) {
            Parent::Dict(dict) => {
                dict.remove(last);
                self.origins.retain(|p, _| !p.is_within(&path));
            }
            Parent::List(list) => {
                let at = last.parse().expect("found by its number");
                list.remove(at);
                self.renumber(parent, at);
            }
        }
        true
    }

    /// Whether a problem at `path` may only follow from something that was pruned.
    pub(super) fn is_near_pruned(&self, path: &Path) -> bool {
        self.pruned.iter().any(|pruned| pruned.is_within(path) || path.is_within(pruned))
    }

    /// Moves the origins of a list's elements after one of them was taken out.
    fn renumber(&mut self, list: &[String], removed: usize) {
        let depth = list.len();
        let origins = std::mem::take(&mut self.origins);
        self.origins.extend(origins.into_iter().filter_map(|(mut path, origin)| {
            if path.0.len() > depth && path.0.starts_with(list) {
                let at: usize = path.0[depth].parse().ok()?;
                if at == removed {
                    return None;
                }
                if at > removed {
                    path.0[depth] = (at - 1).to_string();
                }
            }
            Some((path, origin))
        }));
    }
}

enum Parent<'a> {
    Dict(&'a mut Dict),
    List(&'a mut Vec<Value>),
}

fn get<'a>(root: &'a Dict, path: &Path) -> Option<&'a Value> {
    let (first, rest) = path.0.split_first()?;
    rest.iter().try_fold(root.get(first)?, |value, key| match value.as_dict() {
        Some(dict) => dict.get(key),
        None => value.as_array()?.get(key.parse::<usize>().ok()?),
    })
}

fn get_mut<'a>(root: &'a mut Dict, path: &[String]) -> Parent<'a> {
    path.iter().fold(Parent::Dict(root), |parent, key| {
        let child = match parent {
            Parent::Dict(dict) => dict.get_mut(key),
            Parent::List(list) => key.parse::<usize>().ok().and_then(|at| list.get_mut(at)),
        };
        match child {
            Some(Value::Dict(_, dict)) => Parent::Dict(dict),
            Some(Value::Array(_, list)) => Parent::List(list),
            _ => unreachable!("the parent of a value that was found is a map or a list"),
        }
    })
}

// === impl Path ===

impl Path {
    pub(super) fn join(&self, key: impl fmt::Display) -> Self {
        let mut path = self.clone();
        path.0.push(key.to_string());
        path
    }

    /// Whether this is `outer` or lies in it.
    pub(super) fn is_within(&self, outer: &Self) -> bool {
        self.0.starts_with(&outer.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

// === impl Source ===

impl Provider for Source<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("configuration")
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.0.values.clone()))
    }
}
