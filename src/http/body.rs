//! Reading a request's body: under a size, a time, and the room that the process has for bytes.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// What a body may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes, as they come and when they are inflated.
    pub bytes_max: u32,
    /// From the head's end to the last byte.
    pub timeout: Duration,
    /// How long to wait for room.
    pub room_timeout: Duration,
    /// The room of the whole process, in bytes.
    pub room: Arc<Semaphore>,
}

/// A body read to its end, and its share of the process's room.
#[derive(Debug)]
pub struct Whole {
    /// The bytes, inflated.
    pub bytes: Bytes,
    /// Their share of the room.
    pub room: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than allowed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u32),
    /// The last byte did not come in time.
    #[error("the body did not end within {}", humantime::format_duration(*.0))]
    Slow(Duration),
    /// The process holds as many bytes as it may.
    #[error("there is no room for the body")]
    NoRoom,
    /// The connection or its framing broke.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
    /// Not what `Content-Encoding: gzip` promises.
    #[error("the body is no gzip stream")]
    Gzip(#[source] std::io::Error),
}

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
}

/// Room is taken in steps of this many bytes when a body does not say its length.
const ROOM_STEP_BYTES: u32 = 64 * 1024;

/// Reads a body to its end. A length that is declared and too large is refused before reading.
///
/// # Errors
///
/// See [`BodyError`].
///
/// # Cancel safety
///
/// Dropping the future gives the room back and loses what was read.
pub async fn read(body: Incoming, encoding: Encoding, limits: &Limits) -> Result<Whole, BodyError> {
    let deadline = Instant::now() + limits.timeout;
    let whole = collect(body, limits, deadline).await?;
    match encoding {
        Encoding::Identity => Ok(whole),
        Encoding::Gzip => inflate(whole, limits).await,
    }
}

async fn collect(
    mut body: Incoming,
    limits: &Limits,
    deadline: Instant,
) -> Result<Whole, BodyError> {
    let declared = body.size_hint().upper();
    if declared.is_some_and(|len| len > u64::from(limits.bytes_max)) {
        return Err(BodyError::TooLarge(limits.bytes_max));
    }
    let declared = declared.and_then(|len| u32::try_from(len).ok());
    let mut room = Held { limits, permit: None, bytes: 0 };
    room.grow(declared.unwrap_or(0)).await?;
    let mut pieces = Pieces::default();
    let mut bytes = 0;
    loop {
        let frame = timeout_at(deadline, body.frame()).await;
        let frame = frame.map_err(|_| BodyError::Slow(limits.timeout))?;
        let Some(frame) = frame.transpose().map_err(BodyError::Broken)? else { break };
        // Trailers say nothing that we want to know.
        let Ok(data) = frame.into_data() else { continue };
        bytes = u32::try_from(data.len()).map_or(u32::MAX, |len| len.saturating_add(bytes));
        if bytes > limits.bytes_max {
            return Err(BodyError::TooLarge(limits.bytes_max));
        }
        room.grow(bytes).await?;
        pieces.push(data);
    }
    Ok(Whole { bytes: pieces.join(), room: room.permit })
}

/// Inflates on a thread that may block: what takes a megabyte takes milliseconds. Room is taken
/// for the most that can come out before anything does, and the surplus given back.
async fn inflate(whole: Whole, limits: &Limits) -> Result<Whole, BodyError> {
    let Whole { bytes, room } = whole;
    let bytes_max = limits.bytes_max;
    let held = room.as_ref().map_or(0, |p| u32::try_from(p.num_permits()).unwrap_or(u32::MAX));
    let mut room = Held { limits, permit: room, bytes: held };
    room.grow(bytes_max).await?;
    let inflated = tokio::task::spawn_blocking(move || {
        let mut out = Vec::new();
        let mut stream = flate2::read::MultiGzDecoder::new(&*bytes).take(u64::from(bytes_max) + 1);
        stream.read_to_end(&mut out).map(|_| out)
    });
    let inflated = inflated.await.map_err(|e| BodyError::Gzip(e.into()))?;
    let inflated = inflated.map_err(BodyError::Gzip)?;
    let surplus =
        room.permit.as_ref().map_or(0, |p| p.num_permits().saturating_sub(inflated.len()));
    if inflated.len() > bytes_max as usize {
        return Err(BodyError::TooLarge(bytes_max));
    }
    drop(room.permit.as_mut().and_then(|p| p.split(surplus)));
    Ok(Whole { bytes: inflated.into(), room: room.permit })
}

/// What has come of a body.
///
/// A body that comes in one piece, as nearly all do, is not copied. Any other is copied once more
/// when its size is known: a growing buffer would take twice its room, again and again.
#[derive(Default)]
struct Pieces {
    whole: Vec<Bytes>,
    /// Small pieces are gathered, so that a body of single bytes does not become a list of them.
    small: BytesMut,
}

/// A piece of fewer bytes is gathered with its neighbours.
const SMALL_BYTES: usize = 16 * 1024;

impl Pieces {
    fn push(&mut self, data: Bytes) {
        if self.whole.is_empty() || data.len() >= SMALL_BYTES {
            self.end_small();
            self.whole.push(data);
            return;
        }
        self.small.extend_from_slice(&data);
        if self.small.len() >= SMALL_BYTES {
            self.end_small();
        }
    }

    fn end_small(&mut self) {
        if !self.small.is_empty() {
            self.whole.push(self.small.split().freeze());
        }
    }

    fn join(mut self) -> Bytes {
        self.end_small();
        match self.whole.len() {
            0 | 1 => self.whole.pop().unwrap_or_default(),
            _ => self.whole.concat().into(),
        }
    }
}

/// The room taken so far.
struct Held<'a> {
    limits: &'a Limits,
    permit: Option<OwnedSemaphorePermit>,
    bytes: u32,
}

impl Held<'_> {
    async fn grow(&mut self, to: u32) -> Result<(), BodyError> {
        if to <= self.bytes {
            return Ok(());
        }
        let more = (to - self.bytes).max(if self.bytes == 0 { 0 } else { ROOM_STEP_BYTES });
        let more = more.min(self.limits.bytes_max - self.bytes);
        let permit = Arc::clone(&self.limits.room).acquire_many_owned(more);
        let permit = timeout(self.limits.room_timeout, permit)
            .await
            .map_err(|_| BodyError::NoRoom)?
            .expect("the semaphore is never closed");
        self.bytes += more;
        match &mut self.permit {
            Some(held) => held.merge(permit),
            None => self.permit = Some(permit),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_any_size_join_to_what_came(
            lens in prop::collection::vec(prop_oneof![0..4_usize, 0..40_000_usize], 0..40),
        ) {
            let all: Vec<u8> = (0..=u8::MAX).cycle().take(lens.iter().sum()).collect();
            let (mut pieces, mut at) = (Pieces::default(), 0);
            for len in lens {
                pieces.push(Bytes::copy_from_slice(&all[at..at + len]));
                at += len;
            }
            let most = 2 * all.len() / SMALL_BYTES + 2;
            prop_assert!(pieces.whole.len() <= most.max(2));
            prop_assert_eq!(pieces.join(), all);
        }
    }

    #[test]
    fn a_body_in_one_piece_is_not_copied() {
        let body = Bytes::from(vec![7; 100]);
        let mut pieces = Pieces::default();
        pieces.push(body.clone());
        assert_eq!(pieces.join().as_ptr(), body.as_ptr());
    }
}
