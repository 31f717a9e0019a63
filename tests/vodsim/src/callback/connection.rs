//! One kept-alive connection: a request out, its answer in, nothing allocated between.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest head of an answer, and the step in which its body is read, in bytes.
const READ_BYTES: usize = 8 * 1024;

/// The most header lines of an answer.
const HEADERS_MAX: usize = 32;

pub(crate) struct Connection {
    stream: TcpStream,
    read: Box<[u8; READ_BYTES]>,
}

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the connection takes another request.
    pub(crate) keep_alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    answer: Answer,
    head_bytes: usize,
    body_bytes: usize,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Box::new([0; READ_BYTES]) })
    }

    /// Sends one request and reads its answer to the last byte.
    ///
    /// # Errors
    ///
    /// When the connection breaks or the answer is not HTTP/1.1 with a length. The connection is
    /// of no use then.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.read[filled..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            if let Some(head) = parse(&self.read[..filled])? {
                return self.skip_body(head, filled - head.head_bytes).await;
            }
            if filled == READ_BYTES {
                return Err(invalid("the answer's head is too large"));
            }
        }
    }

    async fn skip_body(&mut self, head: Head, mut skipped: usize) -> io::Result<Answer> {
        while skipped < head.body_bytes {
            let step = (head.body_bytes - skipped).min(READ_BYTES);
            let read = self.stream.read(&mut self.read[..step]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            skipped += read;
        }
        if skipped > head.body_bytes {
            return Err(invalid("bytes after the answer"));
        }
        Ok(head.answer)
    }
}

/// The head, once it is whole.
fn parse(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let head_bytes = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let status = response.code.expect("a complete head has a status");
    let mut answer = Answer { status, keep_alive: response.version == Some(1) };
    let mut body_bytes = None;
    for header in &*response.headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            body_bytes = std::str::from_utf8(header.value).ok().and_then(|v| v.trim().parse().ok());
        } else if header.name.eq_ignore_ascii_case("connection") {
            answer.keep_alive &= !header.value.eq_ignore_ascii_case(b"close");
        }
    }
    // RFC 9112 section 6.3: these statuses have no body, whatever the head says.
    if matches!(status, 204 | 304) {
        body_bytes = Some(0);
    }
    let body_bytes = body_bytes.ok_or_else(|| invalid("the answer has no Content-Length"))?;
    Ok(Some(Head { answer, head_bytes, body_bytes }))
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_its_status_its_length_and_whether_another_may_follow() {
        let cases = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Some((200, true, 2))),
            (
                "HTTP/1.1 503 \r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
                Some((503, false, 0)),
            ),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some((204, true, 0))),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", Some((200, false, 0))),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n", None),
            ("", None),
        ];
        for (bytes, expected) in cases {
            let head = parse(bytes.as_bytes()).unwrap();
            let told = head.map(|h| (h.answer.status, h.answer.keep_alive, h.body_bytes));
            assert_eq!(told, expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_answer_without_an_end_is_none() {
        for bytes in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "220 mail.example ESMTP\r\n\r\n",
        ] {
            assert!(parse(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }
}
