use std::process::ExitCode;

use clap::Args;
use vodbridge_journal::Table;

use super::listing::Listing;

/// `vodbridge events`
#[derive(Debug, Args)]
pub(super) struct Events {
    #[command(flatten)]
    listing: Listing,
}

impl Events {
    pub(super) fn run(self) -> ExitCode {
        self.listing.run(Table::Events)
    }
}
