use std::process::ExitCode;

use clap::Args;

use super::exit::print;
use crate::config;

/// `vodbridge schema`
#[derive(Debug, Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> ExitCode {
        print(|out| writeln!(out, "{:#}", config::schema()))
    }
}
