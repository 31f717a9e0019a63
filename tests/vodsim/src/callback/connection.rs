use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// The largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long between two attempts to connect.
const ATTEMPT_EVERY: Duration = Duration::from_millis(20);

/// A request in which only some digits change.
pub(super) struct Request {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

/// One connection that stays open.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What is read of an answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) stays_open: bool,
}

// === impl Request ===

impl Request {
    /// A POST of `body`, in which `digits` are to be exchanged wherever they stand.
    pub(super) fn new(path: &str, body: &[u8], digits: &[u8]) -> Self {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: vod\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let bytes = [head.as_bytes(), body].concat();
        let places = bytes.windows(digits.len()).enumerate();
        let places = places.filter(|(_, window)| *window == digits).map(|(at, _)| at).collect();
        Self { bytes, places }
    }

    pub(super) fn set_digits(&mut self, digits: &[u8]) {
        for &at in &self.places {
            self.bytes[at..at + digits.len()].copy_from_slice(digits);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

// === impl Connection ===

impl Connection {
    /// Connects, trying again for a while.
    pub(super) async fn open(to: SocketAddr, within: Duration) -> Option<Self> {
        let deadline = Instant::now() + within;
        loop {
            if let Ok(stream) = TcpStream::connect(to).await {
                stream.set_nodelay(true).ok()?;
                return Some(Self { stream, buffer: Vec::with_capacity(1024) });
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(ATTEMPT_EVERY).await;
        }
    }

    /// Sends one request and reads the whole of its answer.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(head) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let text = std::str::from_utf8(&self.buffer[..head]).map_err(io::Error::other)?;
                let (answer, body_len) = parse(text).ok_or(io::ErrorKind::InvalidData)?;
                self.read_to(head + 4 + body_len).await?;
                return Ok(answer);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.read_to(self.buffer.len() + 1).await?;
        }
    }

    async fn read_to(&mut self, len: usize) -> io::Result<()> {
        while self.buffer.len() < len {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

/// The answer in a head, and the length of its body.
fn parse(head: &str) -> Option<(Answer, usize)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let (mut body_len, mut stays_open) = (0, true);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            body_len = value.trim().parse().ok()?;
        } else if name.eq_ignore_ascii_case("connection") {
            stays_open = !value.trim().eq_ignore_ascii_case("close");
        }
    }
    Some((Answer { status, stays_open }, body_len))
}
