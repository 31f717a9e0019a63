mod replay;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::listing::{Action, List};
use crate::records::Of;

/// `vodbridge events`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Events {
    #[command(subcommand)]
    action: Option<EventsAction>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum EventsAction {
    #[command(flatten)]
    Listing(Action),
    /// Send events again, by the routes of the configuration as it is now, with the ids they have.
    ///
    /// They pass the memory of duplicates by and carry the attribute `vodreplay`, which names the
    /// replay. An event that is chosen twice goes out once. Works beside a running bridge, but not
    /// into its journal.
    Replay(replay::Replay),
}

// === impl Events ===

impl Events {
    pub(super) fn run(self) -> ExitCode {
        match self.action {
            None => Action::List(self.list).run(Of::Events),
            Some(EventsAction::Listing(action)) => action.run(Of::Events),
            Some(EventsAction::Replay(replay)) => replay.run(),
        }
    }
}
