//! Tencent Cloud VOD's side of its notifications, to drive a receiver with: for now the sender of
//! normal callbacks. It knows nothing of the bridge.

pub mod callback;
