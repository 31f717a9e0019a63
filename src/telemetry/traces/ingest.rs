//! What comes in and how it ends.

use std::time::{Duration, SystemTime};

use hyper::{Method, Request};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use smol_str::SmolStr;
use vodbridge_core::{Event, SPEC_VERSION};

use super::{Span, Traces, builder, context};
use crate::delivery::Outcome;
use crate::normalize::Trace;

/// `messaging.system` of VOD's queue of events.
const VOD: &str = "tencentcloud_vod";

/// `messaging.system` of the spool.
const SPOOL: &str = "vodbridge_spool";

/// How an event ended for its source.
const OUTCOME: &str = "vodbridge.outcome";

const APPLICATION: &str = "vodbridge.application";

// === impl Traces ===

impl Traces {
    /// A callback, below the caller's context: from its first byte to its answer. The query holds
    /// the token and is left out.
    pub fn callback<B>(&self, request: &Request<B>, caller: &Trace) -> Span {
        let span = || {
            let method = match *request.method() {
                Method::POST => "POST",
                Method::GET => "GET",
                Method::PUT => "PUT",
                Method::HEAD => "HEAD",
                Method::DELETE => "DELETE",
                Method::OPTIONS => "OPTIONS",
                // "MUST set ... to _OTHER" for what is not known.
                _ => "_OTHER",
            };
            let path = request.uri().path();
            // "{method} {target}": "If the HTTP request method isn't known, HTTP".
            let named = if method == "_OTHER" { "HTTP" } else { method };
            let attributes = vec![
                KeyValue::new("http.request.method", method),
                KeyValue::new("http.route", path.to_owned()),
                KeyValue::new("url.path", path.to_owned()),
            ];
            builder(format!("{named} {path}"), SpanKind::Server, attributes)
        };
        let parent = || context::parse(caller.parent.as_deref(), caller.state.as_deref());
        self.begin(self.is_on().then(parent).flatten(), None, span)
    }

    /// A poll of VOD's queue that began a while ago and brought so many events.
    pub fn received(&self, application: &str, took: Duration, events: usize) -> Span {
        let span = || {
            let mut attributes = of_queue(VOD, application, "PullEvents", "receive");
            let events = i64::try_from(events).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("messaging.batch.message_count", events));
            builder(format!("receive {application}"), SpanKind::Client, attributes)
        };
        // No sooner than the clock began.
        let began = self.is_on().then(SystemTime::now).and_then(|now| now.checked_sub(took));
        self.begin(None, began, span)
    }

    /// An event that a poll brought: a trace of its own, linked to the poll, because those that
    /// came with it have nothing to do with it.
    pub fn pulled(&self, application: &str, received: &Span) -> Span {
        let span = || {
            let attributes = of_queue(VOD, application, "process", "process");
            let mut span =
                builder(format!("process {application}"), SpanKind::Consumer, attributes);
            span.links =
                received.context().map(|poll| vec![opentelemetry::trace::Link::with_context(poll)]);
            span
        };
        self.begin(None, None, span)
    }

    /// The confirmation of such events by one call: a span below each.
    pub fn settling<'a>(
        &self,
        application: &str,
        events: impl ExactSizeIterator<Item = &'a Span>,
    ) -> Vec<Span> {
        if !self.is_on() {
            return Vec::new();
        }
        let many = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let settle = |event: &Span| {
            let span = || {
                let mut attributes = of_queue(VOD, application, "ConfirmEvents", "settle");
                attributes.push(KeyValue::new("messaging.batch.message_count", many));
                builder(format!("settle {application}"), SpanKind::Client, attributes)
            };
            self.begin(event.context(), None, span)
        };
        events.map(settle).collect()
    }

    /// An event that waited in the spool: it goes on in the trace that it came in by. The
    /// conventions allow that where "a single message" is processed.
    pub fn resent(&self, event: &Event) -> Span {
        let span = || {
            let application = event.extension("vodapplication").unwrap_or_default();
            let attributes = of_queue(SPOOL, application, "process", "process");
            builder(format!("process spool {application}"), SpanKind::Consumer, attributes)
        };
        let mut span = self.begin(self.is_on().then(|| context::of(event)).flatten(), None, span);
        span.about(event);
        span
    }
}

fn of_queue(
    system: &'static str,
    application: &str,
    name: &'static str,
    kind: &'static str,
) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", system),
        KeyValue::new("messaging.operation.name", name),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.destination.name", application.to_owned()),
    ]
}

// === impl Span ===

impl Span {
    /// Says which event it is about.
    pub fn about(&mut self, event: &Event) {
        if self.0.is_none() {
            return;
        }
        self.set("cloudevents.event_id", event.id.to_string());
        self.set("cloudevents.event_source", event.source.to_string());
        self.set("cloudevents.event_spec_version", SPEC_VERSION);
        self.set("cloudevents.event_type", event.ty.to_string());
        if let Some(subject) = &event.subject {
            self.set("cloudevents.event_subject", subject.to_string());
        }
        self.set("messaging.message.id", event.id.to_string());
        if let Some(application) = event.extension("vodapplication") {
            self.set(APPLICATION, application.to_owned());
        }
    }

    /// Says what a callback was answered.
    pub fn answered(&mut self, status: u16, outcome: &'static str) {
        self.set("http.response.status_code", i64::from(status));
        self.set(OUTCOME, outcome);
        // "5xx: ... the span status MUST be set to Error"; error.type is "the status code".
        if status >= 500 {
            self.fail(status.to_string(), || outcome.to_owned());
        }
    }

    /// Says that it was settled before it came.
    pub fn was_duplicate(&mut self) {
        self.set(OUTCOME, "duplicate");
    }

    /// Says that it goes on waiting, because the same content is under way.
    pub fn waits(&mut self) {
        self.set(OUTCOME, "waiting");
    }

    /// Says that it joined a delivery of the same event, under the `traceparent` of that.
    pub fn joined(&mut self, lead: Option<&SmolStr>) {
        self.set("vodbridge.joined", true);
        self.link(lead.map(SmolStr::as_str));
    }

    /// Says how a delivery ended.
    pub fn ended(&mut self, outcome: Outcome) {
        let name = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Rejected => "rejected",
            Outcome::Deferred => "deferred",
        };
        self.set(OUTCOME, name);
        if outcome == Outcome::Deferred {
            self.fail(name, || "not acknowledged: the event comes again".to_owned());
        }
    }

    /// Says why a call to VOD failed.
    pub fn call_failed(&mut self, code: &'static str) {
        self.fail(code, || format!("VOD's API: {code}"));
    }

    /// Says that a handle was not confirmed, although its event has settled.
    pub fn not_confirmed(&mut self) {
        self.fail("handle_expired", || "the event comes again, and is not published".to_owned());
    }
}
