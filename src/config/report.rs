use std::collections::BTreeMap;

use super::Problem;
use super::tree::{Path, Tree};

/// What the checks found, and what they need to know for it.
pub(super) struct Report<'a> {
    pub(super) variables: &'a BTreeMap<String, String>,
    /// None: nobody knows them, and no pattern is doubted.
    pub(super) known_event_types: &'a [&'a str],
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    tree: &'a Tree,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        tree: &'a Tree,
        variables: &'a BTreeMap<String, String>,
        known_event_types: &'a [&'a str],
    ) -> Self {
        Self { variables, known_event_types, problems: Vec::new(), warnings: Vec::new(), tree }
    }

    /// Reports what is wrong at `path`, unless it may only follow from something that the reader
    /// has reported and pruned.
    pub(super) fn problem(&mut self, path: &Path, message: impl Into<String>) {
        if let Some(problem) = self.about(path, message.into()) {
            self.problems.push(problem);
        }
    }

    /// Reports what is doubtful at `path`.
    pub(super) fn warning(&mut self, path: &Path, message: impl Into<String>) {
        if let Some(warning) = self.about(path, message.into()) {
            self.warnings.push(warning);
        }
    }

    /// Reports `message` unless `holds`.
    pub(super) fn expect(&mut self, holds: bool, path: &Path, message: impl Into<String>) {
        if !holds {
            self.problem(path, message);
        }
    }

    fn about(&self, path: &Path, message: String) -> Option<Problem> {
        let origin = self.tree.origin(path);
        let is_consequence = self.tree.is_near_pruned(&origin.path);
        (!is_consequence).then(|| Problem {
            place: origin.value,
            path: origin.path.to_string(),
            message,
        })
    }
}
