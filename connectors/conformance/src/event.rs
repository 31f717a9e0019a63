use bytes::Bytes;
use vodbridge_core::{ContentDigest, ContentType, Event, Extension, KnownBy, Timestamp, Topic};

/// An event named `id` with `data_bytes` of valid JSON.
pub fn event(id: &str, data_bytes: usize) -> Event {
    let padding = "x".repeat(data_bytes.saturating_sub(r#"{"Padding":""}"#.len()));
    let data = format!(r#"{{"Padding":"{padding}"}}"#);
    let (before, after) = (r#"{"EventType":"NewFileUpload","FileUploadEvent":"#, "}");
    let message = Bytes::from([before, &data, after].concat());
    let extension =
        |name: &'static str, value: &str| Extension { name: name.into(), value: value.into() };
    Event {
        id: id.into(),
        source: "//vod.tencentcloudapi.com/applications/1500012345".into(),
        ty: "com.tencentcloud.vod.NewFileUpload".into(),
        subject: Some("387702292285462759".into()),
        time: Timestamp::from_millis(1_767_226_200_123),
        extensions: vec![
            extension("vodapplication", "movies"),
            extension("vodeventtype", "NewFileUpload"),
            extension("vodfileid", "387702292285462759"),
        ],
        content_type: ContentType::Json,
        data: message.slice(before.len()..message.len() - after.len()),
        message,
        content: ContentDigest::default(),
        known_by: KnownBy::Key,
    }
}

/// The topic that the clauses publish to: the one of [`event`]'s type.
pub fn topic() -> Topic {
    Topic::new("vod.NewFileUpload").expect("letters and a dot")
}
