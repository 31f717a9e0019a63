//! Dead letters: events that no connector will take, kept with the reason.

use std::borrow::Cow;
use std::sync::Arc;

use smol_str::SmolStr;
use tracing::error;
use vodbridge_core::{Event, Extension, Topic};

use super::overdue::Overdue;
use super::target::{Failure, Target};
use super::{LETTERS, Place};
use crate::delivery::Ack;
use crate::telemetry::chain::Chain;

/// The longest `voddetail`, in bytes: it travels in a header.
const DETAIL_LEN_MAX: usize = 500;

/// Where dead letters go.
#[derive(Debug)]
pub struct Letters {
    /// The first choice.
    pub target: Arc<Target>,
    /// The topic there.
    pub topic: Topic,
    /// Takes what the first choice refuses; absent where the first choice is the journal.
    pub last_resort: Option<Arc<Target>>,
    /// When an event goes there that is owed because topology is missing.
    pub overdue: Overdue,
}

/// Why an event is lettered.
#[derive(Debug)]
pub(super) struct Reason<'a> {
    pub(super) code: &'a str,
    pub(super) detail: Cow<'a, str>,
    pub(super) connector: Option<&'a str>,
    pub(super) topic: Option<&'a Topic>,
}

// === impl Letters ===

impl Letters {
    /// Every target that letters may go to.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        std::iter::once(&self.target).chain(&self.last_resort)
    }

    /// Where letters would be given back at once; nothing if they are taken.
    pub(crate) fn obstacle(&self) -> Option<Vec<Place>> {
        (!self.target.takes(Some(&self.topic))).then(|| vec![(LETTERS, self.topic.clone())])
    }

    /// Publishes the dead letter until it is acknowledged or nobody waits any more; true when it
    /// is acknowledged.
    pub(super) async fn deliver(&self, event: &Event, reason: &Reason<'_>, ack: &Ack) -> bool {
        let letter = letter(event, reason);
        match self.target.deliver(&letter, &self.topic, ack).await {
            Ok(()) => true,
            Err(Failure::Deferred) => false,
            Err(Failure::Refused(why)) => {
                error!(
                    connector = self.target.name(),
                    event = letter.id.as_str(),
                    error = %Chain(&*why),
                    reason = reason.code,
                    detail = &*reason.detail,
                    "the dead letter was refused as well"
                );
                let Some(journal) = &self.last_resort else { return false };
                journal.deliver(&letter, &self.topic, ack).await.is_ok()
            }
        }
    }
}

/// The event as it would have gone out, with the reason in its attributes and all that came in as
/// its data.
fn letter(event: &Event, reason: &Reason<'_>) -> Event {
    let mut letter = event.clone();
    let attributes = [
        ("vodreason", Some(Cow::Borrowed(reason.code))),
        ("voddetail", Some(printable(&reason.detail))),
        ("vodconnector", reason.connector.map(Cow::Borrowed)),
        ("vodtopic", reason.topic.map(|t| Cow::Borrowed(t.as_str()))),
    ];
    for (name, value) in attributes {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            letter.extensions.push(Extension { name: name.into(), value: SmolStr::new(value) });
        }
    }
    letter.extensions.sort_by(|a, b| a.name.cmp(&b.name));
    letter.data = letter.message.clone();
    letter
}

/// CloudEvents, "Type System": a String has no control characters.
fn printable(text: &str) -> Cow<'_, str> {
    let mut end = text.len().min(DETAIL_LEN_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    } else {
        Cow::Borrowed(text)
    }
}
