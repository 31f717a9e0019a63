use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::did_you_mean;
use super::report::Report;
use super::template::EVENT_TYPE_LEN_MAX;
use super::tree::Path;
use super::{Application, Name, Pattern, TopicTemplate};

/// Which events go to which connectors, under which topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name; `route-<n>`, counted from 1, unless it was given one.
    pub name: Name,
    /// Which events take it.
    pub when: Match,
    /// The connectors that must all acknowledge; empty only if `drop`.
    pub to: Vec<Name>,
    /// The connectors that never hold a confirmation back.
    pub also: Vec<Name>,
    /// How the topic is made.
    pub topic: TopicTemplate,
    /// What the partition key is; none given: the subject.
    pub key: Option<Key>,
    /// Confirmed and counted, published nowhere.
    pub drop: bool,
}

/// Which events take a route: all that is named must match, what is empty matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// Application names, one of which matches.
    pub applications: Vec<Pattern>,
    /// VOD event types, one of which matches.
    pub events: Vec<Pattern>,
    /// For each of these attributes, values one of which matches. An absent attribute does not.
    pub attributes: BTreeMap<String, Vec<Pattern>>,
}

/// What an event's partition key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// The FileId.
    File,
    /// The TaskId.
    Task,
    /// The application's name.
    Application,
    /// No key.
    None,
}

/// Which events go to which connectors, under which topic.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Route")]
pub(super) struct WrittenRoute {
    /// The route's name in logs, listings and `explain`. Default: `route-` and its number, from 1.
    name: Option<String>,
    /// Which events take this route, unless an earlier route takes them. Default: all.
    #[serde(rename = "match")]
    when: WrittenMatch,
    /// The connectors that must all acknowledge an event before it is confirmed. Never empty
    /// unless `drop` is true.
    to: Vec<String>,
    /// Connectors that get the event too and never hold a confirmation back.
    also: Vec<String>,
    /// The topic: text with `{event_type}`, `{application}` and `{sub_app_id}` in it.
    /// Default: `vod.{event_type}`.
    topic: Option<String>,
    /// What the partition key is: file, task, application or none. Default: the event's subject,
    /// which is its file where it has one.
    key: Option<Key>,
    /// Confirms and counts the events and publishes them nowhere.
    drop: bool,
}

/// Which events take a route. Patterns are texts in which `*` stands for any text.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Match")]
struct WrittenMatch {
    /// Patterns of application names. Default: all.
    applications: Vec<String>,
    /// Patterns of VOD event types. Default: all.
    events: Vec<String>,
    /// For CloudEvents attributes by name, patterns of their values. Default: whatever they are.
    attributes: BTreeMap<String, Vec<String>>,
}

const TOPIC: &str = "vod.{event_type}";
const ROUTES_MAX: usize = 256;
const PATTERNS_MAX: usize = 256;

/// The CloudEvents attributes that an event may have.
const ATTRIBUTES: [&str; 14] = [
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "vodeventtype",
    "vodapplication",
    "vodsubappid",
    "vodfileid",
    "vodtaskid",
    "vodstatus",
    "vodmode",
    "partitionkey",
];

// === checks ===

/// What routes name.
pub(super) struct Known<'a> {
    pub(super) applications: &'a BTreeMap<Name, Application>,
    /// Every connector that is written, those included that something is wrong with.
    pub(super) connectors: &'a BTreeSet<String>,
}

pub(super) fn check(
    written: Option<Vec<WrittenRoute>>,
    known: &Known<'_>,
    at: &Path,
    report: &mut Report<'_>,
) -> Vec<Route> {
    let everything = || {
        let to = known.connectors.iter().cloned().collect();
        vec![WrittenRoute { to, ..WrittenRoute::default() }]
    };
    let is_default = written.is_none();
    let written = written.unwrap_or_else(everything);
    if is_default && known.connectors.is_empty() {
        return Vec::new();
    }
    report.expect(
        (1..=ROUTES_MAX).contains(&written.len()),
        at,
        format!(
            "found {} routes, expected 1 to {ROUTES_MAX}; without the key everything goes to \
             every connector",
            written.len()
        ),
    );
    let mut names = BTreeSet::new();
    let mut takes_all = None;
    let mut routes = Vec::new();
    for (n, route) in written.into_iter().enumerate() {
        let at = at.join(n);
        let route = route.check(n, known, &at, report);
        report.expect(
            names.insert(route.name.clone()),
            &at.join("name"),
            format!("the name {} is taken by another route", route.name),
        );
        if let Some(earlier) = &takes_all {
            report.warning(&at, format!("never taken: {earlier} takes every event"));
        } else if route.when == Match::default() {
            takes_all = Some(route.name.clone());
        }
        routes.push(route);
    }
    routes
}

impl WrittenRoute {
    fn check(self, n: usize, known: &Known<'_>, at: &Path, report: &mut Report<'_>) -> Route {
        if self.drop {
            let given = [
                ("to", !self.to.is_empty()),
                ("also", !self.also.is_empty()),
                ("topic", self.topic.is_some()),
            ];
            for (key, _) in given.iter().filter(|(_, given)| *given) {
                report.problem(&at.join(key), "a route with drop: true publishes nothing");
            }
        } else {
            report.expect(
                !self.to.is_empty(),
                at,
                "expected at least one connector in \"to\", or drop: true",
            );
        }
        let mut seen = BTreeSet::new();
        let mut names = |written: Vec<String>, key: &str, report: &mut Report<'_>| {
            let named = written.into_iter().enumerate();
            let named = named.filter_map(|(n, name)| {
                let at = at.join(key).join(n);
                check_connector(&name, known, &at, report);
                report.expect(seen.insert(name.clone()), &at, format!("{name:?} is named twice"));
                Name::new(&name).ok()
            });
            named.collect::<Vec<_>>()
        };
        let to = names(self.to, "to", report);
        let also = names(self.also, "also", report);
        let default_name = || Name::new(&format!("route-{}", n + 1)).expect("made of a-z and 0-9");
        let name = self.name.and_then(|name| {
            Name::new(&name).map_err(|e| report.problem(&at.join("name"), e.to_string())).ok()
        });
        let when = self.when.check(known, &at.join("match"), report);
        let topic = self.topic.as_deref().unwrap_or(TOPIC);
        let topic = check_topic(topic, &when, known, &at.join("topic"), report);
        let name = name.unwrap_or_else(default_name);
        Route { name, when, to, also, topic, key: self.key, drop: self.drop }
    }
}

/// Whether a connector of this name is written.
pub(super) fn check_connector(name: &str, known: &Known<'_>, at: &Path, report: &mut Report<'_>) {
    let names = || known.connectors.iter().map(String::as_str);
    report.expect(
        known.connectors.contains(name),
        at,
        format!("no connector is named {name:?}{}", did_you_mean(name, names())),
    );
}

fn check_topic(
    text: &str,
    when: &Match,
    known: &Known<'_>,
    at: &Path,
    report: &mut Report<'_>,
) -> TopicTemplate {
    let template = match TopicTemplate::new(text) {
        Ok(template) => template,
        Err(error) => {
            report.problem(at, format!("found {text:?}: {error}"));
            return TopicTemplate::new(TOPIC).expect("the default is a template");
        }
    };
    let longest_type = "E".repeat(EVENT_TYPE_LEN_MAX);
    for (name, application) in known.applications {
        if !when.takes_application(name.as_str()) {
            continue;
        }
        let id = application.sub_app_id;
        report.expect(
            id.is_some() || !template.needs_sub_app_id(),
            at,
            format!("{{sub_app_id}} stands for nothing: the application {name} has none"),
        );
        let topic = {
            let id = id.map(|id| id.to_string());
            template.render(&longest_type, name.as_str(), id.as_deref())
        };
        if let Err(error) = topic {
            report.problem(at, format!("for the application {name}: {error}"));
        }
    }
    template
}

impl WrittenMatch {
    fn check(self, known: &Known<'_>, at: &Path, report: &mut Report<'_>) -> Match {
        let applications = patterns(self.applications, &at.join("applications"), report);
        for (n, pattern) in applications.iter().enumerate() {
            let mut names = known.applications.keys().map(Name::as_str);
            if !names.any(|name| pattern.matches(name)) {
                let names = known.applications.keys().map(Name::as_str);
                let nearest = did_you_mean(pattern.as_str(), names);
                let message = format!("{:?} matches no application{nearest}", pattern.as_str());
                report.warning(&at.join("applications").join(n), message);
            }
        }
        let events = patterns(self.events, &at.join("events"), report);
        for (n, pattern) in events.iter().enumerate() {
            let types = report.known_event_types;
            // Format 2.0 has types of its own, which no catalogue lists.
            let may_match = types.is_empty()
                || pattern.as_str().starts_with("v2.")
                || types.iter().any(|ty| pattern.matches(ty));
            if !may_match {
                let nearest = did_you_mean(pattern.as_str(), types.iter().copied());
                let message =
                    format!("{:?} matches no known event type{nearest}", pattern.as_str());
                report.warning(&at.join("events").join(n), message);
            }
        }
        let at = at.join("attributes");
        let attributes = self.attributes.into_iter().map(|(name, values)| {
            let at = at.join(&name);
            report.expect(
                ATTRIBUTES.contains(&name.as_str()),
                &at,
                format!("no event has this attribute{}", did_you_mean(&name, ATTRIBUTES)),
            );
            report.expect(!values.is_empty(), &at, "the list is empty: nothing would match");
            (name, patterns(values, &at, report))
        });
        let attributes = attributes.collect();
        Match { applications, events, attributes }
    }
}

fn patterns(written: Vec<String>, at: &Path, report: &mut Report<'_>) -> Vec<Pattern> {
    let message = format!("found {} patterns, expected at most {PATTERNS_MAX}", written.len());
    report.expect(written.len() <= PATTERNS_MAX, at, message);
    written.iter().map(|text| Pattern::new(text)).collect()
}

// === impl Match ===

impl Match {
    /// Whether events of this application may take the route.
    pub fn takes_application(&self, name: &str) -> bool {
        self.applications.is_empty() || self.applications.iter().any(|p| p.matches(name))
    }
}
