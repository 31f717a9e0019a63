use std::fmt;

/// A glob in which `*` stands for any text, the empty one included; everything else is itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Every text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether the whole of `text` matches. Takes no more than text times pattern steps.
    pub fn matches(&self, text: &str) -> bool {
        let Some((head, tail)) = self.0.split_once('*') else {
            return *self.0 == *text;
        };
        let Some(mut rest) = text.strip_prefix(head) else {
            return false;
        };
        // Between two stars the first fit leaves the most for what follows.
        let mut parts = tail.split('*');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_is_special() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("*", "NewFileUpload", true),
            ("", "", true),
            ("", "a", false),
            ("Aigc*", "AigcImageTaskComplete", true),
            ("Aigc*", "Aigc", true),
            ("Aigc*", "xAigc", false),
            ("*Complete", "PullComplete", true),
            ("*Complete", "CompletePull", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**b", "ab", true),
            ("a?c", "abc", false),
            ("视*频", "视x频", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern:?} {text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_definition(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            fn defined(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|n| defined(rest, &text[n..])),
                    Some((c, rest)) => text.first() == Some(c) && defined(rest, &text[1..]),
                }
            }
            let expected = defined(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), expected);
        }
    }
}
