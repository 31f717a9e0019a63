//! What people type, one file per subcommand.

mod check;
mod dead_letters;
mod events;
mod exit;
mod explain;
mod listing;
mod printer;
mod run;
mod schema;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use vodbridge_journal::Reader;
use vodbridge_vod::catalogue;

use crate::config::{Config, Errors, Loaded, environment};
use exit::{complain, failed};

pub use exit::refuse;

/// Takes the events of Tencent Cloud VOD and publishes them to Kafka, RabbitMQ, NATS JetStream or
/// an embedded journal, and confirms them only once they are stored there.
///
/// A first event: run `vodbridge run`, then
/// `curl --data-binary @event.json http://127.0.0.1:8080/vod/default`, then `vodbridge events`.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bridge until SIGTERM or SIGINT.
    Run(run::Run),
    /// Check the configuration, and whether everything it names is there.
    Check(check::Check),
    /// Say which event, route, topic and headers a body would become. Needs no broker.
    Explain(explain::Explain),
    /// List, show and follow the events in the journal. Works beside a running bridge.
    Events(events::Events),
    /// List, show and follow the dead letters in the journal. Works beside a running bridge.
    DeadLetters(dead_letters::DeadLetters),
    /// Print the JSON Schema of the configuration.
    Schema(schema::Schema),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration, YAML; without it the defaults run. Variables such as
    /// VODBRIDGE__HTTP__LISTEN override it.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

// === impl Arguments ===

impl Arguments {
    /// Does what was asked for. Failures have been printed when this returns.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Run(run) => run.run(),
            Command::Check(check) => check.run(),
            Command::Explain(explain) => explain.run(),
            Command::Events(events) => events.run(),
            Command::DeadLetters(letters) => letters.run(),
            Command::Schema(schema) => schema.run(),
        }
    }
}

// === impl ConfigFile ===

impl ConfigFile {
    /// Reads the configuration.
    fn load(&self) -> Result<Loaded, Errors> {
        Config::load(self.config.as_deref(), environment(), &known_event_types())
    }

    /// Reads the configuration and opens the journal it names, to read; failures are printed.
    fn journal(&self) -> Result<Reader, ExitCode> {
        let loaded = self.load().map_err(|errors| {
            complain(&errors);
            ExitCode::from(exit::USAGE)
        })?;
        Reader::open(&loaded.config.journal.path).map_err(|error| failed(&error))
    }
}

fn known_event_types() -> Vec<&'static str> {
    catalogue::ENTRIES.iter().map(catalogue::Entry::event_type).collect()
}
