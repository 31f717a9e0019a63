//! The numbers of the bridge, under the names that the documents and the alerts use.
//!
//! **Conservation** can be read from them at any moment: received + recovered is settled, in
//! flight or waiting. Two rules keep a scrape from ever showing more ends than beginnings: every
//! change of state is counted at its beginning first (`received`, then `in_flight`; at the end
//! `in_flight`, then `settled`), and a scrape reads the ends before the beginnings, which is the
//! order in which they are registered here.

mod intake;
mod labels;
mod publishing;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::process::Process;
use labels::{
    AnswerLabels, ApplicationLabels, ConnectorLabels, DurabilityLabels, LetterLabels,
    PublishedLabels, ReceivedLabels, SettledLabels, ShareLabels,
};

pub use intake::{Intake, Obligation};
pub use labels::{Ending, Mode, PublishResult};
pub use publishing::Publishing;

/// Every metric of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    usual: Registry,
    process: Process,
    settled: Family<SettledLabels, Counter>,
    waiting: Family<ApplicationLabels, Gauge>,
    in_flight: Family<ApplicationLabels, Gauge>,
    received: Family<ReceivedLabels, Counter>,
    recovered: Counter,
    oldest_unsettled: Family<ApplicationLabels, Gauge<f64, AtomicU64>>,
    published: Family<PublishedLabels, Counter>,
    publish_seconds: Family<ConnectorLabels, Histogram, fn() -> Histogram>,
    connector_up: Family<ConnectorLabels, Gauge>,
    connector_durability: Family<DurabilityLabels, Gauge>,
    answer_seconds: Family<AnswerLabels, Histogram, fn() -> Histogram>,
    dead_letters: Family<LetterLabels, Counter>,
    journal_bytes: Family<ShareLabels, Gauge>,
}

// === impl Metrics ===

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        let mut usual = Registry::default();
        let process = Process::register(&mut usual);
        let mut all = Self {
            registry: Registry::with_prefix("vodbridge"),
            usual,
            process,
            settled: Family::default(),
            waiting: Family::default(),
            in_flight: Family::default(),
            received: Family::default(),
            recovered: Counter::default(),
            oldest_unsettled: Family::default(),
            published: Family::default(),
            publish_seconds: Family::new_with_constructor(latency_buckets),
            connector_up: Family::default(),
            connector_durability: Family::default(),
            answer_seconds: Family::new_with_constructor(latency_buckets),
            dead_letters: Family::default(),
            journal_bytes: Family::default(),
        };
        let r = &mut all.registry;
        r.register("settled", "Events that ended, by how", all.settled.clone());
        r.register(
            "waiting",
            "Events in the spool with no delivery under way",
            all.waiting.clone(),
        );
        r.register("in_flight", "Events begun and not settled", all.in_flight.clone());
        r.register("received", "Events that came in and are owed an answer", all.received.clone());
        r.register(
            "recovered",
            "Events found in the spool when the journal was opened",
            all.recovered.clone(),
        );
        r.register_with_unit(
            "oldest_unsettled",
            "Age of the oldest event that is not settled",
            Unit::Seconds,
            all.oldest_unsettled.clone(),
        );
        r.register("published", "Publishes by connector and result", all.published.clone());
        r.register_with_unit(
            "publish",
            "Time from handing an event to a connector to its broker's answer",
            Unit::Seconds,
            all.publish_seconds.clone(),
        );
        r.register(
            "connector_up",
            "Whether the connector's broker answered last",
            all.connector_up.clone(),
        );
        r.register(
            "connector_durability",
            "What an acknowledgement survives on the worst topic: 1 yes, 0 no, -1 unknown",
            all.connector_durability.clone(),
        );
        r.register_with_unit(
            "answer",
            "Time from the last byte of a callback to its answer",
            Unit::Seconds,
            all.answer_seconds.clone(),
        );
        r.register("dead_letters", "Events lettered, by reason", all.dead_letters.clone());
        r.register_with_unit(
            "journal",
            "Size of what the journal holds, by share",
            Unit::Bytes,
            all.journal_bytes.clone(),
        );
        all
    }

    /// The counters of one application's way in. `event_types` are the values that the label
    /// `event_type` may take; [`Intake::begin`] names them by their place in this list.
    pub fn intake(&self, application: &str, mode: Mode, event_types: &[&str]) -> Arc<Intake> {
        let application: Arc<str> = application.into();
        let labels = ApplicationLabels { application: Arc::clone(&application) };
        // Present from the start, so that an absent series always means a dead process.
        self.waiting.get_or_create(&labels).set(0);
        let settled = |outcome| {
            let application = Arc::clone(&application);
            self.settled.get_or_create_owned(&SettledLabels { application, mode, outcome })
        };
        let received = |event_type: &&str| {
            let (application, event_type) = (Arc::clone(&application), Arc::from(*event_type));
            self.received.get_or_create_owned(&ReceivedLabels { application, mode, event_type })
        };
        Arc::new(Intake {
            mode,
            in_flight: self.in_flight.get_or_create_owned(&labels),
            settled: [
                settled(Ending::delivered),
                settled(Ending::rejected),
                settled(Ending::duplicate),
                settled(Ending::dropped),
                settled(Ending::deferred),
            ],
            received: event_types.iter().map(received).collect(),
        })
    }

    /// The counters of one connector.
    pub fn publishing(&self, connector: &str) -> Publishing {
        let connector: Arc<str> = connector.into();
        let result = |result| {
            let connector = Arc::clone(&connector);
            self.published.get_or_create_owned(&PublishedLabels { connector, result })
        };
        let labels = ConnectorLabels { connector: Arc::clone(&connector) };
        Publishing {
            results: [
                result(PublishResult::acknowledged),
                result(PublishResult::refused),
                result(PublishResult::unavailable),
                result(PublishResult::skipped),
            ],
            seconds: self.publish_seconds.get_or_create_owned(&labels),
            up: self.connector_up.get_or_create_owned(&labels),
        }
    }

    /// The histogram of one application's answers with one status.
    pub fn answers(&self, application: &str, status: u16) -> Histogram {
        let labels = AnswerLabels { application: application.into(), status };
        self.answer_seconds.get_or_create_owned(&labels)
    }

    /// Counts a dead letter that was acknowledged.
    pub fn count_dead_letter(&self, application: &str, reason: &'static str) {
        let labels = LetterLabels { application: application.into(), reason };
        self.dead_letters.get_or_create(&labels).inc();
    }

    /// Says how old the oldest event of an application is that is not settled.
    pub fn set_oldest_unsettled(&self, application: &str, age: Duration) {
        let labels = ApplicationLabels { application: application.into() };
        self.oldest_unsettled.get_or_create(&labels).set(age.as_secs_f64());
    }

    /// Says what an acknowledgement of a connector survives.
    pub fn set_durability(&self, connector: &str, survives: &'static str, value: i64) {
        let labels = DurabilityLabels { connector: connector.into(), survives };
        self.connector_durability.get_or_create(&labels).set(value);
    }

    /// Says how much a share of the journal holds.
    pub fn set_journal_bytes(&self, share: &'static str, bytes: u64) {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.journal_bytes.get_or_create(&ShareLabels { share }).set(bytes);
    }

    /// Everything as OpenMetrics text.
    pub fn encode(&self) -> String {
        self.process.look();
        let mut out = String::new();
        let written = text::encode_registry(&mut out, &self.registry)
            .and_then(|()| text::encode_registry(&mut out, &self.usual))
            .and_then(|()| text::encode_eof(&mut out));
        written.expect("writing to a String cannot fail");
        out
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// 100 microseconds to about 52 seconds, each bucket twice the one before.
fn latency_buckets() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(0.0001, 2.0, 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_obligation_is_counted_in_and_out_once() {
        let metrics = Metrics::new();
        let intake = metrics.intake("movies", Mode::callback, &["NewFileUpload", "other"]);
        let first = intake.begin(0);
        intake.begin(1).end(Ending::delivered);
        assert!(metrics.encode().contains("vodbridge_in_flight{application=\"movies\"} 1\n"));
        drop(first);
        let text = metrics.encode();
        for line in [
            r#"vodbridge_received_total{application="movies",mode="callback",event_type="NewFileUpload"} 1"#,
            r#"vodbridge_settled_total{application="movies",mode="callback",outcome="delivered"} 1"#,
            r#"vodbridge_settled_total{application="movies",mode="callback",outcome="deferred"} 1"#,
            r#"vodbridge_in_flight{application="movies"} 0"#,
            r#"vodbridge_waiting{application="movies"} 0"#,
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_scrape_reads_the_ends_before_the_beginnings() {
        let metrics = Metrics::new();
        metrics.intake("a", Mode::callback, &["other"]).begin(0).end(Ending::delivered);
        let text = metrics.encode();
        let place = |name: &str| text.find(name).unwrap();
        assert!(place("vodbridge_settled_total") < place("vodbridge_in_flight"));
        assert!(place("vodbridge_in_flight{") < place("vodbridge_received_total"));
    }
}
