//! What the series of a metric are told apart by. Values from outside never become labels.
//!
//! The default of a set of labels is what the documents' table is made with.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};

/// How an event came in: the label `mode` and the attribute `vodmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the label's value is the variant's name")]
pub enum Mode {
    /// A normal callback.
    #[default]
    callback,
    /// A reliable callback.
    pull,
}

/// How an event ended: the label `outcome`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the label's value is the variant's name")]
pub enum Ending {
    /// Every leg has it.
    #[default]
    delivered,
    /// Every leg has it or its dead letter.
    rejected,
    /// Somebody else's event was the same, and is delivered.
    duplicate,
    /// A route of the user's said `drop`.
    dropped,
    /// Given back to its source.
    deferred,
}

/// How one publish ended: the label `result`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the label's value is the variant's name")]
pub enum PublishResult {
    /// The broker acknowledged it.
    #[default]
    acknowledged,
    /// The broker will not take this event.
    refused,
    /// The broker does not take anything now.
    unavailable,
    /// A best-effort leg that had no room.
    skipped,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ApplicationLabels {
    pub(super) application: Arc<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CallLabels {
    pub(super) application: Arc<str>,
    pub(super) action: &'static str,
    pub(super) code: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReceivedLabels {
    pub(super) application: Arc<str>,
    pub(super) mode: Mode,
    pub(super) event_type: Arc<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SettledLabels {
    pub(super) application: Arc<str>,
    pub(super) mode: Mode,
    pub(super) outcome: Ending,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ConnectorLabels {
    pub(super) connector: Arc<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PublishedLabels {
    pub(super) connector: Arc<str>,
    pub(super) result: PublishResult,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DurabilityLabels {
    pub(super) connector: Arc<str>,
    pub(super) survives: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AnswerLabels {
    pub(super) application: Arc<str>,
    pub(super) status: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LetterLabels {
    pub(super) application: Arc<str>,
    pub(super) reason: Arc<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ShareLabels {
    pub(super) share: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OperationLabels {
    pub(super) operation: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CertificateLabels {
    pub(super) used_by: Arc<str>,
}
