use std::io;

use clap::Args;
use vodbridge_journal::{Reader, Record};

use super::listing::Rows;
use crate::records::{Merged, Order, PAGE_ROWS};
use crate::records::{Of, Place};

/// Which rows a command is about.
#[derive(Debug, Args)]
pub(super) struct Chosen {
    #[command(flatten)]
    pub(super) rows: Rows,
    /// These rows only: what the listing's first column says.
    #[arg(value_name = "SEQ")]
    places: Vec<Place>,
}

// === impl Chosen ===

impl Chosen {
    /// Whether it is everything that there is.
    pub(super) fn is_all(&self) -> bool {
        self.places.is_empty() && self.rows.admits_all()
    }

    /// Calls with the rows, oldest first and a page at a time; no transaction is open meanwhile,
    /// and rows that come while it runs are left alone.
    pub(super) fn each_page(
        &self,
        reader: &mut Reader,
        of: Of,
        mut page: impl FnMut(Vec<Record>) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.places.is_empty() {
            let mut found = Vec::new();
            for place in &self.places {
                let Some((table, seq)) = place.row(of) else { continue };
                found.extend(reader.get(table, seq).map_err(io::Error::other)?);
            }
            return page(found);
        }
        let filter = self.rows.filter();
        let mut rows = Merged::as_of_now(reader, of, Order::OldestFirst)?;
        loop {
            let found = rows.next(reader, &filter, PAGE_ROWS)?;
            if found.is_empty() {
                return Ok(());
            }
            page(found)?;
        }
    }
}
