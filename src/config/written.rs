use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::application::{self, WrittenApplication};
use super::http::WrittenAdmin;
use super::outgoing::WrittenDeadLetter;
use super::report::Report;
use super::route::{self, Known, WrittenRoute};
use super::tree::Path;
use super::{
    Application, CONNECTORS_MAX, CloudEvents, Config, Connector, Duplicates, Http, Journal, Limits,
    Log, NAME_LEN_MAX, Name, connector, duration, traces,
};

/// The configuration of vodbridge.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Configuration")]
pub(super) struct Written {
    /// Where callbacks come in.
    http: Http,
    /// Where operators and probes look in.
    admin: WrittenAdmin,
    /// The VOD applications, by names of your choice: `a-z 0-9 _ -`, at most 64 characters. The
    /// name is a label of metrics and may stand in topics.
    #[schemars(extend("propertyNames" = name_schema(), "minProperties" = 1))]
    applications: BTreeMap<String, WrittenApplication>,
    /// What the whole process may hold at once.
    limits: Limits,
    /// Where events go out, by names of your choice. At most 64.
    #[schemars(extend(
        "propertyNames" = name_schema(),
        "minProperties" = 1,
        "maxProperties" = CONNECTORS_MAX,
    ))]
    connectors: BTreeMap<String, Connector>,
    /// Which events go to which connectors; the first that matches is taken, and what none
    /// matches goes to the dead letters. Default: everything to every connector.
    routes: Option<Vec<WrittenRoute>>,
    /// Where an event goes that a connector refuses or no route matches.
    dead_letter: WrittenDeadLetter,
    /// The embedded journal.
    journal: Journal,
    /// How events that come again are recognized.
    duplicates: Duplicates,
    /// What CloudEvents are made of.
    cloudevents: CloudEvents,
    /// How long stopping may take; what is owed by then is given back. More than `drain_delay`,
    /// at most 1h.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    grace: Duration,
    /// How long events are still taken in after the signal to stop, while load balancers learn
    /// of it. It is a part of `grace`.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    drain_delay: Duration,
    /// What is logged.
    log: Log,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            http: Http::default(),
            admin: WrittenAdmin::default(),
            applications: application::default_applications(),
            limits: Limits::default(),
            connectors: connector::default_connectors(),
            routes: None,
            dead_letter: WrittenDeadLetter::default(),
            journal: Journal::default(),
            duplicates: Duplicates::default(),
            cloudevents: CloudEvents::default(),
            grace: Duration::from_secs(25),
            drain_delay: Duration::ZERO,
            log: Log::default(),
        }
    }
}

fn name_schema() -> Value {
    json!({ "pattern": "^[a-z0-9][a-z0-9_-]*$", "maxLength": NAME_LEN_MAX })
}

/// An attempt that is under way is awaited, also beyond the end of an event's handle; it must be
/// over by then, or the event would come again while it is being published.
fn check_times(
    applications: &BTreeMap<Name, Application>,
    connectors: &BTreeMap<Name, Connector>,
    report: &mut Report<'_>,
) {
    for (application, pull) in applications.iter().filter_map(|(n, a)| Some((n, a.pull.as_ref()?)))
    {
        for (name, connector) in connectors {
            let (timeout, limit) = (connector.publish_timeout(), pull.settles_within());
            let at = Path::default().join("connectors").join(name).join("publish_timeout");
            report.expect(
                timeout < limit,
                &at,
                format!(
                    "found {}, expected less than handle_life without margin ({}) of \
                     applications.{application}.pull",
                    humantime::format_duration(timeout),
                    humantime::format_duration(limit),
                ),
            );
        }
    }
}

impl Written {
    /// What types cannot say of the configuration. `connectors` are the names of all that are
    /// written, those included that could not be read. The result is of use only if nothing was
    /// reported.
    pub(super) fn check(
        self,
        connectors_written: &BTreeSet<String>,
        report: &mut Report<'_>,
    ) -> Config {
        let at = |key: &str| Path::default().join(key);
        self.http.check(&at("http"), report);
        let admin = self.admin.check(&at("admin"), &self.http, report);
        self.limits.check(&at("limits"), report);
        self.log.check(&at("log"), report);
        self.journal.check(&at("journal"), report);
        self.duplicates.check(&at("duplicates"), report);
        self.cloudevents.check(&at("cloudevents"), report);
        duration::check(self.grace, duration::HOUR, &at("grace"), report);
        report.expect(
            self.drain_delay < self.grace || self.grace.is_zero(),
            &at("drain_delay"),
            format!(
                "found {}, expected less than grace ({})",
                humantime::format_duration(self.drain_delay),
                humantime::format_duration(self.grace),
            ),
        );
        let mut names: BTreeSet<String> = self.connectors.keys().cloned().collect();
        let applications = application::check(
            self.applications,
            &self.limits,
            &self.journal,
            &at("applications"),
            report,
        );
        let connectors = connector::check(self.connectors, &at("connectors"), report);
        check_times(&applications, &connectors, report);
        names.extend(connectors_written.iter().cloned());
        let known = Known { applications: &applications, connectors: &names };
        let routes = route::check(self.routes, &known, &at("routes"), report);
        let dead_letter = self.dead_letter.check(&known, &at("dead_letter"), report);
        Config {
            http: self.http,
            admin,
            applications,
            limits: self.limits,
            connectors,
            routes,
            dead_letter,
            journal: self.journal,
            duplicates: self.duplicates,
            cloudevents: self.cloudevents,
            grace: self.grace,
            drain_delay: self.drain_delay,
            log: self.log,
            traces: traces::read(report.variables, &mut report.warnings),
        }
    }
}
