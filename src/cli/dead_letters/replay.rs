use std::process::ExitCode;

use clap::Args;
use vodbridge_core::Event;
use vodbridge_journal::{Record, Remover, Table};
use vodbridge_vod::Content;

use super::super::chosen::Chosen;
use super::super::exit::{failed, print};
use super::super::place::Of;
use super::super::replay::{self, Tally};
use crate::app::normalizer;
use crate::config::{self, Config};
use crate::normalize::{DataForm, Normalizer, Reception, Trace};
use crate::telemetry::metrics::Mode;

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
        let event = |record: &Record| event(&config, record);
        if self.dry_run {
            let unusable = "is no event; it stays";
            return replay::explain(&config, &self.chosen, Of::DeadLetters, event, unusable);
        }
        let mut remover = match Remover::open(&config.journal.path) {
            Ok(remover) => remover,
            Err(error) => return failed(&error),
        };
        // Only what is acknowledged goes.
        let tally = replay::replay(&config, &self.chosen, Of::DeadLetters, event, |seqs| {
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

/// The event that the letter's original message means, as it was first received; `None` where it
/// means none.
fn event(config: &Config, record: &Record) -> Option<Event> {
    let letter = &record.event;
    let content = Content::read(&letter.message).ok()?;
    let name = letter.extension("vodapplication").unwrap_or_default();
    let known = config.applications.iter().find(|(known, _)| known.as_str() == name);
    let normalizer = match known {
        Some((name, application)) => normalizer(config, name, application),
        // It was taken out of the configuration since.
        None => {
            let data = match config.cloudevents.data {
                config::Data::Payload => DataForm::Payload,
                config::Data::Content => DataForm::Content,
            };
            let sub_app_id = letter.extension("vodsubappid").and_then(|id| id.parse().ok());
            Normalizer::new(name, sub_app_id, &config.cloudevents.type_prefix, data)
        }
    };
    let text = |name: &str| letter.extension(name).map(Into::into);
    let reception = Reception {
        mode: if letter.extension("vodmode") == Some("pull") { Mode::pull } else { Mode::callback },
        at: letter.time,
        trace: Trace { parent: text("traceparent"), state: text("tracestate") },
    };
    Some(normalizer.event(content, &letter.message, &reception))
}
