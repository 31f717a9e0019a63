//! Keeps a session, over whichever server answers, until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{debug, info};
use vodbridge_core::{Backoff, BoxError, Unavailable};

use crate::config::Config;
use crate::error;
use crate::session::Session;

/// The connection as those see it who publish.
#[derive(Debug)]
pub(crate) struct Link {
    status: watch::Receiver<Status>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Nothing goes on behind a link that nobody closed.
    _stop: DropGuard,
}

#[derive(Clone, Debug)]
enum Status {
    /// The first attempt after the start, or after a connection ended: worth waiting for.
    Connecting,
    Up(Arc<Session>),
    /// No server let us in the last time.
    Away(Arc<Unavailable>),
    Closed,
}

/// A session that ends sooner is a failure like any other.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// Servers that are remembered; a cluster has fewer.
const SERVERS_MAX: usize = 64;

impl Link {
    /// Begins to connect, in the background.
    ///
    /// # Errors
    ///
    /// An address in the configuration that is none.
    pub(crate) fn new(config: Arc<Config>) -> Result<Self, BoxError> {
        let servers =
            config.servers.iter().map(|server| parse(server)).collect::<Result<_, _>>()?;
        let (said, status) = watch::channel(Status::Connecting);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(keep(config, servers, said, stop.clone()));
        tasks.close();
        Ok(Self { status, tasks, stop: stop.clone(), _stop: stop.drop_guard() })
    }

    /// The session, as soon as there is one; at once when it is known that there is none.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, Unavailable> {
        if let Status::Up(session) = &*self.status.borrow() {
            return Ok(Arc::clone(session));
        }
        let mut status = self.status.clone();
        let decided = status.wait_for(|status| !matches!(status, Status::Connecting)).await;
        match decided.as_deref() {
            Ok(Status::Up(session)) => Ok(Arc::clone(session)),
            Ok(Status::Away(why)) => Err(error::again(why)),
            Ok(Status::Connecting | Status::Closed) | Err(_) => Err(error::closed()),
        }
    }

    /// Ends the session and waits for the task that kept it.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

fn parse(server: &str) -> Result<ServerAddr, BoxError> {
    // The address may hold a password, which the parser's error could print.
    server.parse().map_err(|_| "an address in `servers` is none; write nats://host:port".into())
}

async fn keep(
    config: Arc<Config>,
    mut servers: Vec<ServerAddr>,
    said: watch::Sender<Status>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new();
    while let Some(attempt) = stop.run_until_cancelled(connect(&config, &mut servers)).await {
        let why = match attempt {
            Ok(session) => {
                let began = Instant::now();
                let session = Arc::new(session);
                said.send_replace(Status::Up(Arc::clone(&session)));
                let is_over = stop.run_until_cancelled(session.over()).await.is_some();
                if !is_over {
                    said.send_replace(Status::Closed);
                    session.release().await;
                    return;
                }
                info!("the connection to the NATS server ended; connecting again");
                if began.elapsed() >= SHORT_LIFE {
                    backoff = Backoff::new();
                    said.send_replace(Status::Connecting);
                    continue;
                }
                error::connection_lost()
            }
            Err(why) => why,
        };
        debug!(error = %why, source = ?why.source.as_deref(), "no connection to a NATS server");
        said.send_replace(Status::Away(Arc::new(why)));
        if stop.run_until_cancelled(sleep(backoff.next_wait())).await.is_none() {
            break;
        }
    }
    said.send_replace(Status::Closed);
}

/// Tries every server once; the first that lets us in is the one. It begins with the next server
/// at each round, so that many bridges do not meet at one.
async fn connect(config: &Config, servers: &mut Vec<ServerAddr>) -> Result<Session, Unavailable> {
    let mut last = Unavailable::outage("no NATS server is configured")
        .advise("name one in `servers` of this connector");
    for _ in 0..servers.len() {
        servers.rotate_left(1);
        let Some(server) = servers.last() else { break };
        match Session::connect(config, server).await {
            Ok(session) => {
                info!(server = %format_args!("{}:{}", server.host(), server.port()), "connected");
                learn(servers, &session);
                return Ok(session);
            }
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// Remembers the other servers of the cluster.
fn learn(servers: &mut Vec<ServerAddr>, session: &Session) {
    let others = session.others();
    for other in others.iter().filter_map(|other| other.parse::<ServerAddr>().ok()) {
        let is_known = servers.iter().any(|s| s.host() == other.host() && s.port() == other.port());
        if !is_known && servers.len() < SERVERS_MAX {
            servers.insert(0, other);
        }
    }
}
