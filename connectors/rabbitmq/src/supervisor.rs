use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vodbridge_core::{Backoff, Provision, Unavailable};

use crate::Config;
use crate::connect::connect;
use crate::endpoint::Endpoint;
use crate::error::Reason;
use crate::management::Api;
use crate::publisher::Publisher;
use crate::queue::Queue;
use crate::session::{STEP_WITHIN, Session};
use crate::state::State;

/// A connection that lived that long was a good one: the next attempt follows at once.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// How long publishers may take to notice that their connection is gone.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Keeps a connection, and the channels on it. One task.
pub(crate) struct Supervisor {
    pub(crate) config: Arc<Config>,
    /// At least one.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) queue: Queue,
    pub(crate) management: Option<Arc<Api>>,
    pub(crate) state: watch::Sender<State>,
    /// Ends the making of connections; the one there is ends when the queue does.
    pub(crate) stop: CancellationToken,
    /// Ends everything at once.
    pub(crate) abandon: CancellationToken,
}

// === impl Supervisor ===

impl Supervisor {
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new();
        let mut blocked = None;
        let mut first = 0;
        loop {
            let attempt = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                attempt = self.connect(&mut first, blocked.take()) => attempt,
            };
            match attempt {
                Ok(session) => {
                    let began = Instant::now();
                    let ended = self.serve(&session).await;
                    blocked = session.blocked();
                    if ended == Ended::Queue {
                        session.close().await;
                        break;
                    }
                    session.give_up();
                    warn!("the connection to RabbitMQ is lost");
                    self.state.send_replace(State::Connecting);
                    if began.elapsed() >= GOOD_AFTER {
                        backoff = Backoff::new();
                    }
                }
                Err(reason) => {
                    if !matches!(&*self.state.borrow(), State::Down(_)) {
                        warn!(error = %reason, advice = reason.tell().advice.as_deref(), "no connection to RabbitMQ");
                    }
                    self.state.send_replace(State::Down(reason.clone()));
                    self.queue.refuse_all(|| reason.tell()).await;
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = sleep(backoff.next_wait()) => {}
            }
        }
        self.state.send_replace(State::Closed);
        self.queue.refuse_all(closed).await;
    }

    /// Tries every address once, beginning with the one that was good last.
    async fn connect(
        &self,
        first: &mut usize,
        blocked: Option<String>,
    ) -> Result<Arc<Session>, Reason> {
        let mut failed = None;
        let count = self.endpoints.len();
        for offset in 0..count {
            let index = (*first + offset) % count;
            let endpoint = &self.endpoints[index];
            match connect(endpoint, &self.config, STEP_WITHIN).await {
                Ok((connection, socket)) => {
                    *first = index;
                    info!(address = %endpoint, "connected to RabbitMQ");
                    return Ok(Arc::new(Session::new(
                        connection,
                        socket,
                        self.management.clone(),
                        blocked,
                    )));
                }
                // The first that was tried is the one that was meant.
                Err(reason) => drop(failed.get_or_insert(reason)),
            }
        }
        Err(failed.unwrap_or_else(|| Unavailable::outage("no address of RabbitMQ is set").into()))
    }

    /// Runs the channels until the connection is lost or there is nothing more to publish.
    async fn serve(&self, session: &Arc<Session>) -> Ended {
        let mut tasks = JoinSet::new();
        let watched = Arc::clone(session);
        tasks.spawn(async move {
            watched.watch().await;
            Ended::Connection
        });
        // What an operator has to make is looked for before the first publish asks for it.
        if self.config.topology == Provision::Verify
            && let Err(reason) = session.topology(&self.config).await
        {
            warn!(error = %reason, advice = reason.tell().advice.as_deref(), "topology");
        }
        self.state.send_replace(State::Up(Arc::clone(session)));
        for _ in 0..self.config.channels.max(1) {
            let publisher = Publisher {
                session: Arc::clone(session),
                config: Arc::clone(&self.config),
                queue: self.queue.clone(),
            };
            let session = Arc::clone(session);
            tasks.spawn(async move {
                publisher.run().await;
                if session.is_up() { Ended::Queue } else { Ended::Connection }
            });
        }
        let mut ended = Ended::Queue;
        let all = async {
            while let Some(task) = tasks.join_next().await {
                match task {
                    Ok(Ended::Queue) if tasks.len() > 1 => {}
                    // All publishers have come to the end; the watch goes on alone.
                    Ok(Ended::Queue) => return Ended::Queue,
                    Ok(Ended::Connection) => return Ended::Connection,
                    Err(panic) => {
                        warn!(error = %panic, "a task of the connection ended badly");
                        return Ended::Connection;
                    }
                }
            }
            Ended::Connection
        };
        tokio::select! {
            biased;
            () = self.abandon.cancelled() => {}
            how = all => ended = how,
        }
        if ended == Ended::Connection {
            // What is pending fails with the connection, and is answered for.
            session.give_up();
            let rest = async { while tasks.join_next().await.is_some() {} };
            timeout(END_WITHIN, rest).await.ok();
        }
        // Whoever is left hangs: what it owes reads as unavailable when it is dropped.
        tasks.shutdown().await;
        ended
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// There is nothing more to publish.
    Queue,
    Connection,
}

/// What a closed connector says.
pub(crate) fn closed() -> Unavailable {
    Unavailable::outage("the connector to RabbitMQ is closed")
}
