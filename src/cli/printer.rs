//! How rows of the journal look: aligned columns for people, one JSON object a line for programs.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::ValueEnum;
use vodbridge_core::to_json;
use vodbridge_journal::Record;

use crate::records::{Of, Place};

/// How a listing looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    Table,
    /// One JSON object a line.
    Json,
}

/// Prints pages of rows, with one heading. The columns of a page are as wide as its widest cell,
/// and never narrower than before.
#[derive(Debug)]
pub(super) struct Printer {
    of: Of,
    format: Format,
    widths: Vec<usize>,
}

impl Printer {
    pub(super) fn new(of: Of, format: Format) -> Self {
        Self { of, format, widths: Vec::new() }
    }

    /// Prints one page.
    pub(super) fn print(&mut self, out: &mut dyn Write, records: &[Record]) -> io::Result<()> {
        if self.format == Format::Json {
            return records.iter().try_for_each(|record| json_line(out, record));
        }
        if records.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<Vec<String>> = Vec::with_capacity(records.len() + 1);
        if self.widths.is_empty() {
            rows.push(heading(self.of).iter().map(|&name| name.to_owned()).collect());
        }
        rows.extend(records.iter().map(|record| cells(self.of, record)));
        self.widths.resize(heading(self.of).len(), 0);
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in rows {
            let mut line = String::new();
            for (width, cell) in self.widths.iter().zip(row) {
                write!(line, "{cell:width$}  ").expect("writing to a String cannot fail");
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Says so where there was nothing.
    pub(super) fn end(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.format == Format::Table && self.widths.is_empty() {
            writeln!(out, "nothing found")?;
        }
        Ok(())
    }
}

fn heading(of: Of) -> &'static [&'static str] {
    match of {
        Of::Events => &["SEQ", "RECEIVED", "TYPE", "FILE", "TASK", "ROUTE", "CONNECTORS", "ID"],
        Of::DeadLetters => &["SEQ", "RECEIVED", "TYPE", "REASON", "CONNECTOR", "DETAIL"],
    }
}

fn cells(of: Of, record: &Record) -> Vec<String> {
    let event = &record.event;
    let attribute = |name| event.extension(name).unwrap_or("-").to_owned();
    let place = Place::of(record).to_string();
    let mut cells = vec![place, event.time.to_string(), attribute("vodeventtype")];
    match of {
        Of::Events => {
            let (route, connectors) = match &record.delivery {
                Some(delivery) => (delivery.route.to_string(), delivery.acknowledged.join(",")),
                None => ("-".to_owned(), "-".to_owned()),
            };
            cells.extend([attribute("vodfileid"), attribute("vodtaskid"), route, connectors]);
            cells.push(event.id.to_string());
        }
        Of::DeadLetters => {
            cells.extend(["vodreason", "vodconnector", "voddetail"].map(attribute));
        }
    }
    cells
}

/// One row as a CloudEvent in structured mode.
pub(super) fn json_line(out: &mut dyn Write, record: &Record) -> io::Result<()> {
    out.write_all(&to_json(&record.event))?;
    out.write_all(b"\n")
}

/// One row whole, for people: its attributes, an empty line, its data.
pub(super) fn whole(out: &mut dyn Write, record: &Record) -> io::Result<()> {
    writeln!(out, "{:16}{}", "seq", Place::of(record))?;
    writeln!(out, "{:16}{}", "stored", record.stored)?;
    if let Some(delivery) = &record.delivery {
        writeln!(out, "{:16}{}", "route", delivery.route)?;
        writeln!(out, "{:16}{}", "acknowledged by", delivery.acknowledged.join(", "))?;
    }
    writeln!(out, "{:16}{}", "topic", record.topic)?;
    for (name, value) in record.event.attributes() {
        writeln!(out, "{name:16}{value}")?;
    }
    writeln!(out)?;
    if !record.has_payload() {
        return writeln!(out, "the payload was not kept");
    }
    match std::str::from_utf8(&record.event.data) {
        Ok(data) => writeln!(out, "{}", data.trim_end()),
        Err(_) => writeln!(
            out,
            "{} bytes that are no text; --data writes them as they are",
            record.event.data.len()
        ),
    }
}
