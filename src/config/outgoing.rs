use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vodbridge_core::Topic;

use super::report::Report;
use super::route::{Known, check_connector};
use super::tree::Path;
use super::{Name, duration};

/// Where an event goes that no connector takes or no route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The connector; none: the journal's own dead letters.
    pub to: Option<Name>,
    /// The topic there.
    pub topic: Topic,
    /// When what is owed because topology or rights are missing goes there.
    pub after: Duration,
}

/// What CloudEvents are made of.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CloudEvents {
    /// What the attribute `type` begins with; a dot and VOD's event type follow it.
    pub type_prefix: String,
    /// What `data` is.
    pub data: Data,
}

/// What a CloudEvent's `data` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// The event's own object, such as what `FileUploadEvent` holds.
    #[default]
    Payload,
    /// All of what VOD sent but `EventHandle`, `Sign` and `T`, for handlers that parse that.
    Content,
}

/// Where an event goes that no connector takes or no route matches.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "DeadLetter")]
pub(super) struct WrittenDeadLetter {
    /// The connector that takes dead letters; `journal` is always there: the embedded journal's
    /// own dead letters.
    to: String,
    /// The topic that dead letters get at a connector.
    topic: String,
    /// How long an event may be owed only because a topic, a queue or a right is missing, before
    /// it is a dead letter. At least 1m, at most 3d: VOD keeps what is pulled for four days.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    after: Duration,
}

const AFTER_LEAST: Duration = Duration::from_secs(60);
const AFTER_MOST: Duration = Duration::from_secs(3 * 86_400);
const JOURNAL: &str = "journal";
const TYPE_PREFIX_LEN_MAX: usize = 100;

impl Default for CloudEvents {
    fn default() -> Self {
        Self { type_prefix: "com.tencentcloud.vod".to_owned(), data: Data::default() }
    }
}

impl Default for WrittenDeadLetter {
    fn default() -> Self {
        Self { to: JOURNAL.to_owned(), topic: "vod.dead-letter".to_owned(), after: duration::DAY }
    }
}

// === checks ===

impl WrittenDeadLetter {
    pub(super) fn check(self, known: &Known<'_>, at: &Path, report: &mut Report<'_>) -> DeadLetter {
        let to = (self.to != JOURNAL).then_some(self.to);
        if let Some(to) = &to {
            check_connector(to, known, &at.join("to"), report);
        }
        let topic = Topic::new(self.topic.as_str()).unwrap_or_else(|error| {
            report.problem(&at.join("topic"), error.to_string());
            Topic::new("vod.dead-letter").expect("the default is a topic")
        });
        report.expect(
            (AFTER_LEAST..=AFTER_MOST).contains(&self.after),
            &at.join("after"),
            format!(
                "found {}, expected at least 1m and at most 3d",
                humantime::format_duration(self.after)
            ),
        );
        let to = to.and_then(|to| Name::new(&to).ok());
        DeadLetter { to, topic, after: self.after }
    }
}

impl CloudEvents {
    /// "SHOULD be prefixed with a reverse-DNS name" (CloudEvents 1.0, `type`).
    pub(super) fn check(&self, at: &Path, report: &mut Report<'_>) {
        let prefix = &self.type_prefix;
        let is_label = |label: &str| {
            let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
            !label.is_empty()
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        report.expect(
            prefix.len() <= TYPE_PREFIX_LEN_MAX && prefix.split('.').all(is_label),
            &at.join("type_prefix"),
            format!(
                "found {prefix:?}, expected a reverse-DNS name such as com.example.vod, at most \
                 {TYPE_PREFIX_LEN_MAX} bytes"
            ),
        );
    }
}
