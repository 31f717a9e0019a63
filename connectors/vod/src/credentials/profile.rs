//! The profile file of the vendor's SDKs (spec 7.3), as text: INI, with a section for each
//! profile.
//!
//! ```text
//! [default]
//! secret_id = AKID...
//! secret_key = "..."
//! ```
//!
//! Pure. Messages name lines by their numbers and never show them: they may hold a secret.

use std::fmt;

/// A section of the file.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Names the key.
    pub secret_id: String,
    /// The key.
    pub secret_key: String,
    /// A role that is assumed with it.
    pub role_arn: Option<String>,
}

/// Why a file has no profile to use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A line is none of those there may be.
    #[error("line {0} is neither a [section], `name = value`, nor a comment: correct it")]
    Line(usize),
    /// A name stands twice in the section.
    #[error("line {0} sets a name for the second time: remove one of them")]
    Twice(usize),
    /// There is no such section.
    #[error("it has no section [{0}]: add it, or name another profile")]
    NoSection(String),
    /// A name is missing or has no value.
    #[error("[{section}] has no {name}: add it")]
    Missing {
        /// Where.
        section: String,
        /// Which.
        name: &'static str,
    },
}

/// Reads one section. Blanks around names and values are dropped, then one pair of quotes around
/// the value: the SDK keeps them, though its own help shows values in quotes. Names are not told
/// apart by case. Sections of one name count as one; other names are passed over.
///
/// # Errors
///
/// See [`ProfileError`]. What stands in other sections is not judged.
pub fn parse(text: &str, section: &str) -> Result<Profile, ProfileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut is_inside = false;
    let mut is_there = false;
    let [mut id, mut key, mut role] = [None, None, None];
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_inside = name.trim() == section;
            is_there |= is_inside;
            continue;
        }
        if !is_inside {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(ProfileError::Line(number))?;
        let slot = match name.trim().to_ascii_lowercase().as_str() {
            "secret_id" => &mut id,
            "secret_key" => &mut key,
            "role_arn" => &mut role,
            _ => continue,
        };
        if slot.replace(unquoted(value.trim())).is_some() {
            return Err(ProfileError::Twice(number));
        }
    }
    if !is_there {
        return Err(ProfileError::NoSection(section.to_owned()));
    }
    let needed = |value: Option<&str>, name| match value {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(ProfileError::Missing { section: section.to_owned(), name }),
    };
    Ok(Profile {
        secret_id: needed(id, "secret_id")?,
        secret_key: needed(key, "secret_key")?,
        role_arn: role.filter(|role| !role.is_empty()).map(str::to_owned),
    })
}

fn unquoted(value: &str) -> &str {
    let within = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

/// The name of the key alone.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("secret_id", &self.secret_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_one_pair_of_quotes_are_dropped() {
        let text = "\u{feff}# mine\r\n[default]\r\n secret_id = \" AKID\"\r\nSECRET_KEY='a=\"b'\r\n\
                    role_arn=\n[other]\nsecret_id=o\nsecret_key=\"\"k\"\"\nrole_arn= qcs::cam:x \n";
        let profile = parse(text, "default").unwrap();
        assert_eq!((&*profile.secret_id, &*profile.secret_key), (" AKID", "a=\"b"));
        assert_eq!(profile.role_arn, None);
        let other = parse(text, "other").unwrap();
        assert_eq!(other.secret_key, "\"k\"");
        assert_eq!(other.role_arn.as_deref(), Some("qcs::cam:x"));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_without_the_line() {
        let missing = |name| ProfileError::Missing { section: "default".into(), name };
        for (text, expected) in [
            ("", ProfileError::NoSection("default".into())),
            ("secret_id=a\nsecret_key=b", ProfileError::NoSection("default".into())),
            ("[default]\nhunter2", ProfileError::Line(2)),
            ("[default]\nsecret_id=a\nsecret_id=b", ProfileError::Twice(3)),
            ("[default]\nsecret_key=b", missing("secret_id")),
            ("[default]\nsecret_id=a\nsecret_key=''", missing("secret_key")),
        ] {
            let error = parse(text, "default").unwrap_err();
            assert!(!error.to_string().contains("hunter2"));
            assert_eq!(error, expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]=#;\"' \n\ra-z_]{0,80}", name in "[a-z ]{0,3}") {
            parse(&text, &name).ok();
        }
    }
}
