//! Traces over OTLP: what became of one event, from its coming in to its answer.
//!
//! ```text
//! callback: POST /vod/movies ---------> publish vod.NewFileUpload, for each attempt of each leg
//! pull:     receive <--link-- process -> publish ...
//!                                     -> settle, for each ConfirmEvents
//! spool:    process spool, below what the row was kept with -> publish ...
//! ```
//!
//! An event carries the context of the span it belongs to in its attributes `traceparent` and
//! `tracestate`, wherever it goes: through the spool, into dead letters, to the brokers. So nothing
//! else is handed along, and a row that is sent on a day later still belongs to its trace. A
//! message has the context of the publish that brought it.
//!
//! Names follow OpenTelemetry's conventions for messaging and HTTP. Without an endpoint nothing of
//! this exists: a [`Span`] is an empty option.

mod collector;
mod context;
mod exporter;
mod ingest;
mod publish;

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use vodbridge_core::Event;

use crate::config;
use crate::normalize::Trace;
use crate::telemetry::metrics::Metrics;

pub use exporter::Exporter;
pub use publish::Destination;

/// The most links that a span has: the one it joined.
const LINKS_MAX: u32 = 8;

/// Where spans begin; nowhere by default. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<SdkTracer>>);

/// Something under way that is traced; nothing, if nothing is. Dropping it ends it.
#[derive(Debug, Default)]
pub struct Span(Option<Box<opentelemetry_sdk::trace::Span>>);

// === impl Traces ===

impl Traces {
    /// Traces as configured, and who sends them.
    ///
    /// # Errors
    ///
    /// When the collector could never be called.
    pub fn new(
        config: &config::Traces,
        metrics: &Metrics,
    ) -> Result<(Self, Arc<Exporter>), reqwest::Error> {
        let (queue, exporter) = exporter::new(config, metrics)?;
        let ratio = Sampler::TraceIdRatioBased(config.sampler.ratio);
        let sampler = match config.sampler.parent_based {
            true => Sampler::ParentBased(Box::new(ratio)),
            false => ratio,
        };
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_max_links_per_span(LINKS_MAX)
            .with_span_processor(queue)
            .build();
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        Ok((Self(Some(Arc::new(tracer))), exporter))
    }

    /// Whether anything is traced.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span below another, or a trace.
    fn begin(
        &self,
        parent: Option<SpanContext>,
        since: Option<SystemTime>,
        span: impl FnOnce() -> SpanBuilder,
    ) -> Span {
        let Some(tracer) = &self.0 else { return Span::default() };
        let mut builder = span();
        builder.start_time = since;
        let parent = match parent {
            Some(parent) => Context::new().with_remote_span_context(parent),
            None => Context::new(),
        };
        Span(Some(Box::new(tracer.build_with_context(builder, &parent))))
    }
}

/// A span before it begins.
fn builder(name: String, kind: SpanKind, attributes: Vec<KeyValue>) -> SpanBuilder {
    SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes)
}

// === impl Span ===

impl Span {
    /// The context that whatever follows belongs to: the span's own, or the caller's where nothing
    /// is traced.
    pub fn carry(&self, caller: Trace) -> Trace {
        match &self.0 {
            Some(span) => context::written(span.span_context()),
            None => caller,
        }
    }

    /// Makes an event belong to the span.
    pub fn stamp(&self, event: &mut Event) {
        if let Some(span) = &self.0 {
            context::stamp(event, context::written(span.span_context()));
        }
    }

    /// Points to another trace, by its `traceparent`.
    pub fn link(&mut self, traceparent: Option<&str>) {
        if let (Some(span), Some(parent)) = (&mut self.0, traceparent)
            && let Some(context) = context::parse(Some(parent), None)
        {
            span.add_link(context, Vec::new());
        }
    }

    fn context(&self) -> Option<SpanContext> {
        self.0.as_ref().map(|span| span.span_context().clone())
    }

    fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// "error.type ... SHOULD be predictable, and SHOULD have low cardinality."
    fn fail(&mut self, error_type: impl Into<Value>, description: impl FnOnce() -> String) {
        if let Some(span) = self.0.as_mut().filter(|span| span.is_recording()) {
            span.set_attribute(KeyValue::new("error.type", error_type));
            span.set_status(Status::error(description()));
        }
    }
}
