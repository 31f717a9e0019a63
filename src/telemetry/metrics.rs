//! The numbers of the bridge, under the names that the documents and the alerts use.
//!
//! **Conservation** can be read from them at any moment: received + recovered is settled, in
//! flight or waiting. Three rules keep a scrape from ever showing more ends than beginnings: every
//! change of state is counted at its beginning first (`received`, then `in_flight`; at the end
//! `in_flight`, then `settled`); what is in flight and what waits is read in one look; and a scrape
//! reads the ends before the beginnings, which is the order of the registries here.

mod intake;
mod labels;
mod publishing;
mod pulling;
mod under_way;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use vodbridge_core::ClientStats;

use super::process::Process;
use labels::{
    AnswerLabels, ApplicationLabels, CallLabels, ConnectorLabels, DurabilityLabels, LetterLabels,
    PublishedLabels, ReceivedLabels, SettledLabels, ShareLabels,
};
use under_way::UnderWay;

pub use intake::{Intake, Obligation};
pub use labels::{Ending, Mode, PublishResult};
pub use publishing::Publishing;
pub use pulling::Pulling;

/// The beginning of every name of our own.
const PREFIX: &str = "vodbridge";

/// Every metric of one process.
#[derive(Debug)]
pub struct Metrics {
    /// Encoded one after the other: ends before what is under way, and that before beginnings.
    ends: Registry,
    between: Registry,
    registry: Registry,
    usual: Registry,
    process: Process,
    settled: Family<SettledLabels, Counter>,
    under_way: UnderWay,
    received: Family<ReceivedLabels, Counter>,
    recovered: Counter,
    oldest_unsettled: Family<ApplicationLabels, Gauge<f64, AtomicU64>>,
    published: Family<PublishedLabels, Counter>,
    publish_seconds: Family<ConnectorLabels, Histogram, fn() -> Histogram>,
    connector_up: Family<ConnectorLabels, Gauge>,
    connector_durability: Family<DurabilityLabels, Gauge>,
    client_queued: Family<ConnectorLabels, Gauge>,
    client_queued_bytes: Family<ConnectorLabels, Gauge>,
    client_round_trip: Family<ConnectorLabels, Gauge<f64, AtomicU64>>,
    answer_seconds: Family<AnswerLabels, Histogram, fn() -> Histogram>,
    dead_letters: Family<LetterLabels, Counter>,
    journal_bytes: Family<ShareLabels, Gauge>,
    vod_calls: Family<CallLabels, Counter>,
    confirm_age: Family<ApplicationLabels, Histogram, fn() -> Histogram>,
    handles_dropped: Family<ApplicationLabels, Counter>,
    vod_queue_events: Family<ApplicationLabels, Gauge>,
    history_skipped: Counter,
    spans_exported: Counter,
    spans_dropped: Counter,
}

// === impl Metrics ===

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        let mut usual = Registry::default();
        let process = Process::register(&mut usual);
        let mut all = Self {
            ends: Registry::with_prefix(PREFIX),
            between: Registry::with_prefix(PREFIX),
            registry: Registry::with_prefix(PREFIX),
            usual,
            process,
            settled: Family::default(),
            under_way: UnderWay::default(),
            received: Family::default(),
            recovered: Counter::default(),
            oldest_unsettled: Family::default(),
            published: Family::default(),
            publish_seconds: Family::new_with_constructor(latency_buckets),
            connector_up: Family::default(),
            connector_durability: Family::default(),
            client_queued: Family::default(),
            client_queued_bytes: Family::default(),
            client_round_trip: Family::default(),
            answer_seconds: Family::new_with_constructor(latency_buckets),
            dead_letters: Family::default(),
            journal_bytes: Family::default(),
            vod_calls: Family::default(),
            confirm_age: Family::new_with_constructor(age_buckets),
            handles_dropped: Family::default(),
            vod_queue_events: Family::default(),
            history_skipped: Counter::default(),
            spans_exported: Counter::default(),
            spans_dropped: Counter::default(),
        };
        all.ends.register("settled", "Events that ended, by how", all.settled.clone());
        all.between.register_collector(Box::new(all.under_way.clone()));
        let r = &mut all.registry;
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
        r.register(
            "client_queued",
            "Events that the client library holds and the broker has not acknowledged",
            all.client_queued.clone(),
        );
        r.register_with_unit(
            "client_queued",
            "Their size",
            Unit::Bytes,
            all.client_queued_bytes.clone(),
        );
        r.register_with_unit(
            "client_round_trip",
            "Time within which 99 in 100 requests to the slowest broker were answered",
            Unit::Seconds,
            all.client_round_trip.clone(),
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
        r.register("vod_calls", "Calls of VOD's API by their answer", all.vod_calls.clone());
        r.register_with_unit(
            "confirm_age",
            "Age of handles when their confirmation was answered; VOD's limit is 30 s",
            Unit::Seconds,
            all.confirm_age.clone(),
        );
        r.register(
            "handles_dropped",
            "Handles of settled events that were not confirmed; their events come again",
            all.handles_dropped.clone(),
        );
        r.register(
            "vod_queue_events",
            "Events in VOD's queue, as VOD tells some minutes late",
            all.vod_queue_events.clone(),
        );
        r.register(
            "history_skipped",
            "Delivered events that are not in the history, because it could not be written as fast",
            all.history_skipped.clone(),
        );
        r.register(
            "spans_exported",
            "Spans of traces that the collector took",
            all.spans_exported.clone(),
        );
        r.register(
            "spans_dropped",
            "Spans of traces that were not exported; no event suffers from it",
            all.spans_dropped.clone(),
        );
        all
    }

    /// The counters of one application's way in. `event_types` are the values that the label
    /// `event_type` may take; [`Intake::begin`] names them by their place in this list.
    pub fn intake(&self, application: &str, mode: Mode, event_types: &[&str]) -> Arc<Intake> {
        let application: Arc<str> = application.into();
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
            under_way: self.under_way.of(&application),
            recovered: self.recovered.clone(),
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

    /// The counters of one application's calls to VOD.
    pub fn pulling(&self, application: &str) -> Pulling {
        let application: Arc<str> = application.into();
        let labels = ApplicationLabels { application: Arc::clone(&application) };
        Pulling {
            application,
            calls: self.vod_calls.clone(),
            confirm_age: self.confirm_age.get_or_create_owned(&labels),
            handles_dropped: self.handles_dropped.get_or_create_owned(&labels),
            queue_events: self.vod_queue_events.clone(),
        }
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
    pub fn count_dead_letter(&self, application: &str, reason: &str) {
        let labels = LetterLabels { application: application.into(), reason: reason.into() };
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

    /// Says what a connector's client library counts of itself.
    pub fn set_client(&self, connector: &str, stats: ClientStats) {
        let labels = ConnectorLabels { connector: connector.into() };
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.client_queued.get_or_create(&labels).set(gauge(stats.queued));
        self.client_queued_bytes.get_or_create(&labels).set(gauge(stats.queued_bytes));
        if let Some(time) = stats.round_trip_p99 {
            self.client_round_trip.get_or_create(&labels).set(time.as_secs_f64());
        }
    }

    /// Counts what the history leaves out.
    pub fn history_skipped(&self) -> Counter {
        self.history_skipped.clone()
    }

    /// Counts spans that the collector took.
    pub fn spans_exported(&self) -> Counter {
        self.spans_exported.clone()
    }

    /// Counts spans that it never got.
    pub fn spans_dropped(&self) -> Counter {
        self.spans_dropped.clone()
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
        let written = text::encode_registry(&mut out, &self.ends)
            .and_then(|()| text::encode_registry(&mut out, &self.between))
            .and_then(|()| text::encode_registry(&mut out, &self.registry))
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

/// Up to the 30 s of a handle, evenly enough to see how near confirmations come to it.
fn age_buckets() -> Histogram {
    Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0])
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
