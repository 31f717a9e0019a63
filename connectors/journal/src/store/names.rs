//! Names of connectors as one column holds them.

use smol_str::SmolStr;

/// Parts the names: no name of a connector has one.
const SEPARATOR: char = ',';

pub(crate) fn joined(names: &[SmolStr]) -> String {
    names.join(&SEPARATOR.to_string())
}

pub(crate) fn parted(text: &str) -> Vec<SmolStr> {
    text.split(SEPARATOR).filter(|name| !name.is_empty()).map(SmolStr::new).collect()
}
