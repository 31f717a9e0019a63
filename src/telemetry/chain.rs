//! Errors with their causes, in one line.

use std::error::Error;
use std::fmt;

/// An error with all its causes, in one line: every `Display` in the bridge speaks for one level
/// only, and this joins the levels wherever a failure is logged or shown.
#[derive(Debug)]
pub struct Chain<'a, E: ?Sized>(pub &'a E);

impl<E: Error + ?Sized> fmt::Display for Chain<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Some libraries speak for their cause as well.
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Level(&'static str, #[source] Option<Box<Level>>);

    #[test]
    fn each_level_is_said_once() {
        let cause = Level("no exchange 'vod'", None);
        let repeated = Level("channel closed: no exchange 'vod'", Some(Box::new(cause)));
        let top = Level("nothing can be published", Some(Box::new(repeated)));
        let said = "nothing can be published: channel closed: no exchange 'vod'";
        assert_eq!(Chain(&top).to_string(), said);
    }
}
