mod export;
mod remove;
mod replay;

use std::io;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::exit;
use super::listing::{Action, List};
use crate::records::Of;

/// `vodbridge dead-letters`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DeadLetters {
    #[command(subcommand)]
    action: Option<LettersAction>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum LettersAction {
    #[command(flatten)]
    Listing(Action),
    /// Send letters again, by the routes of the configuration as it is now. A letter goes once
    /// every required connector has acknowledged its event.
    Replay(replay::Replay),
    /// Write letters to a file or standard output, one CloudEvent as JSON a line, oldest first.
    Export(export::Export),
    /// Throw letters away.
    Remove(remove::Remove),
}

// === impl DeadLetters ===

impl DeadLetters {
    pub(super) fn run(self) -> ExitCode {
        match self.action {
            None => Action::List(self.list).run(Of::DeadLetters),
            Some(LettersAction::Listing(action)) => action.run(Of::DeadLetters),
            Some(LettersAction::Replay(replay)) => replay.run(),
            Some(LettersAction::Export(export)) => export.run(),
            Some(LettersAction::Remove(remove)) => remove.run(),
        }
    }
}

/// Prints how a command over many rows ended.
fn ended(result: io::Result<()>, code: ExitCode) -> ExitCode {
    match result {
        Ok(()) => code,
        Err(error) => exit::failed(&error),
    }
}
