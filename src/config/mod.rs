//! The configuration, from the text as the user writes it to values that every part can rely on.
//!
//! ```text
//! file ---------> yaml \                                       secrets, files
//!                       tree -> reader -> Written -> check ------> Config
//! environment --------/         (types)             (what types cannot say)
//! ```
//!
//! - `yaml` and `environment` make trees of texts that know where each value was written;
//!   figment lays one over the other.
//! - `reader` makes `written::Written` of it. Defaults are those of serde, and the
//!   [`schema()`] shows the same.
//! - `check` tells what types cannot, opens the secrets and makes the [`Config`].
//!
//! Whatever is wrong is reported at once, each with its place. Nothing outside this module reads
//! the environment.

mod application;
mod connector;
mod deserializer;
mod duration;
mod environment;
mod error;
mod http;
mod name;
mod outgoing;
mod pattern;
mod process;
mod pull;
mod reader;
mod report;
mod route;
mod schema;
mod secret;
mod secret_cell;
mod size;
mod storage;
mod template;
#[cfg(test)]
mod tests;
mod traces;
mod tree;
mod written;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use application::{Application, ApplicationLimits, Callback, Spool};
pub use connector::{
    Accept, Compression, Connector, ContentMode, Fault, HeaderPrefix, Idempotence,
    JournalConnector, KafkaConnector, Keep, LoginMechanism, NatsConnector, Provision, Queue,
    QueueKind, QueueOrNone, RabbitMqConnector, Sasl, SaslMechanism, TlsClient,
};
pub use environment::{environment, is_in_pod};
pub use error::{Errors, Place, Problem};
pub use http::{Admin, Http, Tls};
pub use name::{InvalidName, NAME_LEN_MAX, Name};
pub use outgoing::{CloudEvents, Data, DeadLetter};
pub use pattern::Pattern;
pub use process::{Limits, Log, LogFormat};
pub use pull::{Credentials, CredentialsFrom, Pull};
pub use route::{Key, Match, Route};
pub use schema::schema;
pub use secret::Secret;
pub use secret_cell::SecretCell;
pub use size::{InvalidSize, Size};
pub use storage::{Duplicates, History, Journal};
pub use template::{EVENT_TYPE_LEN_MAX, InvalidTemplate, TopicTemplate};
pub use traces::{Sampler, Traces};

use report::Report;
use tree::Tree;
use written::Written;

/// The most connectors there may be.
pub const CONNECTORS_MAX: usize = 64;

/// A configuration that was read and checked; its secrets are open.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where callbacks come in.
    pub http: Http,
    /// Where operators and probes look in.
    pub admin: Admin,
    /// The VOD applications; at least one.
    pub applications: BTreeMap<Name, Application>,
    /// What the whole process may hold at once.
    pub limits: Limits,
    /// Where events go out; at least one.
    pub connectors: BTreeMap<Name, Connector>,
    /// Which events go to which connectors: the first that matches. At least one.
    pub routes: Vec<Route>,
    /// Where an event goes that nobody takes.
    pub dead_letter: DeadLetter,
    /// The embedded journal's store.
    pub journal: Journal,
    /// What is remembered of delivered events.
    pub duplicates: Duplicates,
    /// What CloudEvents are made of.
    pub cloudevents: CloudEvents,
    /// How long stopping may take; longer than `drain_delay`.
    pub grace: Duration,
    /// How long events are still taken in after the signal to stop.
    pub drain_delay: Duration,
    /// What is logged.
    pub log: Log,
    /// Where traces go, by OpenTelemetry's own variables; none if they name no place.
    pub traces: Option<Traces>,
}

/// A configuration, and what is doubtful about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is doubtful, in the order of places.
    pub warnings: Vec<Problem>,
}

// === impl Config ===

impl Config {
    /// Reads `file`, if there is one, and the `variables` of the environment that begin with
    /// `VODBRIDGE__` over it; the others are there for `{ env: NAME }`. Patterns of event types
    /// that match none of `known_event_types` are warned of, unless that is empty.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn load(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        known_event_types: &[&str],
    ) -> Result<Loaded, Errors> {
        let variables = variables.collect();
        let mut problems = Vec::new();
        let tree = match file {
            None => Tree::default(),
            Some(path) => {
                let name = Arc::from(path.display().to_string());
                match read_file(path) {
                    Ok(text) => yaml::read(&text, &name, &mut problems),
                    Err(error) => {
                        let place = Place::File { file: name, line: 0, column: 0 };
                        let message = format!("cannot be read: {error}");
                        problems.push(Problem { place, path: String::new(), message });
                        Tree::default()
                    }
                }
            }
        };
        assemble(tree, &variables, known_event_types, problems)
    }

    /// Reads a text alone, without an environment. Never panics, whatever the text is.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn from_yaml(text: &str) -> Result<Self, Errors> {
        let mut problems = Vec::new();
        let tree = yaml::read(text, &Arc::from("yaml"), &mut problems);
        assemble(tree, &BTreeMap::new(), &[], problems).map(|loaded| loaded.config)
    }
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // One byte more than is taken, so that a larger file shows.
    File::open(path)?.take(yaml::FILE_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

fn assemble(
    file: Tree,
    variables: &BTreeMap<String, String>,
    known_event_types: &[&str],
    mut problems: Vec<Problem>,
) -> Result<Loaded, Errors> {
    let mut tree = file.overridden_by(environment::read(variables, &mut problems));
    let connectors = tree::Path::default().join("connectors");
    let connectors: BTreeSet<_> = tree.keys(&connectors).map(str::to_owned).collect();
    let written: Written = reader::read(&mut tree, &mut problems);
    let mut report = Report::new(&tree, variables, known_event_types);
    let config = written.check(&connectors, &mut report);
    problems.append(&mut report.problems);
    Errors::check(problems)?;
    let mut warnings = report.warnings;
    warnings.sort();
    Ok(Loaded { config, warnings })
}
