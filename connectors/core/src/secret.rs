use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::BoxError;

/// A secret that is looked up anew whenever it is used, so that an exchanged one needs no restart.
///
/// Neither the secret nor anything of it is in its [`Debug`](fmt::Debug).
#[derive(Clone)]
pub struct Secret(Arc<dyn Fn() -> Result<Bytes, BoxError> + Send + Sync>);

// === impl Secret ===

impl Secret {
    /// A secret that `read` looks up. It may block for as long as reading a small file takes, and
    /// its error holds nothing of the secret.
    pub fn new(read: impl Fn() -> Result<Bytes, BoxError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// A secret that never changes.
    pub fn fixed(secret: impl Into<Bytes>) -> Self {
        let secret = secret.into();
        Self::new(move || Ok(secret.clone()))
    }

    /// The secret as it is now.
    ///
    /// # Errors
    ///
    /// When there is none to be had: a file that is gone, a variable that is not set.
    pub fn read(&self) -> Result<Bytes, BoxError> {
        (self.0)()
    }

    /// The secret as text.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), and bytes that are no UTF-8.
    pub fn read_text(&self) -> Result<String, BoxError> {
        let secret = self.read()?;
        match std::str::from_utf8(&secret) {
            Ok(text) => Ok(text.to_owned()),
            // The error would print where it stands, and the bytes must not be printed.
            Err(_) => Err("the secret is no valid UTF-8".into()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::fixed("hunter2");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        assert_eq!(secret.read_text().unwrap(), "hunter2");
        let broken = Secret::fixed(&b"hunter\xff"[..]).read_text().unwrap_err();
        assert_eq!(broken.to_string(), "the secret is no valid UTF-8");
    }
}
