use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration;
use super::report::Report;
use super::secret::{Rule, Secrets};
use super::secret_cell::open;
use super::tree::Path;
use super::{Journal, Limits, Name, Pull, SecretCell, Size};

/// One VOD application: the unit that has a callback URL and an event queue.
#[derive(Clone, Debug)]
pub struct Application {
    /// Its SubAppId.
    pub sub_app_id: Option<NonZeroU64>,
    /// How it takes callbacks, if it does.
    pub callback: Option<Callback>,
    /// How its events are pulled, if they are.
    pub pull: Option<Pull>,
    /// What it may hold at once.
    pub limits: ApplicationLimits,
}

/// How an application takes callbacks.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The path of its URL; begins with `/`.
    pub path: String,
    /// What the query parameter `token` must be, if anything.
    pub token: Option<SecretCell>,
    /// The keys of VOD's `Sign`, if it is to be checked.
    pub sign_key: Option<SecretCell>,
    /// How far `T` may lie ahead.
    pub sign_window: Duration,
    /// When the caller gets its answer at the latest.
    pub answer_within: Duration,
    /// What is done with an event until a broker has it.
    pub spool: Spool,
    /// The largest body that is taken.
    pub body_max: Size,
}

/// What is done with a callback's event until a broker has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Spool {
    /// It is written to the journal first, sent on, and taken out once it is acknowledged: what was
    /// read survives the process.
    #[default]
    Ahead,
    /// It is kept in memory: what no broker took before the answer is the caller's to send again.
    Off,
}

/// What one application may hold at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApplicationLimits {
    /// How many of its events may be under way at once; further ones wait, then are deferred.
    pub in_flight: NonZeroUsize,
    /// How many bytes of its events may be under way at once.
    pub in_flight_bytes: Size,
}

/// One VOD application: the unit that has a callback URL and an event queue.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Application")]
pub(super) struct WrittenApplication {
    /// The application's SubAppId. It names the source of its events, and is what `{sub_app_id}`
    /// in a topic stands for.
    sub_app_id: Option<NonZeroU64>,
    /// Takes callbacks; `{}` takes them with all defaults.
    callback: Option<WrittenCallback>,
    /// Pulls the events that VOD keeps in its queue; `{}` does so with all defaults.
    pull: Option<Pull>,
    /// What the application may hold at once.
    limits: ApplicationLimits,
}

/// How callbacks are taken.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Callback")]
pub(super) struct WrittenCallback {
    /// The path of the callback URL. Default: `/vod/` and the application's name.
    path: Option<String>,
    /// What the query parameter `token` of the callback URL must be: the URL given to VOD ends
    /// with `?token=...`. Default: no token is asked for.
    #[serde(skip_serializing)]
    token: Option<Secrets>,
    /// The callback key set in VOD's console; callbacks without a valid `Sign` made with it are
    /// refused. Letters and digits, at most 32. Default: no signature is asked for.
    #[serde(skip_serializing)]
    sign_key: Option<Secrets>,
    /// How far ahead of now the expiry time `T` of a signature may lie.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    sign_window: Duration,
    /// How long the caller waits for its answer. What is not acknowledged by then is answered
    /// with 503. More than 0s, at most 60s.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    answer_within: Duration,
    /// What is done with an event until a broker has it. `ahead`: it is written to the journal
    /// at once, so that it survives the process; `off`: it is kept in memory only.
    spool: Spool,
    /// The largest body that is taken; a larger one is answered with 413. No larger than the
    /// limits `in_flight_bytes` of the application and of the process and what the journal can
    /// hold, at most 1GiB.
    body_max: Size,
}

const ANSWER_WITHIN_MAX: Duration = Duration::from_secs(60);
const BODY_MAX: Size = Size::mebibytes(1024);
const IN_FLIGHT_MAX: usize = 1_000_000;

impl Default for ApplicationLimits {
    fn default() -> Self {
        Self {
            in_flight: NonZeroUsize::new(1024).expect("not zero"),
            in_flight_bytes: Size::mebibytes(64),
        }
    }
}

impl Default for WrittenCallback {
    fn default() -> Self {
        Self {
            path: None,
            token: None,
            sign_key: None,
            sign_window: Duration::from_secs(15 * 60),
            answer_within: Duration::from_secs(4),
            spool: Spool::default(),
            body_max: Size::mebibytes(16),
        }
    }
}

/// The applications when none is written: one named `default` that takes callbacks.
pub(super) fn default_applications() -> BTreeMap<String, WrittenApplication> {
    let application =
        WrittenApplication { callback: Some(WrittenCallback::default()), ..Default::default() };
    BTreeMap::from([("default".to_owned(), application)])
}

// === checks ===

pub(super) fn check(
    written: BTreeMap<String, WrittenApplication>,
    process: &Limits,
    journal: &Journal,
    at: &Path,
    report: &mut Report<'_>,
) -> BTreeMap<Name, Application> {
    report.expect(!written.is_empty(), at, "expected at least one application");
    let mut applications = BTreeMap::new();
    let mut paths = BTreeMap::new();
    for (name, application) in written {
        let at = at.join(&name);
        let name = match Name::new(&name) {
            Ok(name) => name,
            Err(error) => {
                report.problem(&at, error.to_string());
                continue;
            }
        };
        let application = application.check(&name, process, journal, &at, report);
        let path = application.callback.as_ref().map(|callback| callback.path.clone());
        if let Some(path) = path
            && let Some(other) = paths.insert(path.clone(), name.clone())
        {
            let message = format!("the path {path:?} is taken by the application {other}");
            report.problem(&at.join("callback").join("path"), message);
        }
        applications.insert(name, application);
    }
    applications
}

impl WrittenApplication {
    fn check(
        self,
        name: &Name,
        process: &Limits,
        journal: &Journal,
        at: &Path,
        report: &mut Report<'_>,
    ) -> Application {
        let limits_at = at.join("limits");
        report.expect(
            self.limits.in_flight.get() <= IN_FLIGHT_MAX,
            &limits_at.join("in_flight"),
            format!("found {}, expected at most {IN_FLIGHT_MAX}", self.limits.in_flight),
        );
        report.expect(
            self.callback.is_some() || self.pull.is_some(),
            at,
            "nothing brings in this application's events; callback: {} takes callbacks, pull: {} \
             pulls",
        );
        let smallest = [
            (self.limits.in_flight_bytes, limits_at.join("in_flight_bytes").to_string()),
            (process.in_flight_bytes, "limits.in_flight_bytes".to_owned()),
            (journal.body_max(), "half of journal.size_max and of journal.wal_max".to_owned()),
        ];
        let callback = self
            .callback
            .map(|callback| callback.check(name, smallest, &at.join("callback"), report));
        let mut pull = self.pull;
        if let Some(pull) = &mut pull {
            pull.check(&at.join("pull"), report);
        }
        Application { sub_app_id: self.sub_app_id, callback, pull, limits: self.limits }
    }
}

impl WrittenCallback {
    fn check(
        self,
        name: &Name,
        byte_limits: [(Size, String); 3],
        at: &Path,
        report: &mut Report<'_>,
    ) -> Callback {
        let path = self.path.unwrap_or_else(|| format!("/vod/{name}"));
        if let Err(message) = check_path(&path) {
            report.problem(&at.join("path"), format!("found {path:?}, {message}"));
        }
        duration::check(self.sign_window, duration::DAY, &at.join("sign_window"), report);
        duration::check(self.answer_within, ANSWER_WITHIN_MAX, &at.join("answer_within"), report);
        let body_max = self.body_max;
        let body_max_at = at.join("body_max");
        report.expect(
            body_max <= BODY_MAX,
            &body_max_at,
            format!("found {body_max}, expected at most {BODY_MAX}"),
        );
        for (limit, whose) in byte_limits {
            report.expect(
                body_max <= limit,
                &body_max_at,
                format!("found {body_max}, expected no more than {whose} ({limit})"),
            );
        }
        Callback {
            path,
            token: open(self.token, Rule::Any, &at.join("token"), report),
            sign_key: open(self.sign_key, Rule::SignKey, &at.join("sign_key"), report),
            sign_window: self.sign_window,
            answer_within: self.answer_within,
            spool: self.spool,
            body_max,
        }
    }
}

fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("expected a path that begins with '/'");
    }
    if path.contains(['?', '#']) {
        return Err("expected a path without a query or fragment");
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&b);
    if !path.bytes().all(plain) {
        return Err("expected a path of characters that a URL holds without percent-encoding");
    }
    if path.split('/').any(|segment| segment == ".." || segment == ".") {
        return Err("expected a path without \".\" and \"..\"");
    }
    Ok(())
}

// === impl Spool ===

impl<'de> Deserialize<'de> for Spool {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "ahead" => Ok(Self::Ahead),
            "off" => Ok(Self::Off),
            other => Err(serde::de::Error::custom(format!(
                "found {other:?}, expected \"ahead\" or \"off\""
            ))),
        }
    }
}
