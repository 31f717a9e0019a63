use std::fmt;

use smol_str::SmolStr;

/// The longest topic that every broker takes, in bytes (Kafka's limit).
pub const TOPIC_LEN_MAX: usize = 249;

/// A name that is valid as a Kafka topic, an AMQP routing key and a NATS subject alike:
/// non-empty tokens of `A-Z a-z 0-9 - _`, joined by single dots, at most [`TOPIC_LEN_MAX`] bytes.
///
/// `vod.NewFileUpload` is a topic; `vod..x`, `vod.*` and `vod.>` are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(SmolStr);

/// Why a name is no [`Topic`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// The name has no characters, or two dots stand together, or one stands at an end.
    #[error("topic {0:?} has an empty part")]
    EmptyToken(String),
    /// A character that some broker gives a meaning of its own.
    #[error("topic {topic:?} has {found:?}; a topic is made of letters, digits, '-', '_' and '.'")]
    Character {
        /// The name.
        topic: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// Longer than [`TOPIC_LEN_MAX`] bytes.
    #[error("topic of {0} bytes; the longest that every broker takes is {TOPIC_LEN_MAX}")]
    TooLong(usize),
}

impl Topic {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// The first rule of [`Topic`] that it breaks.
    pub fn new(name: impl Into<SmolStr>) -> Result<Self, InvalidTopic> {
        let name = name.into();
        if name.len() > TOPIC_LEN_MAX {
            return Err(InvalidTopic::TooLong(name.len()));
        }
        if let Some(found) = name.chars().find(|&c| c != '.' && !is_token_char(c)) {
            return Err(InvalidTopic::Character { topic: name.to_string(), found });
        }
        if name.split('.').any(str::is_empty) {
            return Err(InvalidTopic::EmptyToken(name.to_string()));
        }
        Ok(Self(name))
    }

    /// Makes one token of any text: what a token cannot hold becomes `_`, what is too long is cut
    /// at `len_max` bytes, nothing becomes `_`.
    ///
    /// Different texts may become one token; who must tell them apart looks at the event.
    pub fn token(text: &str, len_max: usize) -> SmolStr {
        if text.is_empty() {
            return SmolStr::new_static("_");
        }
        if text.len() <= len_max && text.chars().all(is_token_char) {
            return SmolStr::new(text);
        }
        text.chars().map(|c| if is_token_char(c) { c } else { '_' }).take(len_max).collect()
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_every_broker_takes_and_nothing_else() {
        for good in ["vod", "vod.NewFileUpload", "vod.v2.x-1_y", &"a".repeat(249)] {
            assert_eq!(Topic::new(good).map(|t| t.as_str().to_owned()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            ".",
            "vod.",
            ".vod",
            "vod..x",
            "vod.*",
            "vod.>",
            "a b",
            "é",
            "a\n",
            &"a".repeat(250),
        ] {
            assert!(Topic::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn any_text_becomes_one_valid_token() {
        for (text, token) in
            [("NewFileUpload", "NewFileUpload"), ("", "_"), ("a.b c", "a_b_c"), ("视频", "__")]
        {
            assert_eq!(Topic::token(text, 100), token);
            assert!(Topic::new(Topic::token(text, 100)).is_ok());
        }
        assert_eq!(Topic::token("abcdef", 3), "abc");
    }
}
