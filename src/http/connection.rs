//! One connection: HTTP/1.1, or HTTP/2 where TLS agreed on it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, server};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::listener::{Ending, Limits};
use super::watch::{Watch, Watched};
use super::{Response, listener::Service};

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: u32 = 64 * 1024;

/// Requests that one HTTP/2 connection may have under way.
const STREAMS_MAX: u32 = 256;

/// How long a request has to bring the rest of its head, or a fresh connection its first, once
/// nothing new is taken in or the connection was still for too long.
const LAST_HEAD: Duration = Duration::from_secs(1);

/// What TLS agreed on; in clear it is always HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Serves requests until the peer, the watch or `ending` ends it; a request under way is finished
/// unless the watch ended it. Errors of a peer are the peer's, and end with its connection.
///
/// No caller of HTTP/1.1 can know that a connection is about to be closed unless an answer says so:
/// what it sends at that moment is lost. So answers say it from `leave` on, and at `stop` hardly
/// any connection is left. HTTP/2 has a frame for it.
pub(super) async fn serve<IO, S>(
    stream: IO,
    version: Version,
    service: S,
    limits: Limits,
    ending: Ending,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service,
{
    let watch = Watch::begin(version == Version::Http2);
    let io = TokioIo::new(Watched::new(stream, &watch));
    let requests = service_fn(|request: Request<Incoming>| {
        let busy = watch.request();
        // A combinator and not an async block: a block that captures a future and awaits it is
        // twice as large, and this one is moved with each request.
        service.call(request).map(move |mut answer| {
            if busy.is_last() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(busy);
            Ok::<Response, Infallible>(answer)
        })
    });
    let overdue = watch.overdue(limits.header_timeout, limits.idle_timeout);
    let Ending { leave, stop } = ending;
    match version {
        Version::Http1 => {
            let connection = server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(None)
                .max_buf_size(HEAD_BYTES_MAX as usize)
                .serve_connection(io, requests);
            let until = async {
                leave.cancelled().await;
                watch.leave();
                stop.cancelled().await;
                watch.between_heads(LAST_HEAD).await;
            };
            drive(connection, |c| c.graceful_shutdown(), overdue, until).await;
        }
        Version::Http2 => {
            let connection = server::conn::http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEAD_BYTES_MAX)
                .keep_alive_interval(limits.header_timeout)
                .keep_alive_timeout(limits.header_timeout)
                .serve_connection(io, requests);
            // Who comes after that was sent here by something that does not know yet, and would be
            // sent here again.
            let until = if leave.is_cancelled() { stop } else { leave };
            drive(connection, |c| c.graceful_shutdown(), overdue, until.cancelled()).await;
        }
    }
}

async fn drive<C, E>(
    connection: C,
    shut_down: impl FnOnce(std::pin::Pin<&mut C>),
    overdue: impl Future<Output = ()>,
    until: impl Future<Output = ()>,
) where
    C: Future<Output = Result<(), E>>,
{
    let mut connection = pin!(connection);
    let mut overdue = pin!(overdue);
    let is_overdue = tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = overdue.as_mut() => true,
        () = until => false,
    };
    shut_down(connection.as_mut());
    if is_overdue {
        // A request that was sent just now is still answered, and HTTP/2 says goodbye.
        timeout(LAST_HEAD, connection).await.ok();
        return;
    }
    tokio::select! {
        biased;
        _ = connection => {}
        () = overdue => {}
    }
}
