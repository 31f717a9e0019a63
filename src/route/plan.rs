//! Where an event goes: the first route that matches it, and the topic it has there.

use smol_str::{SmolStr, format_smolstr};
use vodbridge_core::{Event, Extension, InvalidTopic, Topic};

use crate::config::{EVENT_TYPE_LEN_MAX, Pattern, TopicTemplate};

/// Which events go to which connectors, under which topic.
#[derive(Clone, Debug)]
pub struct Route {
    /// What people call it: its name, or its place in the list.
    pub name: SmolStr,
    /// Which events take it.
    pub when: Match,
    /// What becomes of them.
    pub then: Then,
}

/// What becomes of the events of a route.
#[derive(Clone, Debug)]
pub enum Then {
    /// Confirmed and counted, published nowhere.
    Drop,
    /// Published.
    Publish {
        /// Places of the connectors that must all acknowledge.
        to: Vec<usize>,
        /// Places of the connectors that get it as best they can.
        also: Vec<usize>,
        /// The topic.
        topic: TopicTemplate,
        /// What orders events on the topic.
        key: PartitionKey,
    },
}

/// Which events a route takes: all conditions hold, each by at least one of its patterns; a
/// condition without patterns holds always.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// On the attribute `vodapplication`.
    pub applications: Vec<Pattern>,
    /// On the attribute `vodeventtype`.
    pub events: Vec<Pattern>,
    /// On attributes by name; an absent one is the empty text.
    pub attributes: Vec<(SmolStr, Vec<Pattern>)>,
}

/// The condition of a route that an event does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit<'a> {
    /// `match.applications`
    Application,
    /// `match.events`
    EventType,
    /// `match.attributes`, by the attribute's name.
    Attribute(&'a str),
}

/// What becomes the attribute `partitionkey`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartitionKey {
    /// The event's subject.
    #[default]
    Subject,
    /// The file.
    File,
    /// The task.
    Task,
    /// The application: one order for all its events.
    Application,
    /// None: events spread evenly.
    None,
}

// === impl Match ===

impl Match {
    /// Whether events of this application can fit.
    pub fn takes_application(&self, application: &str) -> bool {
        holds(&self.applications, application)
    }

    /// The first condition that the event does not fit, if there is one.
    pub fn misfit(&self, event: &Event) -> Option<Misfit<'_>> {
        let attribute = |name: &str| event.extension(name).unwrap_or_default();
        if !holds(&self.applications, attribute("vodapplication")) {
            return Some(Misfit::Application);
        }
        if !holds(&self.events, attribute("vodeventtype")) {
            return Some(Misfit::EventType);
        }
        let misfit = self.attributes.iter().find(|(name, patterns)| {
            // `partitionkey` is given by the route, so it cannot choose one; `time` and the like
            // are looked up as every other attribute, at the price of writing them out.
            match name.as_str() {
                name if name.starts_with("vod") => !holds(patterns, attribute(name)),
                name => {
                    let mut all = event.attributes();
                    let value = all.find(|(n, _)| *n == name).map(|(_, v)| v);
                    !holds(patterns, &value.unwrap_or_default())
                }
            }
        });
        misfit.map(|(name, _)| Misfit::Attribute(name))
    }
}

impl std::fmt::Display for Misfit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Application => "match.applications",
            Self::EventType => "match.events",
            Self::Attribute(name) => return write!(f, "match.attributes.{name}"),
        })
    }
}

fn holds(patterns: &[Pattern], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|p| p.matches(text))
}

/// The topic of an event.
///
/// # Errors
///
/// When what is filled in makes the name longer than a topic may be.
pub(super) fn topic(template: &TopicTemplate, event: &Event) -> Result<Topic, InvalidTopic> {
    let event_type = event.extension("vodeventtype").unwrap_or_default();
    // The legacy format has a level of its own: `vod.v2.NewFileUpload`.
    let (legacy, plain) = match event_type.strip_prefix("v2.") {
        Some(plain) => ("v2.", plain),
        None => ("", event_type),
    };
    let token = Topic::token(plain, EVENT_TYPE_LEN_MAX - legacy.len());
    template.render(
        &format_smolstr!("{legacy}{token}"),
        event.extension("vodapplication").unwrap_or_default(),
        event.extension("vodsubappid"),
    )
}

// === impl PartitionKey ===

impl PartitionKey {
    /// Gives the event its `partitionkey`, or takes it away.
    pub fn apply(self, event: &mut Event) {
        let key = match self {
            Self::Subject => event.subject.clone(),
            Self::File => event.extension("vodfileid").map(SmolStr::new),
            Self::Task => event.extension("vodtaskid").map(SmolStr::new),
            Self::Application => event.extension("vodapplication").map(SmolStr::new),
            Self::None => None,
        };
        event.extensions.retain(|e| e.name != "partitionkey");
        if let Some(value) = key {
            let at = event.extensions.partition_point(|e| e.name.as_ref() < "partitionkey");
            event.extensions.insert(at, Extension { name: "partitionkey".into(), value });
        }
    }
}
