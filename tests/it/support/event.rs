use vodbridge_core::{ContentDigest, ContentType, Event, Extension, KnownBy, Timestamp, Topic};

/// An event known by its key, of the type `NewFileUpload`.
pub(crate) fn event(id: &str) -> Event {
    of_type(id, "NewFileUpload")
}

/// An event known by its key.
pub(crate) fn of_type(id: &str, event_type: &str) -> Event {
    let extension =
        |name: &'static str, value: &str| Extension { name: name.into(), value: value.into() };
    Event {
        id: id.into(),
        source: "//vod.tencentcloudapi.com/applications/movies".into(),
        ty: format!("com.tencentcloud.vod.{event_type}").into(),
        subject: Some(id.into()),
        time: Timestamp::from_millis(1_767_226_200_123),
        extensions: vec![
            extension("vodapplication", "movies"),
            extension("vodeventtype", event_type),
        ],
        content_type: ContentType::Json,
        data: "{}".into(),
        message: r#"{"payload":{}}"#.into(),
        content: ContentDigest([1; 8]),
        known_by: KnownBy::Key,
    }
}

/// An event known by its content alone.
pub(crate) fn known_by_content(id: &str) -> Event {
    Event { known_by: KnownBy::Content, ..event(id) }
}

/// The same event in a message of so many bytes.
pub(crate) fn arrives_as(event: Event, message_bytes: usize) -> Event {
    Event { message: vec![b' '; message_bytes].into(), ..event }
}

/// The topic of an event type.
pub(crate) fn topic(event_type: &str) -> Topic {
    Topic::new(format!("vod.{event_type}")).unwrap()
}
