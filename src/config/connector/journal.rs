use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Fault, PUBLISH_TIMEOUT};
use crate::config::duration;
use crate::config::report::Report;
use crate::config::tree::Path;

/// The embedded journal as a connector.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
    /// What an acknowledgement must survive. Below it the connector is unavailable.
    pub require: Vec<Fault>,
    /// What is taken as survived although nobody tells.
    pub assume: Vec<Fault>,
}

/// What the journal does when there is no room for a further event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Keeps all it has; the connector is unavailable until there is room.
    #[default]
    All,
    /// Drops the oldest events.
    Newest,
}

/// Ten years.
const MAX_AGE_MAX: Duration = Duration::from_secs(10 * 31_557_600);

impl Default for JournalConnector {
    fn default() -> Self {
        Self {
            max_age: None,
            keep: Keep::default(),
            publish_timeout: PUBLISH_TIMEOUT,
            require: Vec::new(),
            assume: Vec::new(),
        }
    }
}

impl JournalConnector {
    pub(super) fn check(&self, at: &Path, report: &mut Report<'_>) {
        if let Some(max_age) = self.max_age {
            duration::check(max_age, MAX_AGE_MAX, &at.join("max_age"), report);
        }
    }
}
