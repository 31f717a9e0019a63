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
use tokio::time::Instant;

use crate::health::Health;
use crate::http::{self, Response};
use crate::outlet::Outlet;
use crate::telemetry::metrics::Metrics;
use vodbridge_journal::{Store, Table};

/// What the port can see.
#[derive(Clone, Debug)]
pub struct Admin(pub(crate) Arc<View>);

#[derive(Debug)]
pub(crate) struct View {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Vec<Arc<Health>>,
    pub(crate) outlets: Vec<(String, Outlet)>,
    pub(crate) store: Store,
    pub(crate) draining: AtomicBool,
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
        let required = || self.health.iter().filter(|h| h.is_required());
        if self.draining.load(Ordering::Relaxed) {
            Readiness::Draining
        } else if !required().all(|h| h.is_up()) {
            Readiness::Unready
        } else if self.health.iter().all(|h| h.is_well()) {
            Readiness::Ready
        } else {
            Readiness::Degraded
        }
    }

    fn readyz(&self) -> Response {
        let readiness = self.readiness();
        let connectors: Map<String, Value> =
            self.health.iter().map(|h| (h.name().to_owned(), h.to_json())).collect();
        let body = json!({
            "status": readiness.name(),
            "connectors": connectors,
            "journal": self.store.state().to_string(),
        });
        let status = match readiness {
            Readiness::Ready | Readiness::Degraded => StatusCode::OK,
            Readiness::Unready | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
        };
        response(status, "application/json", format!("{body:#}\n"))
    }

    /// What is measured when it is asked for is measured here.
    fn metrics(&self) -> String {
        let now = Instant::now();
        for (application, outlet) in &self.outlets {
            let (_, oldest) = outlet.in_flight();
            let age = oldest.map(|since| now.saturating_duration_since(since));
            self.metrics.set_oldest_unsettled(application, age.unwrap_or_default());
        }
        let usage = self.store.usage();
        for table in Table::ALL {
            self.metrics.set_journal_bytes(table.name(), usage.table(table).bytes);
        }
        self.metrics.set_journal_bytes("wal", usage.wal_bytes);
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
