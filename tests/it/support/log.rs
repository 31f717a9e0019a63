use std::cell::RefCell;
use std::fmt::{self, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What the bridge logs on this thread: a test's runtime has no other.
pub(crate) struct Log;

impl Log {
    /// Begins to listen.
    pub(crate) fn capture() -> Self {
        static LISTENING: Once = Once::new();
        LISTENING.call_once(|| tracing::subscriber::set_global_default(Self).unwrap());
        LINES.with_borrow_mut(Vec::clear);
        Self
    }

    /// Whether one line holds all of these texts.
    pub(crate) fn says(&self, texts: &[&str]) -> bool {
        self.count(texts) > 0
    }

    /// How many lines hold all of these texts.
    pub(crate) fn count(&self, texts: &[&str]) -> usize {
        let holds = |line: &&String| texts.iter().all(|text| line.contains(text));
        LINES.with_borrow(|lines| lines.iter().filter(holds).count())
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.with_borrow_mut(|lines| lines.push(line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}
