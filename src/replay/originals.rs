use std::collections::BTreeMap;

use vodbridge_core::Event;
use vodbridge_journal::{Record, Table};
use vodbridge_vod::Content;

use crate::app::normalizer;
use crate::config::{Config, Data};
use crate::normalize::{DataForm, Normalizer, Reception, Trace};
use crate::telemetry::metrics::Mode;

/// From rows of the journal to the events that they were.
#[derive(Debug)]
pub struct Originals {
    /// By the applications' names.
    known: BTreeMap<String, Normalizer>,
    type_prefix: String,
    data: DataForm,
}

// === impl Originals ===

impl Originals {
    /// Dead letters are read anew, as the configuration says now.
    pub fn new(config: &Config) -> Self {
        let known = config.applications.iter().map(|(name, application)| {
            (name.as_str().to_owned(), normalizer(config, name, application))
        });
        let data = match config.cloudevents.data {
            Data::Payload => DataForm::Payload,
            Data::Content => DataForm::Content,
        };
        let type_prefix = config.cloudevents.type_prefix.to_string();
        Self { known: known.collect(), type_prefix, data }
    }

    /// The event as it was delivered, or that a letter's original message means, as it was first
    /// received; `None` where the message was not kept, or means none.
    pub fn event(&self, record: &Record) -> Option<Event> {
        match record.table {
            Table::DeadLetters => self.of_letter(&record.event),
            Table::Events | Table::History | Table::Spool => {
                record.has_payload().then(|| record.event.clone())
            }
        }
    }

    fn of_letter(&self, letter: &Event) -> Option<Event> {
        let content = Content::read(&letter.message).ok()?;
        let name = letter.extension("vodapplication").unwrap_or_default();
        let text = |name: &str| letter.extension(name).map(Into::into);
        let is_pulled = letter.extension("vodmode") == Some("pull");
        let reception = Reception {
            mode: if is_pulled { Mode::pull } else { Mode::callback },
            at: letter.time,
            trace: Trace { parent: text("traceparent"), state: text("tracestate") },
        };
        let taken_out;
        let normalizer = match self.known.get(name) {
            Some(normalizer) => normalizer,
            // It was taken out of the configuration since.
            None => {
                let sub_app_id = letter.extension("vodsubappid").and_then(|id| id.parse().ok());
                taken_out = Normalizer::new(name, sub_app_id, &self.type_prefix, self.data);
                &taken_out
            }
        };
        Some(normalizer.event(content, &letter.message, &reception))
    }
}
