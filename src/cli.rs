//! What people type, one file per subcommand.

mod ask;
mod check;
mod chosen;
mod dead_letters;
mod drain;
mod events;
mod exit;
mod explain;
mod listing;
mod metrics;
mod printer;
mod replay;
mod run;
mod schema;
mod vod;

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
    /// Send on what waits in the spool of a journal whose bridge will not come back, and end.
    Drain(drain::DrainSpool),
    /// Check the configuration, and whether everything it names is there.
    Check(check::Check),
    /// Say which event, route, topic and headers a body would become. Needs no broker.
    Explain(explain::Explain),
    /// List, show and follow what was delivered, and send it again. Works beside a running bridge.
    ///
    /// One listing, in the order of delivery, of what the journal connector holds and of the
    /// history, which has the last events that other connectors acknowledged (journal.history). The
    /// first column names a row: 12 is one of the journal connector's, h12 one of the history.
    Events(events::Events),
    /// List, show, replay, export and remove the dead letters in the journal. Works beside a running
    /// bridge.
    DeadLetters(dead_letters::DeadLetters),
    /// Look at and change what VOD is set to do with events.
    Vod(vod::Vod),
    /// Print the JSON Schema of the configuration.
    Schema(schema::Schema),
    /// Print the metrics and what they say, in Markdown.
    #[command(hide = true)]
    Metrics(metrics::MetricsTable),
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
        // One provider for everything that speaks TLS; some client libraries take the process's.
        // It fails only where somebody has chosen before, and then that is the one.
        tokio_rustls::rustls::crypto::ring::default_provider().install_default().ok();
        match self.command {
            Command::Run(run) => run.run(),
            Command::Drain(drain) => drain.run(),
            Command::Check(check) => check.run(),
            Command::Explain(explain) => explain.run(),
            Command::Events(events) => events.run(),
            Command::DeadLetters(letters) => letters.run(),
            Command::Vod(vod) => vod.run(),
            Command::Schema(schema) => schema.run(),
            Command::Metrics(metrics) => metrics.run(),
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
