//! `/api/state`: everything that the page shows of the bridge but events, in one look.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokio::time::Instant;
use vodbridge_core::Timestamp;
use vodbridge_journal::TableUsage;

use super::View;
use super::access::Access;

/// The numbers of one application.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    /// In the order of [`Ending`](crate::telemetry::metrics::Ending).
    settled: [u64; 5],
    in_flight: u64,
    waiting: u64,
    recovered: u64,
    received: u64,
}

// === impl View ===

impl View {
    pub(super) fn state(&self, access: Access) -> Value {
        let numbers = self.numbers();
        let mut sum = Numbers::default();
        numbers.values().for_each(|one| sum.add(one));
        let now = (self.clock)();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "now_millis": now.as_millis(),
            "started": self.desk.started.to_string(),
            "status": self.readiness().name(),
            "access": access.name(),
            "conservation": sum.to_json(),
            "applications": self.applications(&numbers),
            "connectors": self.connectors(),
            "routes": self.desk.layout.routes,
            "dead_letter": self.desk.layout.dead_letter,
            "journal": self.journal(),
        })
    }

    /// By application. Ends are read before beginnings, so that no more ends than beginnings show.
    fn numbers(&self) -> BTreeMap<&str, Numbers> {
        let callbacks = self.intakes.iter().map(|(name, intake)| (name.as_str(), intake));
        let pulled = self.pullers.iter().map(|puller| (&*puller.application, &puller.intake));
        let intakes: Vec<_> = callbacks.chain(pulled).collect();
        let mut numbers: BTreeMap<&str, Numbers> = BTreeMap::new();
        for (name, intake) in &intakes {
            let one = numbers.entry(name).or_default();
            one.settled.iter_mut().zip(intake.settled()).for_each(|(sum, more)| *sum += more);
        }
        for (name, intake) in &intakes {
            let one = numbers.entry(name).or_default();
            // Both ways into an application count here in one place.
            (one.in_flight, one.waiting) = intake.under_way();
        }
        for (name, intake) in &intakes {
            numbers.entry(name).or_default().received += intake.received();
        }
        for (name, rows) in &self.store.recovered().applications {
            numbers.entry(name).or_default().recovered = *rows;
        }
        numbers
    }

    fn applications(&self, numbers: &BTreeMap<&str, Numbers>) -> Vec<Value> {
        let now = Instant::now();
        let one = |(name, numbers): (&&str, &Numbers)| {
            let mut one = numbers.to_json();
            one["name"] = json!(name);
            // What an application has left behind that is configured no more.
            one["configured"] = json!(self.desk.layout.applications.get(*name));
            if let Some((_, outlet)) = self.outlets.iter().find(|(known, _)| known == name) {
                let (_, since) = outlet.in_flight();
                let age = since.map(|s| now.saturating_duration_since(s)).unwrap_or_default();
                let age = age.max(self.waiting_for(name));
                one["oldest_unsettled_seconds"] = json!(age.as_secs_f64());
            }
            if let Some(puller) = self.pullers.iter().find(|p| *p.application == **name) {
                one["vod"] = puller.trouble.to_json();
            }
            one
        };
        numbers.iter().map(one).collect()
    }

    fn connectors(&self) -> Vec<Value> {
        let one = |health: &std::sync::Arc<crate::health::Health>| {
            let mut one = health.to_json();
            let [acknowledged, refused, unavailable, skipped] = health.published();
            one["name"] = json!(health.name());
            one["type"] = json!(self.desk.layout.connectors.get(health.name()));
            one["is_up"] = json!(health.is_up());
            one["published"] = json!({
                "acknowledged": acknowledged,
                "refused": refused,
                "unavailable": unavailable,
                "skipped": skipped,
            });
            one
        };
        self.health.iter().map(one).collect()
    }

    fn journal(&self) -> Value {
        let usage = self.store.usage();
        let share = |name: &str, used: TableUsage, bytes_max: u64| json!({ "name": name, "rows": used.rows, "bytes": used.bytes, "bytes_max": bytes_max });
        json!({
            "state": self.store.state().to_string(),
            "bytes_max": usage.size_max_bytes,
            "shares": [
                share("spool", usage.spool, usage.spool_max_bytes),
                share("events", usage.events, usage.share_max_bytes),
                share("dead_letters", usage.dead_letters, usage.share_max_bytes),
                share("history", usage.history, usage.history_max_bytes),
            ],
            "wal": { "bytes": usage.wal_bytes, "bytes_max": usage.wal_max_bytes },
        })
    }
}

// === impl Numbers ===

impl Numbers {
    fn add(&mut self, other: &Self) {
        self.settled.iter_mut().zip(other.settled).for_each(|(sum, more)| *sum += more);
        self.in_flight += other.in_flight;
        self.waiting += other.waiting;
        self.recovered += other.recovered;
        self.received += other.received;
    }

    fn to_json(self) -> Value {
        let [delivered, rejected, duplicate, dropped, deferred] = self.settled;
        let settled: u64 = self.settled.iter().sum();
        let accounted = settled + self.in_flight + self.waiting;
        let outcomes: Map<_, _> = [
            ("delivered", delivered),
            ("rejected", rejected),
            ("duplicate", duplicate),
            ("dropped", dropped),
            ("deferred", deferred),
        ]
        .into_iter()
        .map(|(name, count)| (name.to_owned(), json!(count)))
        .collect();
        json!({
            "received": self.received,
            "recovered": self.recovered,
            "settled": settled,
            "outcomes": outcomes,
            "in_flight": self.in_flight,
            "waiting": self.waiting,
            // Of what changed while it was read, the beginning may show and not the end.
            "missing": (self.received + self.recovered).saturating_sub(accounted),
        })
    }
}

/// When the process began, as far as people care.
pub(super) fn started() -> Timestamp {
    std::time::SystemTime::now().into()
}
