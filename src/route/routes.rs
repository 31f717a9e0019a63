//! The routes in their order: which one an event takes, and where it leads.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;
use vodbridge_core::{Event, Topic};

use super::plan::{self, Route, Then};

/// Routes; the first that fits is taken.
#[derive(Clone, Debug)]
pub struct Routes(Vec<Route>);

/// Where one event goes.
#[derive(Debug)]
pub enum Plan<'a> {
    /// Nowhere, by the user's own word.
    Drop(&'a Route),
    /// To connectors, by their places among the targets.
    Publish {
        /// The route that says so.
        route: &'a Route,
        /// Those that must all acknowledge.
        to: &'a [usize],
        /// Those that get it as best they can.
        also: &'a [usize],
        /// The topic.
        topic: Topic,
    },
    /// To the dead letters.
    Letter {
        /// A short code.
        reason: SmolStr,
        /// What is wrong.
        detail: String,
    },
}

/// Where the events of one application can go: whether any of it takes something says whether it
/// is of use to take in more.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    publishing: Vec<Way>,
    /// Some events are dropped or lettered whatever the connectors do.
    elsewhere: bool,
}

#[derive(Clone, Debug)]
struct Way {
    to: Vec<usize>,
    /// Those of the known event types; empty where no known event takes the route.
    topics: Vec<Topic>,
}

impl Ways {
    /// Whether some event could settle, by what `is_open` says of a connector and a topic there;
    /// without a topic, of the connector as a whole.
    pub fn any_open(&self, is_open: impl Fn(usize, Option<&Topic>) -> bool) -> bool {
        let is_way_open = |way: &Way| {
            let leads = |topic: Option<&Topic>| way.to.iter().all(|c| is_open(*c, topic));
            leads(None) && (way.topics.is_empty() || way.topics.iter().any(|t| leads(Some(t))))
        };
        self.elsewhere || self.publishing.iter().any(is_way_open)
    }
}

impl Routes {
    /// Routes in their order.
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// The routes, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter()
    }

    /// Finds the route of an event, gives the event its partition key and says where it goes.
    pub fn plan(&self, event: &mut Event) -> Plan<'_> {
        let Some(route) = self.0.iter().find(|r| r.when.misfit(event).is_none()) else {
            return Plan::Letter {
                reason: SmolStr::new_static("unrouted"),
                detail: "no route matches".to_owned(),
            };
        };
        match &route.then {
            Then::Drop => Plan::Drop(route),
            Then::Publish { to, also, topic, key } => {
                key.apply(event);
                match plan::topic(topic, event) {
                    Ok(topic) => Plan::Publish { route, to, also, topic },
                    Err(why) => Plan::Letter {
                        reason: SmolStr::new_static("topic"),
                        detail: why.to_string(),
                    },
                }
            }
        }
    }

    /// Where the events of an application can go; `examples` are events of its known types.
    pub fn ways(&self, application: &str, examples: impl Iterator<Item = Event>) -> Ways {
        let mut ways = Ways::default();
        // By the places of the routes.
        let mut publishing: BTreeMap<usize, Way> = BTreeMap::new();
        for (n, route) in self.0.iter().enumerate() {
            if !route.when.takes_application(application) {
                continue;
            }
            match &route.then {
                Then::Drop => ways.elsewhere = true,
                Then::Publish { to, .. } => {
                    publishing.insert(n, Way { to: to.clone(), topics: Vec::new() });
                }
            }
        }
        for mut event in examples {
            match self.plan(&mut event) {
                Plan::Drop(_) => {}
                Plan::Letter { .. } => ways.elsewhere = true,
                Plan::Publish { route, topic, .. } => {
                    let place = self.0.iter().position(|other| std::ptr::eq(other, route));
                    if let Some(way) = place.and_then(|n| publishing.get_mut(&n))
                        && !way.topics.contains(&topic)
                    {
                        way.topics.push(topic);
                    }
                }
            }
        }
        ways.publishing = publishing.into_values().collect();
        ways
    }

    /// Whether some route waits for the connector at this place.
    pub fn waits_for(&self, connector: usize) -> bool {
        self.0.iter().any(|route| match &route.then {
            Then::Publish { to, .. } => to.contains(&connector),
            Then::Drop => false,
        })
    }

    /// For each of so many connectors, the topics that these events would have there.
    pub fn topics(
        &self,
        connectors: usize,
        events: impl Iterator<Item = Event>,
    ) -> Vec<Vec<Topic>> {
        let mut topics = vec![BTreeSet::new(); connectors];
        for mut event in events {
            if let Plan::Publish { to, also, topic, .. } = self.plan(&mut event) {
                for &connector in to.iter().chain(also) {
                    topics[connector].insert(topic.clone());
                }
            }
        }
        topics.into_iter().map(|topics| topics.into_iter().collect()).collect()
    }
}
