use std::fmt::{self, Display};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::json;
use vodbridge_core::Survives;
use vodbridge_journal::{Cursor, Filter, OpenError, Owner, Reader, Table, durability};

use super::ConfigFile;
use super::exit::print;
use crate::config::{Config, Loaded};
use crate::http::Tls;
use crate::telemetry::chain::Chain;

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

/// How bad it is; the worst is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Good = 0,
    Warning = 1,
    Critical = 2,
}

/// What was looked at, and how it is.
#[derive(Debug)]
struct Finding {
    severity: Severity,
    what: String,
    how: String,
}

#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

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
                    look(&config, &mut findings);
                }
            }
        }
        let worst = findings.worst();
        let printed = print(|out| match self.format {
            Format::Text => findings.text(out),
            Format::Json => writeln!(out, "{}", findings.to_json()),
            Format::Nagios => findings.nagios(out),
        });
        if printed == ExitCode::SUCCESS { ExitCode::from(worst as u8) } else { printed }
    }
}

/// Looks at everything that the configuration names, and changes nothing.
fn look(config: &Config, findings: &mut Findings) {
    if let Some(tls) = &config.http.tls {
        match Tls::new(&tls.cert_file, &tls.key_file) {
            Ok(_) => findings.add(Severity::Good, "http.tls", "the certificate and its key fit"),
            Err(why) => findings.add(Severity::Critical, "http.tls", Chain(&why)),
        }
    }
    journal(&config.journal.path, findings);
    for name in config.connectors.keys() {
        let what = format!("connector {name}");
        for (fault, answer) in durability(&config.journal.path).answers() {
            let survives = match answer.survives {
                Survives::Yes => "yes",
                Survives::No => "no",
                Survives::Unknown => "unknown",
            };
            let remedy = answer.remedy.as_deref().map(|r| format!(" ({r})")).unwrap_or_default();
            let how = format!("survives {}: {survives}{remedy}", fault.name());
            findings.add(Severity::Good, &what, how);
        }
    }
}

fn journal(path: &Path, findings: &mut Findings) {
    let what = format!("journal {}", path.display());
    match Owner::of(path) {
        Owner::Missing if path.exists() => {
            findings.add(Severity::Critical, &what, "not a directory");
        }
        Owner::Missing => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
            if parent.unwrap_or(Path::new(".")).is_dir() {
                findings.add(Severity::Good, &what, "not there yet; the first start makes it");
            } else {
                let how = "neither it nor its parent is there: create the parent";
                findings.add(Severity::Critical, &what, how);
            }
        }
        owner @ (Owner::Bridge | Owner::Nobody) => match Reader::open(path) {
            Ok(mut reader) => {
                let whose = if owner == Owner::Bridge { "a running bridge's" } else { "at rest" };
                findings.add(Severity::Good, &what, format!("readable, {whose}"));
                let all = Filter::default();
                match reader.page(Table::DeadLetters, &all, Cursor::NEWEST, 1) {
                    Ok(page) if page.records.is_empty() => {
                        findings.add(Severity::Good, &what, "no dead letters");
                    }
                    Ok(_) => findings.add(
                        Severity::Warning,
                        &what,
                        "there are dead letters: vodbridge dead-letters lists them",
                    ),
                    Err(why) => findings.add(Severity::Critical, &what, Chain(&why)),
                }
            }
            Err(OpenError::NoJournal(_)) => {
                findings.add(Severity::Good, &what, "empty; the first start fills it");
            }
            Err(why) => findings.add(Severity::Critical, &what, Chain(&why)),
        },
    }
}

// === impl Findings ===

impl Findings {
    fn add(&mut self, severity: Severity, what: &str, how: impl Display) {
        self.0.push(Finding { severity, what: what.to_owned(), how: how.to_string() });
    }

    fn worst(&self) -> Severity {
        self.0.iter().map(|f| f.severity).max().unwrap_or(Severity::Good)
    }

    fn text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for finding in &self.0 {
            writeln!(out, "{:9} {}: {}", finding.severity, finding.what, finding.how)?;
        }
        Ok(())
    }

    fn to_json(&self) -> serde_json::Value {
        let findings = self
            .0
            .iter()
            .map(|f| json!({ "severity": f.severity.to_string(), "what": f.what, "how": f.how }));
        json!({ "status": self.worst().to_string(), "findings": findings.collect::<Vec<_>>() })
    }

    /// The plug-in protocol of Nagios: one line that begins with the state, what is worst first.
    fn nagios(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let worst = self.worst();
        let state = match worst {
            Severity::Good => "OK",
            Severity::Warning => "WARNING",
            Severity::Critical => "CRITICAL",
        };
        let worst = self.0.iter().filter(|f| f.severity == worst);
        let text: Vec<_> = worst.map(|f| format!("{}: {}", f.what, f.how)).collect();
        // A bar would begin the performance data.
        writeln!(out, "VODBRIDGE {state} - {}", text.join("; ").replace('|', "/"))
    }
}

impl Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}
