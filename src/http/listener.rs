//! Accepting connections, no more than there may be.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::Response;
use super::connection::{Version, serve};
use super::tls::Tls;

/// How long to wait after the system refused to accept, out of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections that wait in the system's backlog may need to be taken at the end: they
/// wait only while there are as many as there may be.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// A bound socket that does not accept yet: its address is known before anything runs.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    limits: Limits,
}

/// What one listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the system's backlog.
    pub connections_max: usize,
    /// From the first byte of a request, or the beginning of the connection, to the end of the
    /// head. Also for the TLS handshake.
    pub header_timeout: Duration,
    /// Between the requests of a connection.
    pub idle_timeout: Duration,
}

/// The connections in the system's backlog, asked for without the runtime's word that there are any:
/// it learns of them late.
struct Rest(Option<std::net::TcpListener>);

/// How a listener is told to end.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Connections are still taken, and answers say that theirs closes: callers come again, and by
    /// then may be led elsewhere.
    pub leave: CancellationToken,
    /// No connection is taken any more.
    pub stop: CancellationToken,
}

/// Whatever answers requests.
pub trait Service: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn call(&self, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static;
}

/// An address on which nothing can listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

impl Listener {
    /// Binds a socket; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address is in use or not this machine's.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Tls>,
        limits: Limits,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, tls, limits })
    }

    /// The address it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `ending.stop`, then finishes the requests under way, also those of connections
    /// that the system has taken already.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops all connections.
    pub async fn serve(self, service: impl Service, ending: Ending) {
        let Self { socket, tls, limits, .. } = self;
        let room = Arc::new(Semaphore::new(limits.connections_max));
        let mut connections = JoinSet::new();
        // The permit comes before the accept: the limit holds new work outside the door instead of
        // dropping it inside.
        let permit = async || {
            let permit = Arc::clone(&room).acquire_owned().await;
            permit.expect("the semaphore is never closed")
        };
        let begin = |connections: &mut JoinSet<()>, permit: OwnedSemaphorePermit, stream| {
            let (service, tls, ending) = (service.clone(), tls.clone(), ending.clone());
            connections.spawn(async move {
                connect(stream, tls, service, limits, ending).await;
                drop(permit);
            });
        };
        let accept = async |connections: &mut JoinSet<()>| {
            let permit = permit().await;
            match socket.accept().await {
                Ok((stream, _)) => begin(connections, permit, stream),
                Err(error) => {
                    warn!(%error, "cannot accept connections; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        loop {
            tokio::select! {
                biased;
                () = ending.stop.cancelled() => break,
                () = accept(&mut connections) => {}
            }
            while let Some(ended) = connections.try_join_next() {
                see(ended);
            }
        }
        // To their callers they are open and may carry requests; closing the socket resets them.
        let take_the_rest = async {
            let mut rest = Rest::of(socket);
            loop {
                let permit = permit().await;
                let Some(stream) = rest.next() else { break };
                begin(&mut connections, permit, stream);
            }
        };
        timeout(REST_WITHIN, take_the_rest).await.ok();
        while let Some(ended) = connections.join_next().await {
            see(ended);
        }
    }
}

async fn connect(
    stream: TcpStream,
    tls: Option<Tls>,
    service: impl Service,
    limits: Limits,
    ending: Ending,
) {
    // Answers are small and awaited: holding them back gains nothing.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection ended before it began");
        return;
    }
    let Some(tls) = tls else {
        return serve(stream, Version::Http1, service, limits, ending).await;
    };
    match timeout(limits.header_timeout, tls.accept(stream)).await {
        Ok(Ok((stream, version))) => serve(stream, version, service, limits, ending).await,
        Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

// === impl Rest ===

impl Rest {
    /// None if the system does not give the socket out of its event queue.
    fn of(socket: TcpListener) -> Self {
        Self(socket.into_std().inspect_err(|error| debug!(%error, "connections may be reset")).ok())
    }

    fn next(&mut self) -> Option<TcpStream> {
        let (stream, _) = self.0.as_ref()?.accept().ok()?;
        stream.set_nonblocking(true).ok()?;
        TcpStream::from_std(stream).ok()
    }
}

/// A panic of one connection ends that connection, and is seen.
fn see(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "a connection panicked");
    }
}
