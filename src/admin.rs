//! The operator's port: `/livez`, `/readyz`, `/metrics`, the page at `/` and the `/api/` behind it.
//!
//! Readiness answers one question: can this process keep an event safe now? Trouble that it can
//! outlive shows as `degraded` and leaves it ready: a process that turns red gets no callbacks,
//! also those that it could have kept. `/livez` never looks at a broker.

mod access;
mod answer;
mod api;
mod desk;
mod layout;
mod page;
mod readiness;
mod records;
mod state;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use smol_str::SmolStr;
use tokio::time::{Duration, Instant};

pub(crate) use self::desk::Desk;

use self::answer::{response, text};

use crate::certificates::Certificate;
use crate::health::Health;
use crate::http::{self, Response};
use crate::ingest::callback::Clock;
use crate::ingest::pull::Puller;
use crate::ingest::spool::Spool;
use crate::outlet::Outlet;
use crate::telemetry::metrics::{Intake, Metrics};
use vodbridge_journal::{Keep, Store, Table};

/// What the port can see.
#[derive(Clone, Debug)]
pub struct Admin(pub(crate) Arc<View>);

pub(crate) struct View {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Vec<Arc<Health>>,
    pub(crate) outlets: Vec<(SmolStr, Outlet)>,
    pub(crate) pullers: Vec<Arc<Puller>>,
    pub(crate) certificates: Vec<Arc<Certificate>>,
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
    /// What is counted of callbacks, by the applications' names.
    pub(crate) intakes: Vec<(SmolStr, Arc<Intake>)>,
    pub(crate) desk: Desk,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const ELSEWHERE: &str = "here are the page at /, /api/, /livez, /readyz and /metrics\n";

impl http::Service for Admin {
    fn call(&self, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static {
        let view = Arc::clone(&self.0);
        async move {
            let path = request.uri().path();
            if path.starts_with("/api/") {
                return view.api(request).await;
            }
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
            }
            match path {
                "/livez" => text(StatusCode::OK, "alive\n"),
                "/readyz" => view.readyz(),
                "/metrics" => response(StatusCode::OK, OPEN_METRICS, view.metrics()),
                path => page::file(path).unwrap_or_else(|| text(StatusCode::NOT_FOUND, ELSEWHERE)),
            }
        }
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
            let waiting = self.waiting_for(application);
            self.metrics.set_oldest_unsettled(application, age.max(waiting));
            self.metrics.set_oldest_waiting(application, waiting);
        }
        for puller in &self.pullers {
            if let Some(seconds_ahead) = puller.client.skew().seconds() {
                self.metrics.set_clock_offset(&puller.application, seconds_ahead);
            }
        }
        let seconds = (self.clock)().as_millis() / 1000;
        for certificate in &self.certificates {
            let standing = certificate.standing(i64::try_from(seconds).unwrap_or(i64::MAX));
            self.metrics.set_certificate(certificate.used_by(), standing);
        }
        for health in &self.health {
            self.metrics.set_unavailable_topics(health.name(), health.unavailable_topics());
            if let Some(stats) = health.client_stats() {
                self.metrics.set_client(health.name(), stats);
            }
        }
        let usage = self.store.usage();
        for table in Table::ALL {
            let most = match table {
                Table::Events if self.store.keep() == Keep::Newest => None,
                Table::Events | Table::DeadLetters => Some(usage.share_max_bytes),
                Table::Spool => Some(usage.spool_max_bytes),
                Table::History => Some(usage.history_max_bytes),
            };
            self.metrics.set_journal_bytes(table.name(), usage.table(table).bytes, most);
        }
        self.metrics.set_journal_bytes("wal", usage.wal_bytes, Some(usage.wal_max_bytes));
        for (operation, total) in self.store.failures().each() {
            self.metrics.set_journal_errors(operation, total);
        }
        self.metrics.encode()
    }
}
