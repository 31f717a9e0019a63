use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::Size;
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
    /// by module such as `info,vodbridge::route=debug`.
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
        if let Err(why) = EnvFilter::builder().parse(&self.level) {
            report.problem(&at.join("level"), format!("found {:?}: {why}", self.level));
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
