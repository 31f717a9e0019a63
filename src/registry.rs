//! The one list of connectors: from a `type:` in the configuration to the crate behind it, and
//! from names to places.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use vodbridge_core as core;
use vodbridge_journal as journal;
use vodbridge_journal::{Store, Table};

use crate::config::{Config, Connector, Keep, Key, Name};
use crate::route::{Letters, Match, PartitionKey, Route, Target, Then};
use crate::telemetry::metrics::Metrics;

/// What the embedded dead letters are called where connectors have names: metrics and logs.
pub const DEAD_LETTERS: &str = "dead-letters";

/// How long one append of a dead letter may take.
const LETTER_TIMEOUT: Duration = Duration::from_secs(20);

/// A connector with its name in the configuration and its `publish_timeout`.
#[derive(Clone)]
pub struct Built {
    /// The name in the configuration.
    pub name: Name,
    /// The connector.
    pub connector: Arc<dyn core::Connector>,
    /// How long one publish may take.
    pub publish_timeout: Duration,
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The settings of the embedded journal. It is opened once, by the app, and handed to everybody.
pub fn journal(config: &Config) -> journal::Settings {
    journal::Settings {
        size_max_bytes: config.journal.size_max.bytes(),
        wal_max_bytes: config.journal.wal_max.bytes(),
        ..journal::Settings::new(config.journal.path.clone())
    }
}

/// Every connector of the configuration, in the order of their names.
pub fn connectors(config: &Config, store: &Store) -> Vec<Built> {
    let build = |(name, connector): (&Name, &Connector)| match connector {
        Connector::Journal(journal) => {
            let keep = match journal.keep {
                Keep::All => journal::Keep::All,
                Keep::Newest => journal::Keep::Newest,
            };
            let (store, max_age) = (store.clone(), journal.max_age);
            Built {
                name: name.clone(),
                connector: Arc::new(journal::Connector::new(store, Table::Events, keep, max_age)),
                publish_timeout: journal.publish_timeout,
            }
        }
    };
    config.connectors.iter().map(build).collect()
}

/// Where dead letters go: the connector that the configuration names, with the embedded ones as
/// the last resort, or these at once.
pub fn letters(
    config: &Config,
    store: &Store,
    targets: &[Arc<Target>],
    metrics: &Metrics,
) -> Letters {
    let (letters, keep) = (Table::DeadLetters, journal::Keep::All);
    let embedded = journal::Connector::new(store.clone(), letters, keep, None);
    let publishing = metrics.publishing(DEAD_LETTERS);
    let embedded = Target::new(DEAD_LETTERS, Arc::new(embedded), LETTER_TIMEOUT, publishing);
    let topic = config.dead_letter.topic.clone();
    let named = config.dead_letter.to.as_ref().and_then(|name| {
        let is_journal = matches!(config.connectors.get(name), Some(Connector::Journal(_)));
        // The journal has a table of its own for letters, whatever its connector is called.
        if is_journal { None } else { targets.iter().find(|t| t.name() == name.as_str()) }
    });
    match named {
        Some(target) => Letters { target: Arc::clone(target), topic, last_resort: Some(embedded) },
        None => Letters { target: embedded, topic, last_resort: None },
    }
}

/// The routes, with connectors named by their places in the order of [`connectors`].
pub fn routes(config: &Config) -> Vec<Route> {
    let places: HashMap<&Name, usize> =
        config.connectors.keys().enumerate().map(|(n, name)| (name, n)).collect();
    let places = |names: &[Name]| names.iter().map(|name| places[name]).collect();
    let route = |route: &crate::config::Route| Route {
        name: route.name.as_str().into(),
        when: Match {
            applications: route.when.applications.clone(),
            events: route.when.events.clone(),
            attributes: route
                .when
                .attributes
                .iter()
                .map(|(name, patterns)| (name.into(), patterns.clone()))
                .collect(),
        },
        then: if route.drop {
            Then::Drop
        } else {
            Then::Publish {
                to: places(&route.to),
                also: places(&route.also),
                topic: route.topic.clone(),
                key: match route.key {
                    None => PartitionKey::Subject,
                    Some(Key::File) => PartitionKey::File,
                    Some(Key::Task) => PartitionKey::Task,
                    Some(Key::Application) => PartitionKey::Application,
                    Some(Key::None) => PartitionKey::None,
                },
            }
        },
    };
    config.routes.iter().map(route).collect()
}
