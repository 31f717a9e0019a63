use smol_str::SmolStr;

/// A glob in which `*` stands for any text, the empty one included, and all else for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(SmolStr);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(glob: impl Into<SmolStr>) -> Self {
        Self(glob.into())
    }

    /// Whether the whole of `text` fits.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (glob, text, fits) in [
            ("*", "", true),
            ("*", "NewFileUpload", true),
            ("Aigc*", "AigcImageTaskComplete", true),
            ("Aigc*", "NewFileUpload", false),
            ("*Complete", "PullComplete", true),
            ("*Complete", "CompleteNot", false),
            ("New*Upload", "NewFileUpload", true),
            ("New*Upload", "NewUploa", false),
            ("a*a", "a", false),
            ("a*b*c", "a-b-b-c", true),
            ("PullComplete", "PullComplete", true),
            ("PullComplete", "PullCompleted", false),
            ("", "", true),
            ("", "x", false),
            ("*视*", "a视频", true),
        ] {
            assert_eq!(Pattern::new(glob).matches(text), fits, "{glob} on {text}");
        }
    }
}
