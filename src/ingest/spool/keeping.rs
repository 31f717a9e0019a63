//! Keeps an event and sends it on, side by side.
//!
//! ```text
//!            +-- keep ----> row, unless the event settles before it is written
//! callback --+
//!            +-- depart --> settled, or deferred once it is known whether there is a row
//! ```
//!
//! What the disk takes for it the caller need not wait for: only the brokers' acknowledgement counts
//! for an answer of 200, and an event that the bridge is killed with is in the spool as soon as it
//! would be if it were written first.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;
use vodbridge_core::Event;
use vodbridge_journal::Withdrawal;

use super::Spool;
use crate::delivery::Purpose;
use crate::duplicates::Keeping;
use crate::outlet::{Departure, Taken};

/// How long the disk may take before an event for which there was no room is sent on without it: a
/// disk that hangs must not refuse what a broker takes.
const KEEP_WITHIN: Duration = Duration::from_secs(1);

/// One event that is to be kept.
struct Kept {
    spool: Arc<Spool>,
    event: Event,
    purpose: Purpose,
    withdrawal: Withdrawal,
}

/// Writes an event to the spool and lets it depart; a task of its own, because its caller may go
/// away. Without room it departs once it is kept, if there is room by then, and else waits in the
/// spool; what cannot be kept waits for room until the `deadline`.
pub async fn keep_and_depart(spool: Arc<Spool>, mut departure: Box<Departure>, deadline: Instant) {
    // Held until the event is stored or written: what waits for a disk counts.
    let _bytes = departure.take_bytes();
    let keeping = departure.flight().keep();
    let kept = Kept {
        spool,
        event: departure.event().clone(),
        purpose: departure.purpose().clone(),
        withdrawal: Withdrawal::default(),
    };
    let writing = pin!(kept.write(keeping));
    match departure.try_room() {
        Some(room) => side_by_side(&kept.withdrawal, writing, departure, room).await,
        None => one_by_one(&kept.withdrawal, writing, departure, deadline).await,
    }
}

async fn side_by_side(
    withdrawal: &Withdrawal,
    mut writing: Pin<&mut impl Future<Output = bool>>,
    departure: Box<Departure>,
    room: Taken,
) {
    let flight = departure.flight();
    let delivering = pin!(departure.deliver_in(room));
    match select(delivering, &mut writing).await {
        Either::Left(((), writing)) => {
            if !(flight.is_stored() && withdrawal.withdraw()) {
                writing.await;
            }
        }
        Either::Right((_, delivering)) => delivering.await,
    }
}

async fn one_by_one(
    withdrawal: &Withdrawal,
    mut writing: Pin<&mut impl Future<Output = bool>>,
    departure: Box<Departure>,
    deadline: Instant,
) {
    match timeout(KEEP_WITHIN, &mut writing).await {
        // Without room it is given back, and waits.
        Ok(true) => {
            if let Some(room) = departure.try_room() {
                departure.deliver_in(room).await;
            }
        }
        Ok(false) => {
            if let Ok(room) = timeout_at(deadline, departure.room()).await {
                departure.deliver_in(room).await;
            }
        }
        Err(_) => {
            if let Ok(room) = timeout_at(deadline, departure.room()).await {
                return side_by_side(withdrawal, writing, departure, room).await;
            }
            drop(departure);
            // Not given up: a row that nobody knows of would be found by the next process alone.
            writing.await;
        }
    }
}

impl Kept {
    /// Writes the event to the spool; true if it is there.
    async fn write(&self, keeping: Keeping) -> bool {
        let Self { spool, event, purpose, withdrawal } = self;
        match spool.keep(event, purpose, withdrawal).await {
            Ok(Some(row)) => {
                keeping.kept(row);
                true
            }
            Ok(None) => false,
            Err(error) => {
                debug!(event = event.id.as_str(), %error, "an event is sent on without being kept");
                false
            }
        }
    }
}
