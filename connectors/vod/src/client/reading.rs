use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::CallError;

/// How long a reply waits for room.
const ROOM_WITHIN: Duration = Duration::from_secs(10);

/// Room for the bytes of replies.
#[derive(Clone)]
pub struct Room {
    semaphore: Arc<Semaphore>,
    all: u32,
}

// === impl Room ===

impl Room {
    /// A semaphore with `all` permits, one a byte.
    pub fn new(semaphore: Arc<Semaphore>, all: usize) -> Self {
        Self { semaphore, all: u32::try_from(all).unwrap_or(u32::MAX) }
    }

    async fn take(&self, bytes: u32) -> OwnedSemaphorePermit {
        let semaphore = Arc::clone(&self.semaphore);
        semaphore.acquire_many_owned(bytes).await.expect("this semaphore is never closed")
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("all", &self.all).finish_non_exhaustive()
    }
}

/// Reads a reply to its end; the room is taken before the bytes come in.
pub(super) async fn read(
    mut answer: Response,
    room: Option<&Room>,
    bytes_max: usize,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), CallError> {
    let declared = answer.content_length().unwrap_or(0);
    if declared > bytes_max as u64 {
        return Err(CallError::TooLarge(bytes_max));
    }
    let mut held = Held { room, permit: None };
    held.grow(declared).await?;
    // Whatever is declared, memory is taken for what has come.
    let mut whole = BytesMut::new();
    loop {
        let piece = answer.chunk().await.map_err(|why| CallError::Network(why.without_url()))?;
        let Some(piece) = piece else { break };
        if whole.len() + piece.len() > bytes_max {
            return Err(CallError::TooLarge(bytes_max));
        }
        held.grow((whole.len() + piece.len()) as u64).await?;
        whole.extend_from_slice(&piece);
    }
    Ok((whole.freeze(), held.permit))
}

struct Held<'a> {
    room: Option<&'a Room>,
    permit: Option<OwnedSemaphorePermit>,
}

// === impl Held ===

impl Held<'_> {
    /// Waits until it holds room for so many bytes, or all the room there is.
    async fn grow(&mut self, bytes: u64) -> Result<(), CallError> {
        let Some(room) = self.room else { return Ok(()) };
        let wanted = u32::try_from(bytes).unwrap_or(u32::MAX).min(room.all);
        let held = self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let lacking = wanted.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX));
        if lacking == 0 {
            return Ok(());
        }
        let more = timeout(ROOM_WITHIN, room.take(lacking)).await.map_err(|_| CallError::NoRoom)?;
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
        Ok(())
    }
}
