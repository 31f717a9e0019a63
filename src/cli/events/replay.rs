use std::process::ExitCode;

use clap::Args;

use super::super::ask::confirmed;
use super::super::chosen::Chosen;
use super::super::exit::{failed, print};
use super::super::replay::{self, Tally};
use crate::records::Of;

/// `vodbridge events replay`
#[derive(Debug, Args)]
pub(super) struct Replay {
    #[command(flatten)]
    chosen: Chosen,
    /// Only says where each would go.
    #[arg(long)]
    dry_run: bool,
    /// Sends without asking.
    #[arg(long)]
    yes: bool,
}

// === impl Replay ===

impl Replay {
    pub(super) fn run(self) -> ExitCode {
        let config = match self.chosen.rows.config() {
            Ok(config) => config,
            Err(code) => return code,
        };
        if self.dry_run {
            let unusable = "its payload was not kept";
            return replay::explain(&config, &self.chosen, Of::Events, unusable);
        }
        let count = match self.count() {
            Ok(count) => count,
            Err(code) => return code,
        };
        if count == 0 {
            return print(|out| writeln!(out, "nothing found"));
        }
        if !self.yes {
            match confirmed(&format!("Send {count} events again?")) {
                Ok(true) => {}
                Ok(false) => return print(|out| writeln!(out, "nothing was sent")),
                Err(code) => return code,
            }
        }
        let tally = replay::replay(&config, &self.chosen, Of::Events, |_| Ok(()));
        let tally = match tally {
            Ok(tally) => tally,
            Err(code) => return code,
        };
        let Tally { replayed, kept, unusable } = &tally;
        let printed = print(|out| {
            writeln!(
                out,
                "{replayed} events sent again; not sent: {kept} that some connector does not \
                 take, {unusable} whose payload was not kept"
            )
        });
        if tally.is_all() { printed } else { ExitCode::FAILURE }
    }

    fn count(&self) -> Result<usize, ExitCode> {
        let mut reader = self.chosen.rows.journal()?;
        let mut count = 0;
        let counted = self.chosen.each_page(&mut reader, Of::Events, |records| {
            count += records.len();
            Ok(())
        });
        counted.map(|()| count).map_err(|error| failed(&error))
    }
}
