//! What `/readyz` says, and by which rule.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::View;
use super::answer::response;
use crate::http::Response;
use crate::ingest::pull::Puller;

/// What `/readyz` says in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Ready,
    Degraded,
    Unready,
    Draining,
}

// === impl View ===

impl View {
    pub(super) fn readiness(&self) -> Readiness {
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

    pub(super) fn readyz(&self) -> Response {
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
}

// === impl Readiness ===

impl Readiness {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unready => "unready",
            Self::Draining => "draining",
        }
    }
}
