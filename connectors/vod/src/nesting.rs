use crate::literal;

/// The deepest nesting of objects and arrays that a message may have, the outermost object
/// counted. Whatever walks a message recurses at most this deep.
pub const NESTING_MAX: usize = 128;

/// The offset of the first bracket that opens more than [`NESTING_MAX`] levels. Needs no valid
/// JSON, and no stack.
pub(crate) fn too_deep_at(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => at = literal::string_end(text, at + 1),
            b'{' | b'[' if depth == NESTING_MAX => return Some(at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_bracket_too_many() {
        for (text, at) in [
            (String::new(), None),
            ("[".repeat(128), None),
            ("[".repeat(129), Some(128)),
            ("[]".repeat(1000), None),
            (format!("\"{}\\\"{}\"", "[".repeat(200), "{".repeat(200)), None),
            (format!("{} {{", "{".repeat(128)), Some(129)),
            ("\"\\".to_owned(), None),
        ] {
            assert_eq!(too_deep_at(text.as_bytes()), at, "{text}");
        }
    }
}
