//! The numbers of the bridge, under the names that the documents and the alerts use.
//!
//! **Conservation** can be read from them at any moment: received + recovered is settled, in
//! flight or waiting. Three rules keep a scrape from ever showing more ends than beginnings: every
//! change of state is counted at its beginning first (`received`, then `in_flight`; at the end
//! `in_flight`, then `settled`); what is in flight and what waits is read in one look; and a scrape
//! reads the ends before the beginnings, which is the order of the registries here.

mod book;
mod intake;
mod labels;
mod publishing;
mod pulling;
pub mod reference;
mod set;
mod under_way;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::process::Process;
use book::Book;
use labels::{
    AnswerLabels, ApplicationLabels, CallLabels, CertificateLabels, ConnectorLabels,
    DurabilityLabels, LetterLabels, OperationLabels, PublishedLabels, ReceivedLabels,
    SettledLabels, ShareLabels,
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
    oldest_waiting: Family<ApplicationLabels, Gauge<f64, AtomicU64>>,
    published: Family<PublishedLabels, Counter>,
    publish_seconds: Family<ConnectorLabels, Histogram, fn() -> Histogram>,
    connector_up: Family<ConnectorLabels, Gauge>,
    connector_durability: Family<DurabilityLabels, Gauge>,
    connector_durability_required: Family<DurabilityLabels, Gauge>,
    connector_unavailable_topics: Family<ConnectorLabels, Gauge>,
    client_queued: Family<ConnectorLabels, Gauge>,
    client_queued_bytes: Family<ConnectorLabels, Gauge>,
    client_round_trip: Family<ConnectorLabels, Gauge<f64, AtomicU64>>,
    answer_seconds: Family<AnswerLabels, Histogram, fn() -> Histogram>,
    dead_letters: Family<LetterLabels, Counter>,
    journal_bytes: Family<ShareLabels, Gauge>,
    journal_max_bytes: Family<ShareLabels, Gauge>,
    journal_errors: Family<OperationLabels, Counter>,
    vod_calls: Family<CallLabels, Counter>,
    confirm_age: Family<ApplicationLabels, Histogram, fn() -> Histogram>,
    handles_dropped: Family<ApplicationLabels, Counter>,
    vod_queue_events: Family<ApplicationLabels, Gauge>,
    vod_clock_offset: Family<ApplicationLabels, Gauge>,
    certificate_expiry: Family<CertificateLabels, Gauge>,
    certificate_usable: Family<CertificateLabels, Gauge>,
    history_skipped: Counter,
    spans_exported: Counter,
    spans_dropped: Counter,
}

// === impl Metrics ===

impl Metrics {
    /// Registers everything.
    pub fn new() -> Self {
        Self::register(false)
    }

    /// `with_examples` gives each family a series, so that its labels show.
    fn register(with_examples: bool) -> Self {
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
            oldest_waiting: Family::default(),
            published: Family::default(),
            publish_seconds: Family::new_with_constructor(latency_buckets),
            connector_up: Family::default(),
            connector_durability: Family::default(),
            connector_durability_required: Family::default(),
            connector_unavailable_topics: Family::default(),
            client_queued: Family::default(),
            client_queued_bytes: Family::default(),
            client_round_trip: Family::default(),
            answer_seconds: Family::new_with_constructor(latency_buckets),
            dead_letters: Family::default(),
            journal_bytes: Family::default(),
            journal_max_bytes: Family::default(),
            journal_errors: Family::default(),
            vod_calls: Family::default(),
            confirm_age: Family::new_with_constructor(age_buckets),
            handles_dropped: Family::default(),
            vod_queue_events: Family::default(),
            vod_clock_offset: Family::default(),
            certificate_expiry: Family::default(),
            certificate_usable: Family::default(),
            history_skipped: Counter::default(),
            spans_exported: Counter::default(),
            spans_dropped: Counter::default(),
        };
        let mut ends = Book { registry: &mut all.ends, with_examples };
        ends.family("settled", "Events that ended, by how", None, &all.settled);
        all.between.register_collector(Box::new(all.under_way.clone()));
        if with_examples {
            all.under_way.of(&Arc::default());
        }
        let mut book = Book { registry: &mut all.registry, with_examples };
        let (seconds, bytes) = (|| Some(Unit::Seconds), || Some(Unit::Bytes));
        book.family("received", "Events that came in and are owed an answer", None, &all.received);
        book.one(
            "recovered",
            "Events found in the spool when the journal was opened",
            &all.recovered,
        );
        book.family(
            "oldest_unsettled",
            "Age of the oldest event that is not settled",
            seconds(),
            &all.oldest_unsettled,
        );
        book.family(
            "oldest_waiting",
            "How long the oldest event in the spool has been there",
            seconds(),
            &all.oldest_waiting,
        );
        book.family("published", "Publishes by connector and result", None, &all.published);
        book.family(
            "publish",
            "Time from handing an event to a connector to its broker's answer",
            seconds(),
            &all.publish_seconds,
        );
        book.family(
            "connector_up",
            "Whether the connector's broker answered last; of the dead letters, whether the journal \
             takes them",
            None,
            &all.connector_up,
        );
        book.family(
            "connector_durability",
            "What an acknowledgement survives on the worst topic: 1 yes, 0 no, -1 unknown",
            None,
            &all.connector_durability,
        );
        book.family(
            "connector_durability_required",
            "Whether the configuration requires it (`require`): 1 yes, 0 no",
            None,
            &all.connector_durability_required,
        );
        book.family(
            "connector_unavailable_topics",
            "Topics that take nothing: something is missing there, they promise less than is \
             required, or the broker is away",
            None,
            &all.connector_unavailable_topics,
        );
        book.family(
            "client_queued",
            "Events that the client library holds and the broker has not acknowledged",
            None,
            &all.client_queued,
        );
        book.family(
            "client_queued",
            "Size of the events that the client library holds",
            bytes(),
            &all.client_queued_bytes,
        );
        book.family(
            "client_round_trip",
            "Time within which 99 in 100 requests to the slowest broker were answered",
            seconds(),
            &all.client_round_trip,
        );
        book.family(
            "answer",
            "Time from the last byte of a callback to its answer",
            seconds(),
            &all.answer_seconds,
        );
        book.family("dead_letters", "Events lettered, by reason", None, &all.dead_letters);
        book.family(
            "journal",
            "Size of what the journal holds, by share",
            bytes(),
            &all.journal_bytes,
        );
        book.family(
            "journal_max",
            "What a share may take; events and dead letters have theirs together, `events` only where \
             they are refused when it is full (`keep: all`); the history yields to all",
            bytes(),
            &all.journal_max_bytes,
        );
        book.family(
            "journal_errors",
            "Operations that the disk under the journal, or another program on it, refused",
            None,
            &all.journal_errors,
        );
        book.family("vod_calls", "Calls of VOD's API by their answer", None, &all.vod_calls);
        book.family(
            "confirm_age",
            "Age of handles when their confirmation was answered; VOD's limit is 30 s",
            seconds(),
            &all.confirm_age,
        );
        book.family(
            "handles_dropped",
            "Handles of settled events that were not confirmed; their events come again",
            None,
            &all.handles_dropped,
        );
        book.family(
            "vod_queue_events",
            "Events in VOD's queue, as VOD tells some minutes late",
            None,
            &all.vod_queue_events,
        );
        book.family(
            "vod_clock_offset",
            "How far this machine's clock is ahead of VOD's, by the date of its last answer",
            seconds(),
            &all.vod_clock_offset,
        );
        book.family(
            "certificate_expiry_timestamp",
            "When the certificate ends, since the epoch: the first of a chain, the next of a \
             bundle of authorities",
            seconds(),
            &all.certificate_expiry,
        );
        book.family(
            "certificate_usable",
            "Whether what the files hold now can be used: 1 yes; 0 no, and the last good one stays",
            None,
            &all.certificate_usable,
        );
        book.one(
            "history_skipped",
            "Delivered events that are not in the history, because it could not be written as fast",
            &all.history_skipped,
        );
        book.one("spans_exported", "Spans of traces that the collector took", &all.spans_exported);
        book.one(
            "spans_dropped",
            "Spans of traces that were not exported; no event suffers from it",
            &all.spans_dropped,
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
