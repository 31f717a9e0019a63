use std::process::ExitCode;

use clap::Args;
use vodbridge_journal::{Remover, Table};

use super::super::chosen::Chosen;
use super::super::exit::{failed, print};
use super::super::replay::{self, Tally};
use crate::records::Of;

/// `vodbridge dead-letters replay`
#[derive(Debug, Args)]
pub(super) struct Replay {
    #[command(flatten)]
    chosen: Chosen,
    /// Only says where each would go.
    #[arg(long)]
    dry_run: bool,
}

// === impl Replay ===

impl Replay {
    pub(super) fn run(self) -> ExitCode {
        let config = match self.chosen.rows.config() {
            Ok(config) => config,
            Err(code) => return code,
        };
        if self.dry_run {
            let unusable = "is no event; it stays";
            return replay::explain(&config, &self.chosen, Of::DeadLetters, unusable);
        }
        let mut remover = match Remover::open(&config.journal.path) {
            Ok(remover) => remover,
            Err(error) => return failed(&error),
        };
        // Only what is acknowledged goes.
        let tally = replay::replay(&config, &self.chosen, Of::DeadLetters, |seqs| {
            remover.remove(Table::DeadLetters, seqs).map_err(std::io::Error::other)?;
            Ok(())
        });
        let tally = match tally {
            Ok(tally) => tally,
            Err(code) => return code,
        };
        let Tally { replayed, kept, unusable } = &tally;
        let printed = print(|out| {
            writeln!(
                out,
                "{replayed} dead letters replayed and removed; kept: {kept} that some connector \
                 does not take, {unusable} that are no events"
            )
        });
        if tally.is_all() { printed } else { ExitCode::FAILURE }
    }
}
