//! The routes in their order: which one an event takes, and where it leads.

use std::collections::BTreeSet;

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
        reason: &'static str,
        /// What is wrong.
        detail: String,
    },
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
            return Plan::Letter { reason: "unrouted", detail: "no route matches".to_owned() };
        };
        match &route.then {
            Then::Drop => Plan::Drop(route),
            Then::Publish { to, also, topic, key } => {
                key.apply(event);
                match plan::topic(topic, event) {
                    Ok(topic) => Plan::Publish { route, to, also, topic },
                    Err(why) => Plan::Letter { reason: "topic", detail: why.to_string() },
                }
            }
        }
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
