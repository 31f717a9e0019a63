//! Any bytes are read or refused, and what is read is consistent.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use vodbridge_vod::{Content, Envelope, ID_BYTES_MAX, metric_type, without_envelope};

fuzz_target!(|bytes: &[u8]| {
    let message = Bytes::copy_from_slice(bytes);
    let envelope = Envelope::find(&message);
    let bare = without_envelope(&message);
    let content = match Content::read(&message) {
        Ok(content) => content,
        Err(no_event) => {
            assert!(!no_event.code().is_empty() && no_event.to_string().len() < 1000);
            return;
        }
    };
    assert!(message.as_ptr_range().contains(&content.payload.as_ptr()));
    assert!(content.payload.starts_with(b"{"));
    serde_json::from_slice::<&RawValue>(&content.payload).expect("the payload is valid JSON");

    let id = &content.identity.id;
    assert!(id.len() <= ID_BYTES_MAX && id.is_ascii() && id.contains(':'), "{id}");
    assert!(!content.event_type.is_empty() && !metric_type(&content).is_empty());
    assert_eq!(
        content.subject.is_some(),
        content.file.is_some() || content.task.is_some() || content.cast.is_some()
    );
    assert_eq!(envelope.handle, content.handle);
    assert_eq!(envelope.signature, content.signature);

    serde_json::from_slice::<&RawValue>(&bare).expect("what is left is valid JSON");
    assert_eq!(without_envelope(&bare), bare);
    let bare = Content::read(&bare).expect("it is the same event without its envelope");
    assert_eq!((bare.handle, bare.signature), (None, None));
    assert_eq!(bare.payload, content.payload);
    assert_eq!(bare.identity, content.identity);
});
