//! Any bytes are split or refused; what a JSON library reads is split alike.
#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use vodbridge_vod::Reply;

fuzz_target!(|bytes: &[u8]| {
    let body = Bytes::copy_from_slice(bytes);
    let reply = Reply::split(&body);
    for event in reply.iter().flat_map(|reply| &reply.events) {
        assert!(body.as_ptr_range().contains(&event.as_ptr()));
        assert!(event.as_ptr_range().end <= body.as_ptr_range().end);
    }
    let Some(expected) = events(bytes) else { return };
    let events = reply.expect("the library has read it").events;
    assert_eq!(events.len(), expected.len());
    for (event, expected) in events.iter().zip(expected) {
        assert_eq!(event, expected.get().as_bytes());
    }
});

/// The events of a reply without an error, as the library reads them.
fn events(body: &[u8]) -> Option<Vec<&RawValue>> {
    let whole = members(body)?;
    let response = members(whole.get("Response")?.get().as_bytes())?;
    let error = response.get("Error").is_none_or(|error| error.get() == "null");
    let events = serde_json::from_str(response.get("EventSet")?.get()).ok()?;
    error.then_some(events)
}

/// The members of an object, if each name is written once and without escapes: the split compares
/// names as they are written.
fn members(object: &[u8]) -> Option<BTreeMap<&str, &RawValue>> {
    #[derive(serde::Deserialize)]
    struct Names<'a> {
        #[serde(borrow, default, rename = "Response")]
        _response: Option<&'a RawValue>,
        #[serde(borrow, default, rename = "EventSet")]
        _events: Option<&'a RawValue>,
        #[serde(borrow, default, rename = "Error")]
        _error: Option<&'a RawValue>,
    }
    // Refuses a name that stands twice.
    serde_json::from_slice::<Names<'_>>(object).ok()?;
    serde_json::from_slice(object).ok()
}
