//! The journal as it lies on its disk, beside a running bridge or without one.

use std::path::Path;

use rustix::fs::{Access, access};
use serde_json::{Map, json};
use vodbridge_journal::{Cursor, Filter, OpenError, Owner, ReadError, Reader, Table, TableUsage};

use super::finding::{Findings, Severity};
use crate::config::{Config, Connector, Keep};
use crate::registry;
use crate::telemetry::chain::Chain;

/// Above so many percent of what it may take a share is nearly full.
const NEARLY_FULL: u64 = 80;

const UNWRITABLE: &str = "cannot be written; mount it writable and give it to the user that the \
                          bridge runs as, or set journal.path";

pub(super) fn look(config: &Config, findings: &mut Findings) {
    let path = &config.journal.path;
    let what = format!("journal {}", path.display());
    match Owner::of(path) {
        Owner::Missing if path.exists() => {
            findings.add(Severity::Critical, &what, "not a directory");
        }
        Owner::Missing => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            let (severity, how) = if !parent.is_dir() {
                (Severity::Critical, "neither it nor its parent is there: create the parent")
            } else if !is_writable(parent) {
                (
                    Severity::Critical,
                    "not there yet, and what it lies in cannot be written; mount \
                                      it writable and give it to the user that the bridge runs \
                                      as, or set journal.path",
                )
            } else {
                (Severity::Good, "not there yet; the first start makes it")
            };
            findings.add(severity, &what, how);
        }
        // A running bridge can write there, whoever asks.
        Owner::Nobody if !is_writable(path) => {
            findings.add(Severity::Critical, &what, UNWRITABLE);
        }
        owner @ (Owner::Bridge | Owner::Nobody) => match Reader::open(path) {
            Ok(mut reader) => {
                let whose = if owner == Owner::Bridge { "a running bridge's" } else { "at rest" };
                findings.add(Severity::Good, &what, format!("readable, {whose}"));
                if let Err(why) = contents(config, &what, &mut reader, findings) {
                    findings.add(Severity::Critical, &what, Chain(&why));
                }
            }
            Err(OpenError::NoJournal(_)) => {
                findings.add(Severity::Good, &what, "empty; the first start fills it");
            }
            Err(why) => findings.add(Severity::Critical, &what, Chain(&why)),
        },
    }
}

fn is_writable(directory: &Path) -> bool {
    access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

fn contents(
    config: &Config,
    what: &str,
    reader: &mut Reader,
    findings: &mut Findings,
) -> Result<(), ReadError> {
    let settings = registry::journal(config);
    let (events, letters) = (reader.usage(Table::Events)?, reader.usage(Table::DeadLetters)?);
    let both = events.bytes + letters.bytes;
    // Where the oldest events make room, only dead letters can fill it.
    let (name, taken) = if makes_room(config) {
        ("dead letters", letters.bytes)
    } else {
        ("events and dead letters", both)
    };
    let advice = "raise journal.size_max, remove dead letters, or set max_age or keep: newest";
    share(what, name, taken, settings.share_bytes(), advice, findings);
    let spool = reader.usage(Table::Spool)?;
    let advice = "raise journal.size_max, and see what the connectors do not take";
    share(what, "the spool", spool.bytes, settings.spool_bytes(), advice, findings);
    let TableUsage { rows, .. } = spool;
    findings.add(Severity::Good, what, format!("{rows} events are in the spool"));
    let page = reader.page(Table::DeadLetters, &Filter::default(), Cursor::NEWEST, 1)?;
    if page.records.is_empty() {
        findings.add(Severity::Good, what, "no dead letters");
    } else {
        let how = "there are dead letters: vodbridge dead-letters lists them";
        findings.add(Severity::Warning, what, how);
    }
    Ok(())
}

/// Tells how full a share is, if that is worth telling.
fn share(what: &str, name: &str, taken: u64, most: u64, advice: &str, findings: &mut Findings) {
    let is_full = taken + LEAST_BYTES > most;
    if !is_full && taken <= most / 100 * NEARLY_FULL {
        return;
    }
    let (severity, how) =
        if is_full { (Severity::Critical, "full") } else { (Severity::Warning, "nearly full") };
    let how = format!("{name}: {how}, {taken} of {most} bytes");
    let mut details = Map::new();
    details.insert("bytes".to_owned(), json!(taken));
    details.insert("max_bytes".to_owned(), json!(most));
    findings.advise(severity, what, how, Some(advice.to_owned()), details);
}

/// Less than a page is room for hardly any event.
const LEAST_BYTES: u64 = 4096;

/// Whether events of the journal connectors go when there is no room.
fn makes_room(config: &Config) -> bool {
    let mut connectors = config.connectors.values();
    connectors.any(|c| matches!(c, Connector::Journal(journal) if journal.keep == Keep::Newest))
}
