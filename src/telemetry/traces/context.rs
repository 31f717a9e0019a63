//! W3C Trace Context, as it is written into events.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use smol_str::SmolStr;
use vodbridge_core::{Event, Extension};

use crate::normalize::Trace;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// Both of them, to read.
struct Carrier<'a> {
    parent: Option<&'a str>,
    state: Option<&'a str>,
}

/// The context that two texts are; none if the first is none.
pub(super) fn parse(parent: Option<&str>, state: Option<&str>) -> Option<SpanContext> {
    let carrier = Carrier { parent: Some(parent?), state };
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let span = context.span();
    Some(span.span_context().clone()).filter(SpanContext::is_valid)
}

/// The context that an event carries.
pub(super) fn of(event: &Event) -> Option<SpanContext> {
    parse(event.extension(PARENT), event.extension(STATE))
}

/// The same, where it is a span's of this process that the event was stamped with.
pub(super) fn of_stamped(event: &Event) -> Option<SpanContext> {
    let context = of(event)?;
    let (trace, span, flags) = (context.trace_id(), context.span_id(), context.trace_flags());
    Some(SpanContext::new(trace, span, flags, false, context.trace_state().clone()))
}

/// A context as texts.
pub(super) fn written(context: &SpanContext) -> Trace {
    let mut trace = Trace::default();
    let context = Context::new().with_remote_span_context(context.clone());
    TraceContextPropagator::new().inject_context(&context, &mut Writer(&mut trace));
    trace
}

/// Puts a context in the place of the one that an event carries.
pub(super) fn stamp(event: &mut Event, trace: Trace) {
    event.extensions.retain(|extension| extension.name != PARENT && extension.name != STATE);
    for (name, value) in [(PARENT, trace.parent), (STATE, trace.state)] {
        let Some(value) = value else { continue };
        let at = event.extensions.partition_point(|extension| *extension.name < *name);
        event.extensions.insert(at, Extension { name: name.into(), value });
    }
}

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            PARENT => self.parent,
            STATE => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![PARENT, STATE]
    }
}

struct Writer<'a>(&'a mut Trace);

impl Injector for Writer<'_> {
    fn set(&mut self, key: &str, value: String) {
        let value = Some(SmolStr::new(value)).filter(|value| !value.is_empty());
        match key {
            PARENT => self.0.parent = value,
            STATE => self.0.state = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_written_is_read_again() {
        for state in [None, Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")] {
            let context = parse(Some(CALLER), state).unwrap();
            let trace = written(&context);
            assert_eq!(trace.parent.as_deref(), Some(CALLER));
            assert_eq!(trace.state.as_deref(), state);
        }
    }

    #[test]
    fn what_is_no_context_is_none() {
        for parent in [
            "",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "a word of the same length as a context would have it...",
        ] {
            assert_eq!(parse(Some(parent), None), None, "{parent}");
        }
    }
}
