//! What the configuration says of the shape of the bridge. No secret, and no address of a broker.

use std::num::NonZeroU64;

use serde_json::{Map, Value, json};

use crate::config::{Application, Config, Connector, Match, Name, Pattern, Route, Spool};

/// Applications and connectors by their names, routes in their order.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) applications: Map<String, Value>,
    /// Their types.
    pub(super) connectors: Map<String, Value>,
    pub(super) routes: Value,
    pub(super) dead_letter: Value,
}

// === impl Layout ===

impl Layout {
    pub(super) fn new(config: &Config) -> Self {
        let applications = config.applications.iter();
        let applications = applications.map(|(n, a)| (n.to_string(), application(a)));
        let connectors = config.connectors.iter();
        let connectors = connectors.map(|(n, c)| (n.to_string(), Value::from(c.type_name())));
        let letters = &config.dead_letter;
        Self {
            applications: applications.collect(),
            connectors: connectors.collect(),
            routes: config.routes.iter().map(route).collect(),
            dead_letter: json!({
                "to": letters.to.as_ref().map(Name::as_str),
                "is_here": letters.to.as_ref().is_none_or(|to| is_journal(config, to)),
                "topic": letters.topic.as_str(),
            }),
        }
    }
}

fn is_journal(config: &Config, name: &Name) -> bool {
    matches!(config.connectors.get(name), Some(Connector::Journal(_)))
}

fn application(application: &Application) -> Value {
    let callback = application.callback.as_ref().map(|callback| {
        json!({
            "path": callback.path,
            "is_authenticated": callback.token.is_some() || callback.sign_key.is_some(),
            "is_spooled": callback.spool == Spool::Ahead,
        })
    });
    json!({
        "sub_app_id": application.sub_app_id.map(NonZeroU64::get).map(|id| id.to_string()),
        "callback": callback,
        "is_pulled": application.pull.is_some(),
    })
}

fn route(route: &Route) -> Value {
    json!({
        "name": route.name.as_str(),
        "match": conditions(&route.when),
        "to": texts(&route.to, Name::as_str),
        "also": texts(&route.also, Name::as_str),
        "topic": route.topic.to_string(),
        "drop": route.drop,
    })
}

/// What an event must be, by what is looked at; empty where every event fits.
fn conditions(when: &Match) -> Map<String, Value> {
    let lists = [("application", &when.applications), ("event", &when.events)];
    let lists = lists.into_iter().chain(when.attributes.iter().map(|(n, p)| (n.as_str(), p)));
    let given = lists.filter(|(_, patterns)| !patterns.is_empty());
    given.map(|(name, patterns)| (name.to_owned(), texts(patterns, Pattern::as_str))).collect()
}

fn texts<T>(of: &[T], text: impl Fn(&T) -> &str) -> Value {
    of.iter().map(text).collect()
}
