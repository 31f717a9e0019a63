//! The operator's port: `/livez`, `/readyz`, `/metrics`.
//!
//! Readiness answers one question: can this process keep an event safe now? Trouble that it can
//! outlive shows as `degraded` and leaves it ready: a process that turns red gets no callbacks,
//! also those that it could have kept. `/livez` never looks at a broker.

mod answer;
mod readiness;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use smol_str::SmolStr;
use tokio::time::{Duration, Instant};

use self::answer::{response, text};
use crate::health::Health;
use crate::http::{self, Response};
use crate::ingest::callback::Clock;
use crate::ingest::pull::Puller;
use crate::ingest::spool::Spool;
use crate::outlet::Outlet;
use crate::telemetry::metrics::Metrics;
use vodbridge_journal::{Store, Table};

/// What the port can see.
#[derive(Clone, Debug)]
pub struct Admin(pub(crate) Arc<View>);

pub(crate) struct View {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Vec<Arc<Health>>,
    pub(crate) outlets: Vec<(SmolStr, Outlet)>,
    pub(crate) pullers: Vec<Arc<Puller>>,
    /// Whether events come in that nobody else keeps.
    pub(crate) takes_callbacks: bool,
    /// Whether all of those are kept in the spool.
    pub(crate) keeps_callbacks: bool,
    pub(crate) spool: Arc<Spool>,
    pub(crate) clock: Clock,
    /// Whether every required connector was up at some time.
    pub(crate) was_ready: AtomicBool,
    pub(crate) store: Store,
    pub(crate) draining: AtomicBool,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl http::Service for Admin {
    fn call(&self, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static {
        let answer = if !matches!(*request.method(), Method::GET | Method::HEAD) {
            text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n")
        } else {
            match request.uri().path() {
                "/livez" => text(StatusCode::OK, "alive\n"),
                "/readyz" => self.0.readyz(),
                "/metrics" => response(StatusCode::OK, OPEN_METRICS, self.0.metrics()),
                _ => text(StatusCode::NOT_FOUND, "here are /livez, /readyz and /metrics\n"),
            }
        };
        std::future::ready(answer)
    }
}

// === impl View ===

impl View {
    /// How long the oldest event of an application has been waiting in the spool.
    fn waiting_for(&self, application: &str) -> Duration {
        let Some(since) = self.spool.oldest(application) else { return Duration::ZERO };
        Duration::from_millis((self.clock)().as_millis().saturating_sub(since.as_millis()))
    }

    /// What is measured when it is asked for is measured here.
    fn metrics(&self) -> String {
        let now = Instant::now();
        for (application, outlet) in &self.outlets {
            let (_, oldest) = outlet.in_flight();
            let age = oldest.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
            let age = age.max(self.waiting_for(application));
            self.metrics.set_oldest_unsettled(application, age);
        }
        for health in &self.health {
            if let Some(stats) = health.client_stats() {
                self.metrics.set_client(health.name(), stats);
            }
        }
        let usage = self.store.usage();
        for table in Table::ALL {
            self.metrics.set_journal_bytes(table.name(), usage.table(table).bytes);
        }
        self.metrics.set_journal_bytes("wal", usage.wal_bytes);
        self.metrics.encode()
    }
}
