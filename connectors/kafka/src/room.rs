use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// What may be under way at a time, so that the client's own queue is never full.
#[derive(Debug)]
pub(crate) struct Room {
    records: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    bytes_max: u32,
}

/// Room for one record, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _record: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

// === impl Room ===

impl Room {
    pub(crate) fn new(records_max: u32, bytes_max: u32) -> Self {
        Self {
            records: Arc::new(Semaphore::new(records_max.max(1) as usize)),
            bytes: Arc::new(Semaphore::new(bytes_max.max(1) as usize)),
            bytes_max: bytes_max.max(1),
        }
    }

    /// Waits for room, first come, first served. A record larger than all of it takes all of it.
    ///
    /// # Errors
    ///
    /// Once it is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the line.
    pub(crate) async fn take(&self, bytes: usize) -> Result<Place, AcquireError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max);
        let record = Arc::clone(&self.records).acquire_owned().await?;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await?;
        Ok(Place { _record: record, _bytes: bytes })
    }

    /// Lets nobody in any more, nor keeps anybody waiting.
    pub(crate) fn close(&self) {
        self.records.close();
        self.bytes.close();
    }
}
