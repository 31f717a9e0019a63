//! The core of vodbridge between fakes, through random schedules in simulated time.
//!
//! ```text
//! seed -> Schedule -> run: sources -> outlet -> route -> fakes -> Ledger, which judges every step
//! ```
//!
//! One seed draws everything: applications, routes, connectors and their moods, who comes when
//! with which event and how long it waits, the limits of room, stops. The clock is tokio's, paused,
//! in a runtime of one thread, so that a seed always tells the same story. What breaks the promise
//! is an [`Failure`] with the schedule and what happened in it.

mod bridge;
mod campaign;
mod fake;
mod ledger;
mod life;
mod pool;
mod schedule;
mod source;
mod weather;
mod world;

pub use campaign::{Campaign, Ended, Progress, campaign};
pub use life::{Failure, Numbers, run};
pub use schedule::Schedule;
