//! Listing, showing and following what the journal holds: the same for events and dead letters.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use vodbridge_core::Timestamp;
use vodbridge_journal::{Cursor, Filter, Seq, Table};

use super::ConfigFile;
use super::exit::{complain, failed, print};
use super::printer::{Format, Printer, json_line, whole};

/// How often the journal is looked at for new rows.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// How many rows that are there already `follow` begins with.
const FOLLOW_FROM: usize = 10;

/// Rows read at a time; none are locked while they are printed.
const PAGE_ROWS: usize = 500;

/// What to do with a table of the journal.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Listing {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List, newest first. What happens without a word, too.
    List(List),
    /// Show one, whole.
    Show(Show),
    /// Show the last ten, then each new one as it comes, until interrupted.
    Follow(Follow),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    wanted: Wanted,
    /// How many at the most.
    #[arg(long, short = 'n', default_value_t = 50, value_name = "N")]
    limit: usize,
    /// Oldest first.
    #[arg(long)]
    oldest_first: bool,
}

#[derive(Debug, Args)]
struct Follow {
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    file: ConfigFile,
    /// The number in the listing's first column.
    seq: u64,
    /// Only the data, byte for byte.
    #[arg(long, conflicts_with = "message")]
    data: bool,
    /// Only what came in, byte for byte.
    #[arg(long)]
    message: bool,
    /// For people, or one JSON object (a CloudEvent in structured mode).
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Which rows, and how they look.
#[derive(Debug, Args)]
struct Wanted {
    #[command(flatten)]
    file: ConfigFile,
    /// Of this event type, NewFileUpload for example; may be given again.
    #[arg(long = "type", value_name = "EVENT_TYPE")]
    event_types: Vec<String>,
    /// Of this application.
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// About this file.
    #[arg(long = "file", value_name = "FILE_ID")]
    file_id: Option<String>,
    /// About this task.
    #[arg(long = "task", value_name = "TASK_ID")]
    task_id: Option<String>,
    /// With this CloudEvents id.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Received since: 2026-11-24T08:00:00Z, or 10m for ten minutes ago.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Received before, in the same forms.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// For people, or one JSON object a line (CloudEvents in structured mode).
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

// === impl Listing ===

impl Listing {
    pub(super) fn run(self, table: Table) -> ExitCode {
        match self.action.unwrap_or(Action::List(self.list)) {
            Action::List(list) => list.run(table),
            Action::Show(show) => show.run(table),
            Action::Follow(follow) => follow.run(table),
        }
    }
}

impl List {
    fn run(self, table: Table) -> ExitCode {
        let mut reader = match self.wanted.file.journal() {
            Ok(reader) => reader,
            Err(code) => return code,
        };
        let mut from = if self.oldest_first { Cursor::OLDEST } else { Cursor::NEWEST };
        let (filter, mut printer) = (self.wanted.filter(), Printer::new(table, self.wanted.format));
        print(|out| {
            let mut left = self.limit;
            while left > 0 {
                let page = reader.page(table, &filter, from, left).map_err(io::Error::other)?;
                printer.print(out, &page.records)?;
                left -= page.records.len();
                from = page.next;
                if page.is_last {
                    break;
                }
            }
            printer.end(out)
        })
    }
}

impl Follow {
    fn run(self, table: Table) -> ExitCode {
        let mut reader = match self.wanted.file.journal() {
            Ok(reader) => reader,
            Err(code) => return code,
        };
        let (filter, mut printer) = (self.wanted.filter(), Printer::new(table, self.wanted.format));
        print(|out| {
            let newest = reader.page(table, &filter, Cursor::NEWEST, FOLLOW_FROM);
            let mut records = newest.map_err(io::Error::other)?.records;
            records.reverse();
            // Behind the newest shown; if none fits yet, behind the newest there is.
            let behind = match records.last() {
                Some(record) => Some(record.seq),
                None => {
                    let all = reader.page(table, &Filter::default(), Cursor::NEWEST, 1);
                    all.map_err(io::Error::other)?.records.first().map(|record| record.seq)
                }
            };
            let mut from = behind.map_or(Cursor::OLDEST, Cursor::After);
            printer.print(out, &records)?;
            loop {
                out.flush()?;
                let page = reader.page(table, &filter, from, PAGE_ROWS);
                let page = page.map_err(io::Error::other)?;
                printer.print(out, &page.records)?;
                from = page.next;
                if page.is_last {
                    out.flush()?;
                    wait(FOLLOW_EVERY);
                }
            }
        })
    }
}

impl Show {
    fn run(self, table: Table) -> ExitCode {
        let mut reader = match self.file.journal() {
            Ok(reader) => reader,
            Err(code) => return code,
        };
        match reader.get(table, Seq::new(self.seq)) {
            Err(error) => failed(&error),
            Ok(None) => {
                complain(&format_args!("there is no row {}", self.seq));
                ExitCode::FAILURE
            }
            Ok(Some(record)) => print(|out| {
                if self.data {
                    out.write_all(&record.event.data)
                } else if self.message {
                    out.write_all(&record.event.message)
                } else if self.format == Format::Json {
                    json_line(out, &record)
                } else {
                    whole(out, &record)
                }
            }),
        }
    }
}

// === impl Wanted ===

impl Wanted {
    fn filter(&self) -> Filter {
        Filter {
            event_types: self.event_types.clone(),
            application: self.application.clone(),
            file: self.file_id.clone(),
            task: self.task_id.clone(),
            id: self.id.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

/// A moment as RFC 3339, or as a time ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = humantime::parse_rfc3339_weak(text) {
        return Ok(moment.into());
    }
    let ago = humantime::parse_duration(text)
        .map_err(|_| "neither a time such as 2026-11-24T08:00:00Z nor one ago such as 10m")?;
    let moment = SystemTime::now().checked_sub(ago).ok_or("too long ago")?;
    Ok(moment.into())
}

/// There is nothing to wake a reader in another process when rows come.
#[allow(clippy::disallowed_methods, reason = "no runtime is running in this command")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}
