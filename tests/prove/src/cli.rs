//! What people type.

mod faults;
mod progress;
mod report;
mod run;
mod soak;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The exit code after wrong arguments, `EX_USAGE` of sysexits.
pub(crate) const WRONG_USE: u8 = 64;

/// Shows what vodbridge loses when things fail: the real program between a simulated VOD and real
/// brokers, one fault at a time by a seeded schedule, judged by an oracle that compares what VOD was
/// told with what an independent subscriber finds.
///
/// The whole matrix once, then again as long as there is time:
///
///   prove run --minutes 60 --results results.jsonl
///
/// One cell, three times, each with another seed:
///
///   prove run --fault broker-killed --broker kafka --mode pull --runs 3
///
/// The same run again, as the line of a failed one says:
///
///   prove run --fault bridge-killed --broker nats --mode ahead --seed 42 --runs 1
///
/// The document from the results:
///
///   prove report results.jsonl > docs/reliability.md
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, verbatim_doc_comment, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run cells of the matrix, one after the other.
    Run(run::Run),
    /// Watch the memory under load with an outage every minute.
    Soak(soak::Soak),
    /// Print the document that results make.
    Report(report::Report),
    /// List the faults, and where they are not run.
    Faults(faults::Faults),
}

// === impl Arguments ===

impl Arguments {
    /// Does what was asked for. Failures have been printed when this returns.
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::Run(run) => run.run(),
            Command::Soak(soak) => soak.run(),
            Command::Report(report) => report.run(),
            Command::Faults(faults) => faults.run(),
        }
    }
}

/// Prints what went wrong.
fn complain(why: &str) {
    // Where standard error cannot be written to, nobody is there to be told.
    writeln!(io::stderr().lock(), "prove: {why}").ok();
}
