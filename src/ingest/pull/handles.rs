use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Handles of events that have not settled. VOD's documents show two events with one handle:
/// such a handle may be confirmed only once all of its events have settled well.
#[derive(Clone, Debug, Default)]
pub(super) struct Handles(Arc<Mutex<HashMap<String, Owed>>>);

#[derive(Debug, Default)]
struct Owed {
    unsettled: usize,
    /// One of its events was given back: confirming the handle would lose that one.
    spoiled: bool,
}

/// One event's share in its handle. Dropping it gives the event back.
#[derive(Debug)]
pub(super) struct Held {
    handles: Handles,
    handle: String,
}

// === impl Handles ===

impl Handles {
    /// Notes an event that carries the handle.
    pub(super) fn hold(&self, handle: String) -> Held {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(handle.clone()).or_default().unsettled += 1;
        Held { handles: self.clone(), handle }
    }

    /// Notes how one of its events ended; true when the handle is to be confirmed now.
    fn end(&self, handle: &str, is_settled: bool) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(owed) = all.get_mut(handle) else { return false };
        owed.unsettled -= 1;
        owed.spoiled |= !is_settled;
        if owed.unsettled > 0 {
            return false;
        }
        all.remove(handle).is_some_and(|owed| !owed.spoiled)
    }
}

// === impl Held ===

impl Held {
    /// The event has settled; the handle, if it is to be confirmed now.
    pub(super) fn settled(mut self) -> Option<String> {
        // Its end is said here, and not by dropping it.
        let handle = std::mem::take(&mut self.handle);
        self.handles.end(&handle, true).then_some(handle)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // No handle is empty but one that has settled.
        if !self.handle.is_empty() {
            self.handles.end(&self.handle, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_confirmed_once_all_its_events_have_settled() {
        let handles = Handles::default();
        let [first, second, other] = ["a", "a", "b"].map(|h| handles.hold(h.to_owned()));
        assert_eq!(first.settled(), None);
        assert_eq!(other.settled().as_deref(), Some("b"));
        assert_eq!(second.settled().as_deref(), Some("a"));
    }

    #[test]
    fn one_event_given_back_spoils_the_handle() {
        let handles = Handles::default();
        let [first, second] = ["a", "a"].map(|h| handles.hold(h.to_owned()));
        drop(first);
        assert_eq!(second.settled(), None);
        let anew = handles.hold("a".to_owned());
        assert_eq!(anew.settled().as_deref(), Some("a"), "it begins anew");
    }
}
