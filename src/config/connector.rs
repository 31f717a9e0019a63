use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer, EnumAccess, VariantAccess, Visitor};
use serde::{Deserialize as DeserializeDerive, Serialize};

use super::duration;
use super::report::Report;
use super::tree::Path;
use super::{CONNECTORS_MAX, Name};

/// Where events go out, told apart by the key `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Connector {
    /// The embedded journal: events stay on this machine's disk until somebody reads them.
    Journal(JournalConnector),
}

const TYPES: &[&str] = &["journal"];

/// The embedded journal as a connector.
#[derive(Clone, Debug, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JournalConnector {
    /// How long an event is kept. Default: until there is no room, and then for `keep` to say.
    #[serde(with = "duration::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    pub max_age: Option<Duration>,
    /// What is done when there is no room for a further event.
    pub keep: Keep,
    /// How long one publishing may take. More than 0s and less than 25s, so that a pulled event
    /// can be confirmed before VOD gives it to somebody else.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub publish_timeout: Duration,
}

/// What the journal does when there is no room for a further event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, DeserializeDerive, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Keeps all it has; the connector is unavailable until there is room.
    #[default]
    All,
    /// Drops the oldest events.
    Newest,
}

/// VOD's 30 s for a handle, less the 5 s it takes to confirm it.
const PUBLISH_TIMEOUT_BELOW: Duration = Duration::from_secs(25);

/// Ten years.
const MAX_AGE_MAX: Duration = Duration::from_secs(10 * 31_557_600);

impl Default for JournalConnector {
    fn default() -> Self {
        Self { max_age: None, keep: Keep::default(), publish_timeout: Duration::from_secs(20) }
    }
}

/// The connectors when none is written: the journal.
pub(super) fn default_connectors() -> BTreeMap<String, Connector> {
    let journal = Connector::Journal(JournalConnector::default());
    BTreeMap::from([("journal".to_owned(), journal)])
}

// === checks ===

pub(super) fn check(
    written: BTreeMap<String, Connector>,
    at: &Path,
    report: &mut Report<'_>,
) -> BTreeMap<Name, Connector> {
    report.expect(!written.is_empty(), at, "expected at least one connector");
    report.expect(
        written.len() <= CONNECTORS_MAX,
        at,
        format!("found {} connectors, expected at most {CONNECTORS_MAX}", written.len()),
    );
    let mut connectors = BTreeMap::new();
    let mut journals = written.iter().filter(|(_, c)| matches!(c, Connector::Journal(_)));
    if let (Some((first, _)), Some((second, _))) = (journals.next(), journals.next()) {
        let message = format!("there is one journal, and it is the connector {first} already");
        report.problem(&at.join(second), message);
    }
    for (name, connector) in written {
        let at = at.join(&name);
        match Name::new(&name) {
            Ok(name) => {
                connector.check(&at, report);
                connectors.insert(name, connector);
            }
            Err(error) => report.problem(&at, error.to_string()),
        }
    }
    connectors
}

impl Connector {
    fn check(&self, at: &Path, report: &mut Report<'_>) {
        match self {
            Self::Journal(journal) => journal.check(at, report),
        }
    }
}

impl JournalConnector {
    fn check(&self, at: &Path, report: &mut Report<'_>) {
        if let Some(max_age) = self.max_age {
            duration::check(max_age, MAX_AGE_MAX, &at.join("max_age"), report);
        }
        let timeout = self.publish_timeout;
        report.expect(
            !timeout.is_zero() && timeout < PUBLISH_TIMEOUT_BELOW,
            &at.join("publish_timeout"),
            format!(
                "found {}, expected more than 0s and less than {}",
                humantime::format_duration(timeout),
                humantime::format_duration(PUBLISH_TIMEOUT_BELOW),
            ),
        );
    }
}

// === impl Connector ===

/// By hand, because serde's own tagged enums lose the path of an error inside.
impl<'de> Deserialize<'de> for Connector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByType;

        impl<'de> Visitor<'de> for ByType {
            type Value = Connector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping with the key \"type\"")
            }

            fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Connector, A::Error> {
                let (ty, content) = access.variant::<Type>()?;
                match ty {
                    Type::Journal => content.newtype_variant().map(Connector::Journal),
                }
            }
        }

        deserializer.deserialize_enum("Connector", TYPES, ByType)
    }
}

#[derive(DeserializeDerive)]
#[serde(rename_all = "lowercase")]
enum Type {
    Journal,
}
