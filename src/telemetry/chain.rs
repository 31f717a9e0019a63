//! Errors with their causes, in one line.

use std::error::Error;
use std::fmt;

/// An error with all its causes, in one line: every `Display` in the bridge speaks for one level
/// only, and this joins the levels wherever a failure is logged or shown.
#[derive(Debug)]
pub struct Chain<'a, E: ?Sized>(pub &'a E);

impl<E: Error + ?Sized> fmt::Display for Chain<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
