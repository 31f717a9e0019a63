//! The embedded durable store: the connector that needs no broker, and the home of dead letters.
//!
//! ```text
//! append --queue--> writer thread: BEGIN, insert whatever has queued up, COMMIT (fsync)
//!    ^                                                            |
//!    +---------------- answered only now -------------------------+      readers, also of other
//!                                                                        processes, beside it
//! ```
//!
//! SQLite, with a write-ahead log and `synchronous=FULL`, because it was measured against the
//! alternatives: it commits as many small rows a second as a bare file does, opens a million rows
//! after a crash in milliseconds, and gives space back when rows go. What grows has no index: a
//! random one costs two thirds of the throughput, and listings are rare.

mod connector;
mod store;

pub use connector::{Connector, durability};
pub use store::{
    AppendError, Filter, Keep, OpenError, Order, Owner, Page, ReadError, Reader, Record, Retention,
    Seq, Settings, State, Store, Table, Usage,
};
