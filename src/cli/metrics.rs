use std::process::ExitCode;

use clap::Args;

use super::exit::print;
use crate::telemetry::metrics::reference;

/// `vodbridge metrics`
#[derive(Debug, Args)]
pub(super) struct MetricsTable {}

impl MetricsTable {
    pub(super) fn run(self) -> ExitCode {
        print(|out| write!(out, "{}", reference::markdown()))
    }
}
