use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::value::RawValue;
use vodbridge_vod::Content;

/// The crate's directory.
pub(crate) fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The bytes of a sample, by its path below `samples`.
pub(crate) fn sample(path: &str) -> Bytes {
    let path = home().join("samples").join(path);
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Bytes::from(bytes)
}

/// The paths below `samples` whose names end in `suffix`, sorted.
pub(crate) fn samples(directory: &str, suffix: &str) -> Vec<PathBuf> {
    let directory = home().join("samples").join(directory);
    let entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let ends = |path: &PathBuf| path.to_str().unwrap().ends_with(suffix);
    let mut paths: Vec<PathBuf> = entries.filter(ends).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no sample in {}", directory.display());
    paths
}

/// The elements of a pull reply's EventSet, byte for byte.
pub(crate) fn events(reply: &[u8]) -> Vec<Bytes> {
    #[derive(serde::Deserialize)]
    struct Reply<'a> {
        #[serde(borrow, rename = "Response")]
        response: Response<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Response<'a> {
        #[serde(borrow, rename = "EventSet")]
        events: Vec<&'a RawValue>,
    }
    let reply: Reply<'_> = serde_json::from_slice(reply).unwrap();
    reply.response.events.iter().map(|e| Bytes::copy_from_slice(e.get().as_bytes())).collect()
}

#[track_caller]
pub(crate) fn read(message: impl Into<Bytes>) -> Content {
    let message = message.into();
    Content::read(&message).unwrap_or_else(|e| panic!("{e}: {}", message.escape_ascii()))
}

/// The code of the error that a message reads to.
#[track_caller]
pub(crate) fn code(message: impl Into<Bytes>) -> &'static str {
    match Content::read(&message.into()) {
        Ok(content) => panic!("{content:?} is an event"),
        Err(no_event) => no_event.code(),
    }
}

pub(crate) fn hex(digest: [u8; 8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
