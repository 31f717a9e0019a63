use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::report::Report;
use super::secret::{Rule, Secret, SecretError, Secrets};
use super::tree::Path;

/// How often files are looked at again, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Secrets that are valid together, and that follow their files. Cheap to clone.
#[derive(Clone)]
pub struct SecretCell(Arc<Cell>);

struct Cell {
    path: String,
    secrets: Vec<Secret>,
    rule: Rule,
    variables: BTreeMap<String, String>,
    has_files: bool,
    current: RwLock<Arc<[Bytes]>>,
    opened: Instant,
    /// In milliseconds after `opened`.
    next_look: AtomicU64,
    /// Whether the last look failed and was reported. Held by whoever looks.
    failing: Mutex<bool>,
}

// === impl SecretCell ===

impl SecretCell {
    /// Reads all `secrets`, which stand at the key `path` of the configuration.
    ///
    /// # Errors
    ///
    /// Each secret that cannot be read, with its number.
    pub(super) fn open(
        path: String,
        secrets: Secrets,
        rule: Rule,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<(usize, SecretError)>> {
        let read = secrets.0.iter().map(|secret| secret.read(variables, rule));
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for (n, result) in read.enumerate() {
            match result {
                Ok(value) => values.push(value),
                Err(error) => errors.push((n, error)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let named =
            |name: &String| secrets.0.iter().any(|s| matches!(s, Secret::Variable(v) if v == name));
        let variables = variables.iter().filter(|(name, _)| named(name));
        Ok(Self(Arc::new(Cell {
            path,
            rule,
            variables: variables.map(|(k, v)| (k.clone(), v.clone())).collect(),
            has_files: secrets.0.iter().any(|s| matches!(s, Secret::File(_))),
            secrets: secrets.0,
            current: RwLock::new(values.into()),
            opened: Instant::now(),
            next_look: AtomicU64::new(millis(LOOK_EVERY)),
            failing: Mutex::new(false),
        })))
    }

    /// The secrets that are valid now, never empty.
    ///
    /// Once a second one of the callers reads the files first, which takes it some ten
    /// microseconds on a local disk; the others never wait for it. A file that cannot be read,
    /// or holds no secret any more, leaves the last good values in place and is logged once.
    pub fn current(&self) -> Arc<[Bytes]> {
        if self.0.has_files && self.0.is_due() {
            self.0.look();
        }
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for SecretCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretCell").field(&self.0.secrets).finish()
    }
}

/// Opens what stands at `at`, if anything does; what cannot be read is reported.
pub(super) fn open(
    secrets: Option<Secrets>,
    rule: Rule,
    at: &Path,
    report: &mut Report<'_>,
) -> Option<SecretCell> {
    let secrets = secrets?;
    let is_list = secrets.0.len() > 1;
    match SecretCell::open(at.to_string(), secrets, rule, report.variables) {
        Ok(cell) => Some(cell),
        Err(errors) => {
            for (n, error) in errors {
                let at = if is_list { at.join(n) } else { at.clone() };
                report.problem(&at, error.to_string());
            }
            None
        }
    }
}

// === impl Cell ===

impl Cell {
    /// True for one caller each time that [`LOOK_EVERY`] has passed.
    fn is_due(&self) -> bool {
        let now = millis(self.opened.elapsed());
        let next = self.next_look.load(Ordering::Relaxed);
        let after = now.saturating_add(millis(LOOK_EVERY));
        now >= next
            && self
                .next_look
                .compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn look(&self) {
        // Whoever looks already, on a disk that takes its time, looks for all.
        let Ok(mut failing) = self.failing.try_lock() else { return };
        let read = self.secrets.iter().map(|secret| secret.read(&self.variables, self.rule));
        match read.collect::<Result<Vec<_>, _>>() {
            Ok(values) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                if **current != *values {
                    *current = values.into();
                    tracing::info!(key = self.path, "a secret has changed");
                }
                *failing = false;
            }
            Err(error) => {
                if !*failing {
                    tracing::error!(
                        key = self.path,
                        error = %error,
                        "a secret cannot be read again, the last one stays valid"
                    );
                }
                *failing = true;
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn open(secrets: Vec<Secret>) -> Result<SecretCell, Vec<(usize, SecretError)>> {
        let variables = BTreeMap::from([("TOKEN".to_owned(), "0123\n".to_owned())]);
        SecretCell::open("key".to_owned(), Secrets(secrets), Rule::Any, &variables)
    }

    fn file(path: &Path) -> SecretCell {
        open(vec![Secret::File(path.to_owned())]).unwrap()
    }

    async fn a_second() {
        tokio::time::advance(LOOK_EVERY).await;
    }

    #[test]
    fn secrets_are_taken_as_they_are_but_for_one_end_of_line() {
        for (written, read) in
            [("0123", "0123"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a ")]
        {
            let plain = Secret::Plain(Bytes::from_static(written.as_bytes()));
            assert_eq!(open(vec![plain]).unwrap().current()[..], [read]);
        }
        assert_eq!(
            open(vec![Secret::Variable("TOKEN".to_owned())]).unwrap().current()[..],
            ["0123"]
        );
    }

    #[test]
    fn a_secret_is_never_shown() {
        let cell = open(vec![
            Secret::Plain(Bytes::from_static(b"hunter2")),
            Secret::Variable("TOKEN".to_owned()),
        ]);
        let shown = format!("{:?}", cell.unwrap());
        assert_eq!(shown, "SecretCell([[redacted], { env: TOKEN }])");
    }

    #[test]
    fn every_secret_that_cannot_be_read_is_an_error() {
        let errors = open(vec![
            Secret::Plain(Bytes::from_static(b"\n")),
            Secret::Plain(Bytes::from_static(b"good")),
            Secret::Variable("NONE".to_owned()),
            Secret::File("/".into()),
        ])
        .unwrap_err();
        let errors: Vec<_> = errors.iter().map(|(n, e)| format!("{n}: {e}")).collect();
        assert_eq!(
            errors,
            [
                "0: the secret is empty",
                "2: the environment variable NONE is not set",
                "3: the file / cannot be read: not a file",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_read_again_within_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "old\n").unwrap();
        let cell = file(&path);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(cell.current()[..], ["old"]);
        a_second().await;
        assert_eq!(cell.current()[..], ["new"]);
        assert_eq!(cell.clone().current()[..], ["new"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_or_emptied_file_leaves_the_last_secret_valid() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "good").unwrap();
        let cell = file(&path);
        for _ in 0..2 {
            fs::remove_file(&path).unwrap();
            a_second().await;
            assert_eq!(cell.current()[..], ["good"]);
            assert!(*cell.0.failing.lock().unwrap());
            fs::write(&path, "\n").unwrap();
            a_second().await;
            assert_eq!(cell.current()[..], ["good"]);
        }
        fs::write(&path, "better").unwrap();
        a_second().await;
        assert_eq!(cell.current()[..], ["better"]);
        assert!(!*cell.0.failing.lock().unwrap());
    }
}
