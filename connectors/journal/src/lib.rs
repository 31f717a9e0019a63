//! The embedded journal of vodbridge: a durable [`Store`] in a directory, and the [`Connector`]
//! over it.
//!
//! ```text
//!  route ──> Connector ──┐                             ┌── events ──────┐ half of size_max,
//!                        ├─> Store ─> writer thread ─> │                │ together
//!  letter box ─ Connector┘     group commit, synced    └── dead_letters ┘
//!                                                             ^
//!  commands beside the running bridge ──── Reader, Remover ───┘  short transactions
//! ```
//!
//! Through the same writer go the spool, which has the other half, and the history of what was
//! delivered elsewhere, which takes a quarter at the most of what nobody needs.
//!
//! An append is acknowledged after `COMMIT` returned, and `COMMIT` returns after the write-ahead
//! log was synced. One thread writes; what is queued while it commits is its next batch.
//!
//! In the directory lie `journal.db` (at most `size_max`), its `-wal` (at most `wal_max`) and
//! `-shm`, `ballast` (space given up when the disk is full) and `lock` (whose kernel lock says
//! who owns the directory; nothing is in it).

#[cfg(feature = "bare")]
pub mod bare;
mod connector;
mod filesystem;
mod store;

pub use connector::{Connector, dies_with_its_container, durability};
pub use store::{
    AppendError, Changes, Cursor, Delivered, Delivery, Done, Failures, Filter, Found, Keep, Letter,
    OpenError, Owner, PAGE_BYTES_MAX, Page, QUEUE_ROWS_MAX, ReadError, Reader, Record, Recovered,
    Remover, Retention, SIZE_MAX_LEAST_BYTES, STEP_ROWS_MAX, Seq, Settings, Spooled, State, Store,
    Table, TableUsage, Usage, Waiting, Withdrawal,
};
