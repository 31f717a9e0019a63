use std::borrow::Borrow;
use std::fmt;

use smol_str::SmolStr;

/// The longest name, in bytes.
pub const NAME_LEN_MAX: usize = 64;

/// The name of an application, a connector or a route: `a-z 0-9 _ -`, begun by a letter or a
/// digit, at most [`NAME_LEN_MAX`] bytes. It stands in URLs, topics, metrics and logs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(SmolStr);

/// What a text is that is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name: expected a-z, 0-9, '_' and '-', begun by a letter or digit, at most \
     {NAME_LEN_MAX} bytes"
)]
pub struct InvalidName(String);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// When it breaks a rule of [`Name`].
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let is_inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        let begins_well =
            name.bytes().next().is_some_and(|b| is_inner(b) && b != b'_' && b != b'-');
        if begins_well && name.len() <= NAME_LEN_MAX && name.bytes().all(is_inner) {
            Ok(Self(SmolStr::new(name)))
        } else {
            Err(InvalidName(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// So that a map by name can be asked with a text.
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_in_urls_topics_and_metrics() {
        for good in ["movies", "a", "0", "a_b-c9", &"a".repeat(64)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "_a", "-a", "Movies", "a.b", "a b", "é", &"a".repeat(65)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }
}
