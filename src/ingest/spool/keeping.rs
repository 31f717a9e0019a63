//! Keeps an event before it is sent on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::Spool;
use crate::duplicates::Late;
use crate::outlet::Departure;
use crate::telemetry::metrics::Intake;

/// How long the disk may take before an event is sent on without it: a disk that hangs must not
/// refuse what a broker takes.
const KEEP_WITHIN: Duration = Duration::from_secs(1);

/// Writes an event to the spool and lets it depart; a task of its own, because its caller may go
/// away. Kept, it departs if there is room, and else waits in the spool; what cannot be kept waits
/// for room until the `deadline`.
pub async fn keep_and_depart(
    spool: Arc<Spool>,
    intake: Arc<Intake>,
    departure: Box<Departure>,
    deadline: Instant,
) {
    let flight = departure.flight();
    let (event, purpose) = (departure.event().clone(), departure.purpose().clone());
    let mut keeping = std::pin::pin!(spool.keep(&event, &purpose));
    let row = match timeout(KEEP_WITHIN, &mut keeping).await {
        Ok(Ok(row)) => row,
        Ok(Err(error)) => {
            debug!(event = event.id.as_str(), %error, "an event is sent on without being kept");
            timeout_at(deadline, departure.depart()).await.ok();
            return;
        }
        Err(_) => {
            timeout_at(deadline, departure.depart()).await.ok();
            // Not given up: a row that nobody knows of would be found by the next process alone.
            if let Ok(row) = keeping.await
                && let Late::Deferred(row) = flight.keep(row)
            {
                // Counted as given back; what waits now was found in the spool.
                intake.find(1);
                drop(row);
            }
            return;
        }
    };
    if let Late::Deferred(row) = flight.keep(row) {
        intake.find(1);
        drop(row);
    }
    // Without room it is given back, and waits.
    if let Some(room) = departure.try_room() {
        departure.deliver_in(room).await;
    }
}
