use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::Size;
use super::error::did_you_mean;
use super::report::Report;
use super::tree::Path;

/// What the whole process may hold at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How many bytes of bodies being read, replies and events under way there may be; what
    /// comes beyond waits.
    pub in_flight_bytes: Size,
    /// How many connections there may be to the callback address; further ones wait in
    /// the system's backlog.
    pub connections: NonZeroUsize,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least important level that is logged: error, warn, info, debug or trace; or a filter
    /// by module such as `info,vodbridge::route=debug`. Client libraries say nothing below debug:
    /// their trace holds bodies and passwords.
    pub level: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, json elsewhere.
    #[default]
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

const CONNECTIONS_MAX: usize = 1_000_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_bytes: Size::mebibytes(256),
            connections: NonZeroUsize::new(10_000).expect("not zero"),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::default(), level: "info".to_owned() }
    }
}

// === checks ===

impl Log {
    pub(super) fn check(&self, at: &Path, report: &mut Report<'_>) {
        let at = at.join("level");
        if let Err(why) = EnvFilter::builder().parse(&self.level) {
            return report.problem(&at, format!("found {:?}: {why}", self.level));
        }
        if self.level.contains('[') {
            return; // commas stand in a filter of spans, too
        }
        // A filter takes any other word for a module, and then nothing at all is logged.
        let words = self.level.split(',').map(str::trim).filter(|word| !word.is_empty());
        let is_module = |word: &str| word.contains(['=', ':']) || word.starts_with("vodbridge");
        for word in words {
            if !is_module(word) && word.parse::<LevelFilter>().is_err() {
                let meant = did_you_mean(word, LEVELS);
                let expected = "expected error, warn, info, debug, trace or off, or a filter such as \
                                info,vodbridge::route=debug";
                report.problem(&at, format!("found {word:?}, {expected}{meant}"));
            }
        }
    }
}

impl Limits {
    pub(super) fn check(&self, at: &Path, report: &mut Report<'_>) {
        report.expect(
            self.connections.get() <= CONNECTIONS_MAX,
            &at.join("connections"),
            format!("found {}, expected at most {CONNECTIONS_MAX}", self.connections),
        );
    }
}
