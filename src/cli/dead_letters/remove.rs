use std::io;
use std::process::ExitCode;

use clap::Args;
use vodbridge_journal::{Remover, Seq, Table};

use super::super::ask::confirmed;
use super::super::chosen::Chosen;
use super::super::exit::{self, complain, failed, print};
use super::ended;
use crate::records::Of;
use crate::records::PAGE_ROWS;

/// `vodbridge dead-letters remove`
#[derive(Debug, Args)]
pub(super) struct Remove {
    #[command(flatten)]
    chosen: Chosen,
    /// Every letter there is; needed where nothing narrows them down.
    #[arg(long)]
    all: bool,
    /// Only says how many it would remove.
    #[arg(long)]
    dry_run: bool,
    /// Removes without asking.
    #[arg(long)]
    yes: bool,
}

// === impl Remove ===

impl Remove {
    pub(super) fn run(self) -> ExitCode {
        if self.chosen.is_all() && !self.all {
            complain(&"say which: numbers, --type, --until 7d and their like, or --all");
            return ExitCode::from(exit::USAGE);
        }
        let (mut reader, path) = match self.chosen.rows.journal_and_path() {
            Ok(opened) => opened,
            Err(code) => return code,
        };
        let mut seqs: Vec<Seq> = Vec::new();
        let found = self.chosen.each_page(&mut reader, Of::DeadLetters, |records| {
            seqs.extend(records.iter().map(|record| record.seq));
            Ok(())
        });
        if let Err(error) = found {
            return failed(&error);
        }
        let count = seqs.len();
        if self.dry_run || count == 0 {
            return print(|out| writeln!(out, "{count} dead letters would be removed"));
        }
        if !self.yes {
            match confirmed(&format!("Remove {count} dead letters for good?")) {
                Ok(true) => {}
                Ok(false) => return print(|out| writeln!(out, "nothing was removed")),
                Err(code) => return code,
            }
        }
        let mut remover = match Remover::open(&path) {
            Ok(remover) => remover,
            Err(error) => return failed(&error),
        };
        let mut removed = 0;
        let result = seqs.chunks(PAGE_ROWS).try_for_each(|seqs| {
            removed += remover.remove(Table::DeadLetters, seqs).map_err(io::Error::other)?;
            Ok(())
        });
        print(|out| writeln!(out, "{removed} dead letters removed"));
        ended(result, ExitCode::SUCCESS)
    }
}
