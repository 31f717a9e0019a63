use std::process::ExitCode;

use clap::Args;
use vodbridge_journal::Table;

use super::listing::Listing;

/// `vodbridge dead-letters`
#[derive(Debug, Args)]
pub(super) struct DeadLetters {
    #[command(flatten)]
    listing: Listing,
}

impl DeadLetters {
    pub(super) fn run(self) -> ExitCode {
        self.listing.run(Table::DeadLetters)
    }
}
