//! Accepting connections, no more than there may be.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::Response;
use super::connection::{Version, serve};
use super::tls::Tls;

/// How long to wait after the system refused to accept, out of descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

    /// Serves until `stop`, then finishes the requests under way.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops all connections.
    pub async fn serve(self, service: impl Service, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(self.limits.connections_max));
        let mut connections = JoinSet::new();
        let accept = async |connections: &mut JoinSet<()>| {
            // The permit comes before the accept: the limit holds new work outside the door
            // instead of dropping it inside.
            let permit = Arc::clone(&room).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let (service, tls) = (service.clone(), self.tls.clone());
                    let (limits, stop) = (self.limits, stop.clone());
                    connections.spawn(async move {
                        connect(stream, tls, service, limits, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept connections; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = accept(&mut connections) => {}
            }
            while let Some(ended) = connections.try_join_next() {
                see(ended);
            }
        }
        drop(self.socket);
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
    stop: CancellationToken,
) {
    // Answers are small and awaited: holding them back gains nothing.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "a connection ended before it began");
        return;
    }
    let Some(tls) = tls else {
        return serve(stream, Version::Http1, service, limits, stop).await;
    };
    match timeout(limits.header_timeout, tls.accept(stream)).await {
        Ok(Ok((stream, version))) => serve(stream, version, service, limits, stop).await,
        Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
        Err(_) => debug!("a TLS handshake took too long"),
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
