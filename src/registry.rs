//! The one list of connectors: from a `type:` in the configuration to the crate behind it, and
//! from names to places.

#[cfg(any(feature = "kafka", feature = "rabbitmq", feature = "nats"))]
mod common;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use vodbridge_core as core;
use vodbridge_journal as journal;
use vodbridge_journal::{Store, Table};

use crate::config::{Config, Connector, Fault, Keep, Key, Name};
use crate::history::History;
use crate::ingest::callback::Clock;
use crate::route::{Demand, Letters, Match, Overdue, PartitionKey, Route, Target, Then};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::{Destination, Traces};

/// What the embedded dead letters are called where connectors have names: metrics and logs.
pub const DEAD_LETTERS: &str = "dead-letters";

/// What the journal is called in traces.
const JOURNAL_SYSTEM: &str = "vodbridge_journal";

/// How long one append of a dead letter may take.
const LETTER_TIMEOUT: Duration = Duration::from_secs(20);

/// How much longer a publish to a broker is waited for than its connector means to take.
const NET: Duration = Duration::from_secs(1);

/// A connector with its name in the configuration and its `publish_timeout`.
pub struct Built {
    /// The name in the configuration.
    pub name: Name,
    /// The connector.
    pub connector: Arc<dyn core::Connector>,
    /// How long one publish may take.
    pub publish_timeout: Duration,
    /// What its acknowledgements must survive.
    pub demand: Demand,
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
        history_rows_max: config.journal.history.events as u64,
        ..journal::Settings::new(config.journal.path.clone())
    }
}

/// The history of what the connectors deliver; none where none is wanted. What the journal gets is
/// its own history.
pub fn history(
    config: &Config,
    store: &Store,
    metrics: &Metrics,
    clock: &Clock,
) -> Option<Arc<History>> {
    if config.journal.history.events == 0 {
        return None;
    }
    let connectors = config.connectors.iter().map(|(name, connector)| {
        let is_journal = matches!(connector, Connector::Journal(_));
        (!is_journal).then(|| name.as_str().into())
    });
    let payloads = config.journal.history.payloads;
    let routes = routes(config);
    let skipped = metrics.history_skipped();
    Some(History::new(store.clone(), &routes, connectors.collect(), payloads, skipped, clock))
}

/// Whether the journal holds what nothing else does once it is acknowledged: dead letters, or the
/// events of a route that waits for it.
pub fn stores_for_good(config: &Config) -> bool {
    let is_journal =
        |name: &Name| matches!(config.connectors.get(name), Some(Connector::Journal(_)));
    let letters = config.dead_letter.to.as_ref().is_none_or(is_journal);
    letters || config.routes.iter().any(|route| route.to.iter().any(is_journal))
}

/// Why a connector cannot be built. A broker that is away is none: it may come.
#[derive(Debug, thiserror::Error)]
#[error("the connector {name} cannot be built")]
pub struct ConnectorError {
    name: Name,
    source: core::BoxError,
}

/// Every connector of the configuration, in the order of their names.
///
/// # Errors
///
/// The first that cannot be built as it is configured.
pub fn connectors(config: &Config, store: &Store) -> Result<Vec<Built>, ConnectorError> {
    let build = |(name, connector): (&Name, &Connector)| match connector {
        Connector::Journal(journal) => {
            let keep = match journal.keep {
                Keep::All => journal::Keep::All,
                Keep::Newest => journal::Keep::Newest,
            };
            let (store, max_age) = (store.clone(), journal.max_age);
            Ok(Built {
                name: name.clone(),
                connector: Arc::new(journal::Connector::new(store, Table::Events, keep, max_age)),
                publish_timeout: journal.publish_timeout,
                demand: demand(connector),
            })
        }
        Connector::Kafka(_) | Connector::RabbitMq(_) | Connector::Nats(_) => {
            broker(name, connector)
        }
    };
    config.connectors.iter().map(build).collect()
}

/// The connector to a broker; the journal is none.
///
/// # Errors
///
/// When it cannot be built as it is configured.
pub fn broker(name: &Name, connector: &Connector) -> Result<Built, ConnectorError> {
    let built: Result<Arc<dyn core::Connector>, core::BoxError> = match connector {
        #[cfg(feature = "kafka")]
        Connector::Kafka(config) => kafka::build(config),
        #[cfg(feature = "rabbitmq")]
        Connector::RabbitMq(config) => rabbitmq::build(config),
        #[cfg(feature = "nats")]
        Connector::Nats(config) => nats::build(config),
        #[allow(unreachable_patterns, reason = "they are unreachable with all features")]
        Connector::Kafka(_) | Connector::RabbitMq(_) | Connector::Nats(_) => {
            Err("this build of vodbridge was made without connectors of this type".into())
        }
        Connector::Journal(_) => Err("the journal is no broker".into()),
    };
    let built = built.map_err(|source| ConnectorError { name: name.clone(), source })?;
    Ok(Built {
        name: name.clone(),
        connector: built,
        // The connector keeps to its time by itself and knows best what to say then; this is the
        // net below it.
        publish_timeout: connector.publish_timeout() + NET,
        demand: demand(connector),
    })
}

/// Targets of logs that client libraries write to and that say nothing new.
pub const QUIET: &[&str] = &[
    #[cfg(feature = "nats")]
    vodbridge_nats::QUIET_LOG_TARGET,
];

/// Targets of logs that hold the bodies of events.
pub const SILENT: &[&str] = &[
    #[cfg(feature = "rabbitmq")]
    vodbridge_rabbitmq::SILENT_LOG_TARGET,
];

/// Where a connector's events lie, in the words of traces.
pub fn destination(connector: &Connector) -> Destination {
    let system = match connector {
        Connector::Kafka(_) => "kafka",
        Connector::RabbitMq(_) => "rabbitmq",
        Connector::Nats(_) => "nats",
        Connector::Journal(_) => JOURNAL_SYSTEM,
    };
    let exchange = match connector {
        Connector::RabbitMq(rabbitmq) => Some(rabbitmq.exchange.clone()),
        Connector::Kafka(_) | Connector::Nats(_) | Connector::Journal(_) => None,
    };
    Destination { system, exchange }
}

/// What is demanded of a connector's acknowledgements.
pub fn demand(connector: &Connector) -> Demand {
    let fault = |fault: &Fault| match fault {
        Fault::Process => core::Fault::Process,
        Fault::Machine => core::Fault::Machine,
        Fault::Node => core::Fault::Node,
        Fault::All => core::Fault::All,
    };
    let (require, assume) = connector.demands();
    Demand::new(require.iter().map(fault).collect(), assume.iter().map(fault).collect())
}

/// Where dead letters go: the connector that the configuration names, with the embedded ones as
/// the last resort, or these at once.
pub fn letters(
    config: &Config,
    store: &Store,
    targets: &[Arc<Target>],
    metrics: &Metrics,
    traces: &Traces,
    clock: Clock,
) -> Letters {
    let overdue = Overdue { after: config.dead_letter.after, clock };
    let (letters, keep) = (Table::DeadLetters, journal::Keep::All);
    let embedded = journal::Connector::new(store.clone(), letters, keep, None);
    let publishing = metrics.publishing(DEAD_LETTERS);
    let destination = Destination { system: JOURNAL_SYSTEM, exchange: None };
    let embedded = Target::new(
        DEAD_LETTERS,
        traces.over(DEAD_LETTERS, destination, Arc::new(embedded)),
        LETTER_TIMEOUT,
        Demand::default(),
        publishing,
    );
    let topic = config.dead_letter.topic.clone();
    let named = config.dead_letter.to.as_ref().and_then(|name| {
        let is_journal = matches!(config.connectors.get(name), Some(Connector::Journal(_)));
        // The journal has a table of its own for letters, whatever its connector is called.
        if is_journal { None } else { targets.iter().find(|t| t.name() == name.as_str()) }
    });
    match named {
        Some(target) => {
            Letters { target: Arc::clone(target), topic, last_resort: Some(embedded), overdue }
        }
        None => Letters { target: embedded, topic, last_resort: None, overdue },
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
