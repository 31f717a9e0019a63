//! The least of HTTP/1.1 that asks the bridge and posts to it, and knows when the last byte went out.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The largest head of an answer, in bytes.
const HEAD_MAX: usize = 8 * 1024;

/// The most header lines of an answer.
const HEADERS_MAX: usize = 32;

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, as text.
    pub body: String,
    /// Whether the connection takes another request.
    pub keep_alive: bool,
}

/// A kept-alive connection.
#[derive(Debug)]
pub struct Connection(TcpStream);

/// How an exchange went wrong, and when the request had been written in full, if it had.
#[derive(Debug)]
pub struct Broken {
    /// When the last byte had been handed to the kernel.
    pub sent: Option<Instant>,
    /// What went wrong.
    pub error: io::Error,
}

/// Asks for a page over a connection of its own.
///
/// # Errors
///
/// When there is no whole answer.
pub async fn get(from: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut connection = Connection::open(from).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {from}\r\nConnection: close\r\n\r\n");
    connection.exchange(request.as_bytes()).await.map_err(|broken| broken.error)
}

/// A POST of JSON.
pub fn post(to: SocketAddr, path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

// === impl Connection ===

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens.
    pub async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends a request and reads its whole answer. The connection is of no use after an error, or
    /// when this is dropped before its end.
    ///
    /// # Errors
    ///
    /// When the connection breaks, or the answer is no HTTP/1.1 with a length.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer, Broken> {
        let unsent = |error| Broken { sent: None, error };
        self.0.write_all(request).await.map_err(unsent)?;
        let sent = Instant::now();
        self.answer().await.map_err(|error| Broken { sent: Some(sent), error })
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        let (mut answer, head_bytes, body_bytes) = loop {
            if self.0.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(head) = parse(&bytes)? {
                break head;
            }
            if bytes.len() > HEAD_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a head without an end"));
            }
        };
        while bytes.len() < head_bytes + body_bytes {
            if self.0.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let body = &bytes[head_bytes..head_bytes + body_bytes];
        answer.body = String::from_utf8_lossy(body).into_owned();
        Ok(answer)
    }
}

/// The answer without its body, the length of its head and the length of its body, once the head
/// is whole.
fn parse(bytes: &[u8]) -> io::Result<Option<(Answer, usize, usize)>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(bytes).map_err(invalid)? {
        httparse::Status::Complete(head_bytes) => head_bytes,
        httparse::Status::Partial => return Ok(None),
    };
    let header = |name: &str| {
        let found = response.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let body_bytes = header("content-length").and_then(|length| length.trim().parse().ok());
    let body_bytes: usize = body_bytes
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an answer without a length"))?;
    let keep_alive = !header("connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
    let status = response.code.expect("a complete head has a status");
    let answer = Answer { status, body: String::new(), keep_alive };
    Ok(Some((answer, head_bytes, body_bytes)))
}
