//! What the parts of the bridge say of themselves: one method for each number.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use vodbridge_core::ClientStats;

use super::Metrics;
use super::labels::{
    AnswerLabels, ApplicationLabels, CertificateLabels, ConnectorLabels, DurabilityLabels,
    LetterLabels, OperationLabels, ShareLabels,
};
use crate::certificates::Standing;

impl Metrics {
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

    /// Says for how long the oldest event of an application has been in the spool.
    pub fn set_oldest_waiting(&self, application: &str, age: Duration) {
        let labels = ApplicationLabels { application: application.into() };
        self.oldest_waiting.get_or_create(&labels).set(age.as_secs_f64());
    }

    /// Says how far our clock is ahead of VOD's, by what an application's calls were answered.
    pub fn set_clock_offset(&self, application: &str, seconds_ahead: i64) {
        let labels = ApplicationLabels { application: application.into() };
        self.vod_clock_offset.get_or_create(&labels).set(seconds_ahead);
    }

    /// Says how a certificate stands.
    pub fn set_certificate(&self, used_by: &str, standing: Standing) {
        let labels = CertificateLabels { used_by: used_by.into() };
        if let Some(ends) = standing.ends {
            self.certificate_expiry.get_or_create(&labels).set(ends);
        }
        self.certificate_usable.get_or_create(&labels).set(i64::from(standing.usable));
    }

    /// Says how many topics of a connector take nothing.
    pub fn set_unavailable_topics(&self, connector: &str, count: usize) {
        let labels = ConnectorLabels { connector: connector.into() };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.connector_unavailable_topics.get_or_create(&labels).set(count);
    }

    /// Says whether a connector's acknowledgements must survive something.
    pub fn set_durability_required(&self, connector: &str, survives: &'static str, required: bool) {
        let labels = DurabilityLabels { connector: connector.into(), survives };
        self.connector_durability_required.get_or_create(&labels).set(i64::from(required));
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

    /// Says how much a share of the journal holds, and the most that it may; `None` where the
    /// oldest makes room and nothing is refused.
    pub fn set_journal_bytes(&self, share: &'static str, bytes: u64, most: Option<u64>) {
        let gauge = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.journal_bytes.get_or_create(&ShareLabels { share }).set(gauge(bytes));
        if let Some(most) = most {
            self.journal_max_bytes.get_or_create(&ShareLabels { share }).set(gauge(most));
        }
    }

    /// Says how often an operation of the journal has failed since it was opened.
    pub fn set_journal_errors(&self, operation: &'static str, total: u64) {
        let counter = self.journal_errors.get_or_create(&OperationLabels { operation });
        // The greater one, if there are two scrapes at once.
        counter.inner().fetch_max(total, Ordering::Relaxed);
    }
}
