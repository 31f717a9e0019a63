use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes, never zero; written `16MiB`, `64KiB`, `1GB` or as plain bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// What a text is that is no [`Size`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a size above zero such as 16MiB, 64KiB or 4096 (bytes)")]
pub struct InvalidSize;

/// Longest name first where one ends like another; `16Mi` is how Kubernetes writes it.
const UNITS: [(&str, u64); 15] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
    ("", 1),
];

// === impl Size ===

impl Size {
    pub(super) const fn mebibytes(count: u64) -> Self {
        assert!(count > 0, "a size is never zero");
        Self(count << 20)
    }

    pub(super) const fn kibibytes(count: u64) -> Self {
        assert!(count > 0, "a size is never zero");
        Self(count << 10)
    }

    /// Half of it, and one byte at least.
    pub(super) fn half(self) -> Self {
        Self((self.0 / 2).max(1))
    }

    /// What is left without `other`, and one byte at least.
    pub(super) fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(1))
    }

    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let (number, unit) = UNITS
            .iter()
            .find_map(|&(name, unit)| Some((text.strip_suffix(name)?.trim_end(), unit)))
            .ok_or(InvalidSize)?;
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidSize);
        }
        let bytes = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
        bytes.filter(|&bytes| bytes > 0).map(Self).ok_or(InvalidSize)
    }
}

/// In the largest binary unit that divides it.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS[..4].iter().rev().find(|(_, unit)| self.0.is_multiple_of(*unit));
        let (name, unit) = binary.copied().unwrap_or(("", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|e: InvalidSize| de::Error::custom(format!("found {text:?}, {e}")))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes above zero: 16MiB, 64KiB, 1GB, or plain bytes.",
            "anyOf": [
                { "type": "string", "pattern": "^[0-9]+ *([KMGT]i?B|kB|[KMGT]i|B)?$" },
                { "type": "integer", "minimum": 1 },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_above_zero_with_a_unit() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("16MiB", Some(16 << 20)),
            ("64 KiB", Some(64 << 10)),
            ("1GB", Some(1_000_000_000)),
            ("16Mi", Some(16 << 20)),
            ("12B", Some(12)),
            ("0", None),
            ("0MiB", None),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("+1", None),
            ("1.5GiB", None),
            ("1e3", None),
            ("16M", None),
            ("lots", None),
            ("99999999TiB", None),
        ] {
            assert_eq!(text.parse::<Size>().ok().map(Size::bytes), bytes, "{text:?}");
        }
    }

    #[test]
    fn a_size_is_written_as_it_would_be_read() {
        for text in ["1", "1000", "64KiB", "16MiB", "1GiB", "1536MiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }
}
