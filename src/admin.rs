//! The operator's port: `/livez`, `/readyz`, `/metrics`.
//!
//! Readiness answers one question: can this process keep an event safe now? Trouble that it can
//! outlive shows as `degraded` and leaves it ready: a process that turns red gets no callbacks,
//! also those that it could have kept. `/livez` never looks at a broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};
use smol_str::SmolStr;
use tokio::time::{Duration, Instant};

use crate::certificates::Certificate;
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
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

/// What `/readyz` says in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Ready,
    Degraded,
    Unready,
    Draining,
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
    fn readiness(&self) -> Readiness {
        let all_up = self.health.iter().filter(|h| h.is_required()).all(|h| h.is_up());
        // What is pulled is kept by VOD in an outage: readiness then only holds up a rollout that
        // has never worked.
        let was_ready = self.was_ready.fetch_or(all_up, Ordering::Relaxed) || all_up;
        let can_keep = self.takes_callbacks && self.keeps_callbacks && self.spool.has_room();
        let is_ready = all_up || can_keep || was_ready && !self.takes_callbacks;
        let is_well = || {
            all_up
                && (!self.keeps_callbacks || self.spool.has_room())
                && self.health.iter().all(|h| h.is_well())
                && self.pullers.iter().all(|p| p.trouble.is_none())
        };
        if self.draining.load(Ordering::Relaxed) {
            Readiness::Draining
        } else if !is_ready {
            Readiness::Unready
        } else if is_well() {
            Readiness::Ready
        } else {
            Readiness::Degraded
        }
    }

    fn readyz(&self) -> Response {
        let readiness = self.readiness();
        let connectors: Map<String, Value> =
            self.health.iter().map(|h| (h.name().to_owned(), h.to_json())).collect();
        let mut body = json!({
            "status": readiness.name(),
            "connectors": connectors,
            "journal": self.store.state().to_string(),
        });
        if self.takes_callbacks {
            let usage = self.store.usage();
            body["spool"] = json!({
                "has_room": self.spool.has_room(),
                "events": usage.spool.rows,
                "bytes": usage.spool.bytes,
                "size_max": usage.spool_max_bytes,
            });
        }
        if !self.pullers.is_empty() {
            let vod = |p: &Arc<Puller>| (p.application.to_string(), p.trouble.to_json());
            body["vod"] = Value::Object(self.pullers.iter().map(vod).collect());
        }
        let status = match readiness {
            Readiness::Ready | Readiness::Degraded => StatusCode::OK,
            Readiness::Unready | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
        };
        response(status, "application/json", format!("{body:#}\n"))
    }

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
                Table::Events | Table::DeadLetters => usage.share_max_bytes,
                Table::Spool => usage.spool_max_bytes,
                Table::History => usage.history_max_bytes,
            };
            self.metrics.set_journal_bytes(table.name(), usage.table(table).bytes, most);
        }
        self.metrics.set_journal_bytes("wal", usage.wal_bytes, usage.wal_max_bytes);
        for (operation, total) in self.store.failures().each() {
            self.metrics.set_journal_errors(operation, total);
        }
        self.metrics.encode()
    }
}

impl Readiness {
    fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unready => "unready",
            Self::Draining => "draining",
        }
    }
}

fn text(status: StatusCode, body: &'static str) -> Response {
    response(status, "text/plain; charset=utf-8", body)
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
