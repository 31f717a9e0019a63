//! A VOD that runs anywhere: it sends what Tencent Cloud VOD sends, in any number, and counts what
//! comes back. It knows nothing of the bridge.

pub mod callback;
