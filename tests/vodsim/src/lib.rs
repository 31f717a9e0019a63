//! A VOD that runs anywhere: its API with the queue of reliable callbacks, its sender of normal
//! callbacks, faults on demand, and a ledger of what became of every event. It knows nothing of
//! the bridge.
//!
//! ```text
//! issue --> queue --PullEvents--> hidden for 30 s --ConfirmEvents--> gone
//!    |        ^                        |
//!    |        +---- not confirmed -----+
//!    +----> pusher --POST--> your URL
//! ```
//!
//! [`Vod::start`] runs one inside of a test; the binary `vodsim` runs one beside anything.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use vodbridge_vod::api::Action;
//! use vodsim::{Fault, Options, Vod, callback};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let vod = Vod::start(Options { time_scale: 10.0, ..Options::default() }).await?;
//! vod.next(Action::ConfirmEvents, Fault::LostReply);
//! vod.issue(None, callback::body(0));
//! vod.issue(None, r#"{"EventType":"Unheard","UnheardEvent":{"TaskId":"1"}}"#);
//!
//! // What is tested is pointed at `vod.url()`, with the SecretId and the SecretKey of the options.
//! let within = Duration::from_secs(60);
//! vod.until(|summary| summary.unconfirmed == 0, within).await.unwrap();
//! assert_eq!(vod.summary().redelivered, 0, "{:?}", vod.ledger());
//! # Ok(())
//! # }
//! ```

pub mod callback;
pub mod generate;

mod application;
mod fault;
mod ledger;
mod push;
mod random;
mod server;
mod vod;

pub use fault::{Fault, Faults};
pub use ledger::{Entry, Ledger, Summary};
pub use push::Push;
pub use random::Random;
pub use vod::{Options, Vod};
