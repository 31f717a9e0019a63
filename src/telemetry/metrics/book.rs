use std::fmt::Debug;
use std::hash::Hash;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::registry::{Registry, Unit};

/// Writes metrics into a registry.
pub(super) struct Book<'a> {
    pub(super) registry: &'a mut Registry,
    /// Whether each family gets a series at once.
    pub(super) with_examples: bool,
}

// === impl Book ===

impl Book<'_> {
    /// A counter without labels.
    pub(super) fn one(&mut self, name: &str, help: &str, counter: &Counter) {
        self.registry.register(name, help, counter.clone());
    }

    /// A metric with labels.
    pub(super) fn family<L, M, C>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        family: &Family<L, M, C>,
    ) where
        L: Clone + Debug + Default + EncodeLabelSet + Eq + Hash + Send + Sync + 'static,
        M: Clone + Debug + EncodeMetric + Send + Sync + TypedMetric + 'static,
        C: Clone + MetricConstructor<M> + Debug + Send + Sync + 'static,
    {
        if self.with_examples {
            drop(family.get_or_create(&L::default()));
        }
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, family.clone()),
            None => self.registry.register(name, help, family.clone()),
        }
    }
}
