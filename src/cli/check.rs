mod brokers;
mod finding;
mod journal;
mod vod;

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Map;
use vodbridge_journal::durability;

use super::ConfigFile;
use super::exit::print;
use crate::certificates::Certificate;
use crate::config::{Config, Connector, Loaded};
use crate::telemetry::chain::Chain;
use finding::{Findings, Severity};

/// The exit code where nothing could be found out, and of bad arguments.
pub(super) const UNKNOWN: u8 = 3;

/// `vodbridge check`: exit code 0 good, 1 warning, 2 critical, 3 bad arguments.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
    /// Only the configuration: touch nothing that it names.
    #[arg(long)]
    offline: bool,
    /// Make what is missing at the brokers first, for every known event type, where the
    /// configuration says `topology: create`.
    #[arg(long, conflicts_with = "offline")]
    create: bool,
    /// Lines for people, one JSON object, or one line for Nagios and its kin.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Nagios,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        let mut findings = Findings::default();
        match self.file.load() {
            Err(errors) => {
                for problem in errors.problems() {
                    findings.add(Severity::Critical, "configuration", problem);
                }
            }
            Ok(Loaded { config, warnings }) => {
                for warning in &warnings {
                    findings.add(Severity::Warning, "configuration", warning);
                }
                if warnings.is_empty() {
                    findings.add(Severity::Good, "configuration", "no errors");
                }
                if !self.offline {
                    look(&config, self.create, &mut findings);
                }
            }
        }
        let worst = findings.worst();
        let printed = print(|out| match self.format {
            Format::Text => findings.text(out),
            Format::Json => findings.json(out),
            Format::Nagios => findings.nagios(out),
        });
        if printed == ExitCode::SUCCESS { ExitCode::from(worst as u8) } else { printed }
    }
}

/// Looks at everything that the configuration names, and changes nothing unless it may `create`.
fn look(config: &Config, create: bool, findings: &mut Findings) {
    if let Some(tls) = &config.http.tls {
        match Certificate::of_listener(tls) {
            Ok(_) => findings.add(Severity::Good, "http.tls", "the certificate and its key fit"),
            Err(why) => findings.add(Severity::Critical, "http.tls", Chain(&why)),
        }
    }
    journal::look(config, findings);
    for (name, connector) in &config.connectors {
        if matches!(connector, Connector::Journal(_)) {
            let what = format!("connector {name}");
            let (how, advice) = brokers::survives(&durability(&config.journal.path));
            findings.advise(Severity::Good, &what, how, advice, Map::new());
        }
    }
    brokers::look(config, create, findings);
    vod::look_at(config, findings);
}
