//! How long a connection may do nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep, timeout};

/// After this long, bytes that had arrived have been read.
const READ_WITHIN: Duration = Duration::from_millis(10);

/// Looks at a connection's reads and requests, and says when it has been still for too long.
#[derive(Debug)]
pub(super) struct Watch {
    opened: Instant,
    /// Whether a peer between two requests says something that begins none, as in HTTP/2: it
    /// answers pings.
    chatters: bool,
    requests: AtomicUsize,
    /// Milliseconds after `opened` plus one at which the head of a request began; 0: none has.
    head_began: AtomicU64,
    /// Milliseconds after `opened` at which the last request ended.
    idle_since: AtomicU64,
    is_leaving: AtomicBool,
}

/// A stream whose reads are seen by a [`Watch`].
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
}

/// One request under way.
#[derive(Debug)]
pub(super) struct Busy(Arc<Watch>);

impl Watch {
    /// Begins as if a head had begun: a connection that says nothing has the same time as one
    /// that says half of it.
    pub(super) fn begin(chatters: bool) -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            chatters,
            requests: AtomicUsize::new(0),
            head_began: AtomicU64::new(1),
            idle_since: AtomicU64::new(0),
            is_leaving: AtomicBool::new(false),
        })
    }

    /// A request's head is complete.
    pub(super) fn request(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.head_began.store(0, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Resolves when a head has taken longer than `head`, or nothing has come for `idle`; late by
    /// a tenth of the shorter at most. Cancel safe.
    pub(super) async fn overdue(&self, head: Duration, idle: Duration) {
        let tick = (head.min(idle) / 10).max(Duration::from_millis(10));
        loop {
            sleep(tick).await;
            let now = self.now_millis();
            let still = |since: u64, limit: Duration| {
                u128::from(now.saturating_sub(since)) >= limit.as_millis()
            };
            if self.requests.load(Ordering::Relaxed) > 0 {
                continue;
            }
            let overdue = match self.head_began.load(Ordering::Relaxed) {
                0 => still(self.idle_since.load(Ordering::Relaxed), idle),
                began => still(began - 1, head),
            };
            if overdue {
                return;
            }
        }
    }

    /// From now on each answer is its connection's last.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// Resolves when no head of a request is on its way: none that has begun, none whose bytes
    /// have arrived and are unread, and no first one; after `limit` at the latest. Cancel safe.
    pub(super) async fn between_heads(&self, limit: Duration) {
        let between_heads = async {
            loop {
                sleep(READ_WITHIN).await;
                if self.requests.load(Ordering::Relaxed) > 0
                    || self.head_began.load(Ordering::Relaxed) == 0
                {
                    return;
                }
            }
        };
        // Whoever takes longer is cut off in the middle of a head.
        timeout(limit, between_heads).await.ok();
    }

    fn now_millis(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn saw_bytes(&self) {
        if !self.chatters
            && self.requests.load(Ordering::Relaxed) == 0
            && self.head_began.load(Ordering::Relaxed) == 0
        {
            self.head_began.store(self.now_millis() + 1, Ordering::Relaxed);
        }
    }
}

// === impl Busy ===

impl Busy {
    /// Whether the answer is to say that its connection closes.
    pub(super) fn is_last(&self) -> bool {
        self.0.is_leaving.load(Ordering::Relaxed)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now_millis(), Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Watched ===

impl<S> Watched<S> {
    pub(super) fn new(stream: S, watch: &Arc<Watch>) -> Self {
        Self { stream, watch: Arc::clone(watch) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.watch.saw_bytes();
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::time::timeout;

    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    async fn is_overdue_within(watch: &Watch, limit: Duration) -> bool {
        timeout(limit, watch.overdue(HEAD, IDLE)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_has_the_time_of_a_head() {
        let watch = Watch::begin(false);
        assert!(!is_overdue_within(&watch, HEAD - Duration::from_secs(1)).await);
        assert!(is_overdue_within(&watch, Duration::from_secs(3)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_is_never_overdue_and_idleness_begins_at_its_end() {
        let watch = Watch::begin(false);
        let busy = watch.request();
        assert!(!is_overdue_within(&watch, IDLE * 10).await);
        drop(busy);
        assert!(!is_overdue_within(&watch, IDLE - Duration::from_secs(2)).await);
        assert!(is_overdue_within(&watch, Duration::from_secs(4)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_begun_is_waited_for_and_silence_between_requests_is_not() {
        let limit = Duration::from_secs(1);
        let waited = async |watch: &Watch| {
            let began = Instant::now();
            watch.between_heads(limit).await;
            began.elapsed()
        };
        let watch = Watch::begin(false);
        assert_eq!(waited(&watch).await, limit, "the first one may be on its way");
        let busy = watch.request();
        assert_eq!(waited(&watch).await, READ_WITHIN, "its answer is waited for by others");
        drop(busy);
        assert_eq!(waited(&watch).await, READ_WITHIN);
        let mut stream = Watched::new(&b"POST"[..], &watch);
        stream.read_u8().await.unwrap();
        assert_eq!(waited(&watch).await, limit);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_chattering_peer_says_between_requests_begins_no_head() {
        let watch = Watch::begin(true);
        drop(watch.request());
        let mut stream = Watched::new(&b"ping"[..], &watch);
        stream.read_u8().await.unwrap();
        assert!(!is_overdue_within(&watch, IDLE - Duration::from_secs(2)).await);
        assert!(is_overdue_within(&watch, Duration::from_secs(4)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_of_the_next_head_shortens_the_time() {
        let watch = Watch::begin(false);
        drop(watch.request());
        let mut stream = Watched::new(&b"POST"[..], &watch);
        stream.read_u8().await.unwrap();
        assert!(is_overdue_within(&watch, HEAD + Duration::from_secs(2)).await);
    }
}
