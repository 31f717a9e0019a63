//! Listing, showing and following what the journal holds: the same for events and dead letters.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use vodbridge_core::Timestamp;
use vodbridge_journal::{Filter, Reader};

use super::ConfigFile;
use super::exit::{self, complain, failed, print};
use super::printer::{Format, Printer, json_line, whole};
use crate::config::Config;
use crate::records::{Merged, Order, PAGE_ROWS};
use crate::records::{Of, Place};

/// How often the journal is looked at for new rows.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// How many rows that are there already `follow` begins with.
const FOLLOW_FROM: usize = 10;

/// What to do with rows of the journal.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List, newest first. What happens without a word, too.
    List(List),
    /// Show one, whole.
    Show(Show),
    /// Show the last ten, then each new one as it comes, until interrupted.
    Follow(Follow),
}

#[derive(Debug, Args)]
pub(super) struct List {
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
pub(super) struct Follow {
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    file: ConfigFile,
    /// What the listing's first column says.
    seq: Place,
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
pub(super) struct Wanted {
    #[command(flatten)]
    rows: Rows,
    /// For people, or one JSON object a line (CloudEvents in structured mode).
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Which rows.
#[derive(Debug, Args)]
pub(super) struct Rows {
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
}

// === impl Action ===

impl Action {
    pub(super) fn run(self, of: Of) -> ExitCode {
        match self {
            Self::List(list) => list.run(of),
            Self::Show(show) => show.run(of),
            Self::Follow(follow) => follow.run(of),
        }
    }
}

impl List {
    fn run(self, of: Of) -> ExitCode {
        let mut reader = match self.wanted.rows.journal() {
            Ok(reader) => reader,
            Err(code) => return code,
        };
        let order = if self.oldest_first { Order::OldestFirst } else { Order::NewestFirst };
        let (filter, mut printer) =
            (self.wanted.rows.filter(), Printer::new(of, self.wanted.format));
        print(|out| {
            let mut rows = Merged::as_of_now(&mut reader, of, order)?;
            let mut left = self.limit;
            while left > 0 {
                let records = rows.next(&mut reader, &filter, left.min(PAGE_ROWS))?;
                if records.is_empty() {
                    break;
                }
                printer.print(out, &records)?;
                left -= records.len();
            }
            printer.end(out)
        })
    }
}

impl Follow {
    fn run(self, of: Of) -> ExitCode {
        let mut reader = match self.wanted.rows.journal() {
            Ok(reader) => reader,
            Err(code) => return code,
        };
        let (filter, mut printer) =
            (self.wanted.rows.filter(), Printer::new(of, self.wanted.format));
        print(|out| {
            let mut newest = Merged::as_of_now(&mut reader, of, Order::NewestFirst)?;
            let mut rows = newest.afterwards();
            let mut records = newest.next(&mut reader, &filter, FOLLOW_FROM)?;
            records.reverse();
            printer.print(out, &records)?;
            loop {
                out.flush()?;
                let records = rows.next(&mut reader, &filter, PAGE_ROWS)?;
                if records.is_empty() {
                    wait(FOLLOW_EVERY);
                } else {
                    printer.print(out, &records)?;
                }
            }
        })
    }
}

impl Show {
    fn run(self, of: Of) -> ExitCode {
        let mut reader = match self.file.journal() {
            Ok(reader) => reader,
            Err(code) => return code,
        };
        let found = match self.seq.row(of) {
            Some((table, seq)) => reader.get(table, seq),
            None => Ok(None),
        };
        let record = match found {
            Err(error) => return failed(&error),
            Ok(None) => {
                complain(&format_args!("there is no row {}", self.seq));
                return ExitCode::FAILURE;
            }
            Ok(Some(record)) => record,
        };
        if (self.data || self.message) && !record.has_payload() {
            complain(&format_args!("the payload of {} was not kept", self.seq));
            return ExitCode::FAILURE;
        }
        print(|out| {
            if self.data {
                out.write_all(&record.event.data)
            } else if self.message {
                out.write_all(&record.event.message)
            } else if self.format == Format::Json {
                json_line(out, &record)
            } else {
                whole(out, &record)
            }
        })
    }
}

// === impl Rows ===

impl Rows {
    /// Reads the configuration; failures are printed.
    pub(super) fn config(&self) -> Result<Config, ExitCode> {
        self.file.load().map(|loaded| loaded.config).map_err(|errors| {
            complain(&errors);
            ExitCode::from(exit::USAGE)
        })
    }

    /// The journal that the configuration names, to read; failures are printed.
    pub(super) fn journal(&self) -> Result<Reader, ExitCode> {
        self.journal_and_path().map(|(reader, _)| reader)
    }

    /// The same, and where it is.
    pub(super) fn journal_and_path(&self) -> Result<(Reader, PathBuf), ExitCode> {
        let path = self.config()?.journal.path;
        let reader = Reader::open(&path).map_err(|error| failed(&error))?;
        Ok((reader, path))
    }

    /// Whether nothing is left out.
    pub(super) fn admits_all(&self) -> bool {
        self.event_types.is_empty()
            && [&self.application, &self.file_id, &self.task_id, &self.id]
                .into_iter()
                .all(Option::is_none)
            && self.since.is_none()
            && self.until.is_none()
    }

    pub(super) fn filter(&self) -> Filter {
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
