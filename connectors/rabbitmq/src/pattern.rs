/// Whether a topic exchange routes `key` to a binding for `pattern`.
///
/// RabbitMQ, "AMQP 0-9-1 Model Explained": words between dots; `*` stands for exactly one word,
/// `#` for any number of words, none included.
pub(crate) fn matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<_> = pattern.split('.').collect();
    // How much of the pattern may have been used up before each word: one row of the usual table.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_hashes(&pattern, &mut reached);
    for word in key.split('.') {
        let mut next = vec![false; pattern.len() + 1];
        for (at, part) in pattern.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match *part {
                "#" => next[at] = true,
                part if part == "*" || part == word => next[at + 1] = true,
                _ => {}
            }
        }
        skip_hashes(&pattern, &mut next);
        reached = next;
    }
    reached[pattern.len()]
}

fn skip_hashes(pattern: &[&str], reached: &mut [bool]) {
    for (at, part) in pattern.iter().enumerate() {
        if reached[at] && *part == "#" {
            reached[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stars_and_hashes() {
        for (pattern, key) in [
            ("vod.#", "vod"),
            ("vod.#", "vod.NewFileUpload"),
            ("vod.#", "vod.v2.NewFileUpload"),
            ("#", "vod"),
            ("vod.*", "vod.a"),
            ("#.a", "vod.b.a"),
            ("vod.#.a", "vod.a"),
            ("*.#.*", "a.b"),
            ("vod.a", "vod.a"),
        ] {
            assert!(matches(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in [
            ("vod.*", "vod"),
            ("vod.*", "vod.a.b"),
            ("vod.#", "vodka.a"),
            ("vod.a", "vod.b"),
            ("", "vod"),
            ("*.#.*", "a"),
        ] {
            assert!(!matches(pattern, key), "{pattern} {key}");
        }
    }
}
