//! Shows what is lost when things fail: the fault matrix, faults x brokers x modes, over the real
//! program, real brokers and a simulated VOD.
//!
//! ```text
//!            seed --> schedule --> faults
//!                                    |
//!   VOD (callbacks or queue) --> vodbridge --> proxy --> broker
//!     |                             |                      |
//!   what was told             /metrics, /readyz    independent subscriber
//!     |                             |                      |
//!     +-----------------------> oracle <-------------------+
//!                                    |
//!                     one line of JSON --> docs/reliability.md
//! ```
//!
//! One square of the matrix is a [`Cell`](matrix::Cell). Running one starts a broker of its own,
//! lets VOD's events flow, carries out the faults of the seed's schedule, ends all faults, demands
//! that a fresh event gets through and that everything owed drains, and then lets an independent
//! subscriber read all there is. The [`oracle`] knows nothing of the bridge: it compares what VOD
//! was told with what lies in the broker.

pub mod bridge;
pub mod broker;
pub mod callbacks;
pub mod fault;
pub mod http;
pub mod load;
pub mod matrix;
pub mod oracle;
pub mod readiness;
pub mod record;
pub mod report;
pub mod run;
pub mod schedule;
pub mod soak;
pub mod stage;
pub mod subscriber;
