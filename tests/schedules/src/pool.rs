//! The events that come in, as the bridge's own normalizer reads them.

use bytes::Bytes;
use vodbridge::normalize::{DataForm, Normalizer, Reception, Trace};
use vodbridge::telemetry::metrics::Mode;
use vodbridge_core::{Event, KnownBy, Timestamp};
use vodbridge_vod::Content;

/// The applications.
pub(crate) const APPLICATIONS: [&str; 2] = ["movies", "clips"];

/// The event types, in the order of the slots that weather and routes name them by.
pub(crate) const EVENT_TYPES: [&str; 4] =
    ["NewFileUpload", "FileDeleted", "PullComplete", "SomethingNew"];

/// The slot of what is no event; it has no topic but the dead letters'.
pub(crate) const UNRECOGNIZED: usize = EVENT_TYPES.len();

/// What can happen in VOD, by the slot of its type and its payload. The first and the third
/// have one id and different contents.
const KINDS: [(usize, &str, &str); KIND_COUNT] = [
    (0, "FileUploadEvent", r#""FileId":"1","MediaBasicInfo":{"Name":"a"}"#),
    (0, "FileUploadEvent", r#""FileId":"2","MediaBasicInfo":{"Name":"b"}"#),
    (0, "FileUploadEvent", r#""FileId":"1","MediaBasicInfo":{"Name":"c"}"#),
    (1, "FileDeleteEvent", r#""FileIdSet":["18446744073709551617"]"#),
    (1, "FileDeleteEvent", r#""FileIdSet":["2","3"]"#),
    (2, "PullCompleteEvent", r#""TaskId":"t-1","Status":"FINISH","FileId":"4""#),
    (3, "SomethingNewEvent", r#""What":"nobody knows""#),
    (UNRECOGNIZED, "", ""),
];

/// How many kinds there are.
pub(crate) const KIND_COUNT: usize = 8;

/// In how many forms one event is sent: the envelope, the order and the blanks may differ.
pub(crate) const FORM_COUNT: usize = 3;

/// Every event in every form, for each application.
#[derive(Debug)]
pub(crate) struct Pool {
    kinds: Vec<Kind>,
}

/// One thing that happens in one application.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The slot of its type.
    pub(crate) slot: usize,
    /// Whether the event is known by its content alone.
    pub(crate) by_content: bool,
    /// What comes in.
    pub(crate) forms: [Event; FORM_COUNT],
}

// === impl Pool ===

impl Pool {
    /// Reads all messages.
    pub(crate) fn new() -> Self {
        let kinds = APPLICATIONS.iter().flat_map(|application| {
            let normalizer =
                Normalizer::new(application, None, "com.tencentcloud.vod", DataForm::Payload);
            (0..KIND_COUNT).map(move |kind| Kind::new(&normalizer, kind))
        });
        let pool = Self { kinds: kinds.collect() };
        assert!(pool.kinds.iter().all(Kind::has_one_id), "one event is read with two ids");
        pool
    }

    /// One kind of one application.
    pub(crate) fn kind(&self, application: usize, kind: usize) -> &Kind {
        &self.kinds[place(application, kind)]
    }

    /// The place and the form of what came in as this very message.
    pub(crate) fn find(&self, message: &Bytes) -> Option<(usize, usize)> {
        self.kinds.iter().enumerate().find_map(|(place, kind)| {
            let is_it = |form: &Event| form.message.as_ptr() == message.as_ptr();
            Some((place, kind.forms.iter().position(is_it)?))
        })
    }

    /// The kind at a place.
    pub(crate) fn at(&self, place: usize) -> &Kind {
        &self.kinds[place]
    }
}

/// The place of a kind among those of all applications.
pub(crate) fn place(application: usize, kind: usize) -> usize {
    application * KIND_COUNT + kind
}

// === impl Kind ===

impl Kind {
    fn new(normalizer: &Normalizer, kind: usize) -> Self {
        let (slot, ..) = KINDS[kind];
        let forms = std::array::from_fn(|form| {
            let message = Bytes::from(message(kind, form));
            let at = Timestamp::from_millis(1_767_226_200_123);
            let reception = Reception { mode: Mode::callback, at, trace: Trace::default() };
            match Content::read(&message) {
                Ok(content) => normalizer.event(content, &message, &reception),
                Err(why) => normalizer.unrecognized(&why, &message, &reception),
            }
        });
        Self { slot, by_content: forms[0].known_by == KnownBy::Content, forms }
    }

    /// Whether all forms are read as the same event.
    fn has_one_id(&self) -> bool {
        self.forms.iter().all(|f| (&f.id, f.content) == (&self.forms[0].id, self.forms[0].content))
    }
}

fn message(kind: usize, form: usize) -> String {
    let (slot, member, payload) = KINDS[kind];
    let Some(event_type) = EVENT_TYPES.get(slot) else { return "no JSON at all".to_owned() };
    match form {
        0 => format!(r#"{{"EventType":"{event_type}","{member}":{{{payload}}}}}"#),
        1 => format!(
            r#"{{"EventHandle":"h","EventType":"{event_type}","{member}":{{{payload}}},"Sign":"s","T":"1"}}"#
        ),
        _ => format!("{{ \"{member}\": {{ {payload} }},\n \"EventType\": \"{event_type}\" }}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_events_share_an_id_and_some_are_known_by_content() {
        let pool = Pool::new();
        let [first, third] = [0, 2].map(|kind| &pool.kind(0, kind).forms[0]);
        assert_eq!(first.id, third.id);
        assert_ne!(first.content, third.content);
        let by_content = (0..KIND_COUNT).filter(|kind| pool.kind(0, *kind).by_content);
        assert!(by_content.count() >= 2);
        for (kind, (slot, ..)) in KINDS.iter().enumerate().filter(|(_, k)| k.0 != UNRECOGNIZED) {
            let event = &pool.kind(0, kind).forms[0];
            assert_eq!(event.extension("vodeventtype"), Some(EVENT_TYPES[*slot]));
        }
    }
}
