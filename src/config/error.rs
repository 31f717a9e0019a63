use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Everything that is wrong with a configuration, sorted by place. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<Problem>);

/// One thing that is wrong with a configuration, or worth a warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// The key it is about, its parents before it: `applications.movies.callback.body_max`;
    /// elements of lists are counted from zero: `routes.0.to.1`. Empty for the whole.
    pub path: String,
    /// What was found and what was expected, without a full stop.
    pub message: String,
}

/// Where something in a configuration was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file.
    File {
        /// Its name, as it was given.
        file: Arc<str>,
        /// The line, from 1; 0 for the file as a whole.
        line: u64,
        /// The column in characters, from 1.
        column: u64,
    },
    /// In an environment variable of this name.
    Variable(Arc<str>),
    /// Nowhere: it follows from a default.
    Default,
}

// === impl Errors ===

impl Errors {
    /// Sorted; no errors are `Ok`.
    pub(super) fn check(mut problems: Vec<Problem>) -> Result<(), Self> {
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(Self(problems)) }
    }

    /// The errors, in the order of their places.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

/// One a line.
impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let newline = if n == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl Error for Errors {}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line: 0, .. } => f.write_str(file),
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// How many slips of the pen a suggestion mends.
const DISTANCE_MAX: usize = 3;

/// `; did you mean ...?` with the name among `known` that is nearest to `found`, or nothing when
/// none is near.
pub(super) fn did_you_mean<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let found = found.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&found, &name.to_lowercase());
    let nearest = known.into_iter().min_by_key(|name| distance(name));
    match nearest {
        Some(name) if distance(name) <= DISTANCE_MAX.min((name.len() + 1) / 3) => {
            format!("; did you mean {name:?}?")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["listen", "tls", "header_timeout"];
        for (found, suggestion) in [
            ("lisen", "; did you mean \"listen\"?"),
            ("LISTEN", "; did you mean \"listen\"?"),
            ("header-timeout", "; did you mean \"header_timeout\"?"),
            ("port", ""),
        ] {
            assert_eq!(did_you_mean(found, known), suggestion, "{found}");
        }
        assert_eq!(did_you_mean("x", []), "");
    }
}
