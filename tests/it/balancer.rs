//! One address for several bridges, as a Service of Kubernetes is: each new connection goes to one
//! that was ready when it was last asked, in turn; connections stay where they are. Nothing is tried
//! twice, so what a bridge turns away is lost.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

use crate::program::PATIENCE;

/// How often each bridge is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// How long it has to say so; who is only slow stays what he was.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// A running balancer of two bridges.
pub(crate) struct Balancer {
    address: SocketAddr,
    bridges: Arc<Mutex<[Option<Bridge>; 2]>>,
    /// Dropping it ends them.
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy)]
struct Bridge {
    callbacks: SocketAddr,
    admin: SocketAddr,
    is_ready: bool,
}

// === impl Balancer ===

impl Balancer {
    /// Listens on a free port; without bridges connections are closed.
    pub(crate) fn start(runtime: &Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let bridges: Arc<Mutex<[Option<Bridge>; 2]>> = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn_on(accept(listener, Arc::clone(&bridges)), runtime.handle());
        for place in 0..2 {
            tasks.spawn_on(ask(place, Arc::clone(&bridges)), runtime.handle());
        }
        Self { address, bridges, _tasks: tasks }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A bridge takes a place; it gets nothing before it has said that it is ready.
    pub(crate) fn lead_to(&self, place: usize, callbacks: SocketAddr, admin: SocketAddr) {
        let bridge = Bridge { callbacks, admin, is_ready: false };
        self.bridges.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(bridge);
    }

    pub(crate) fn await_ready(&self, place: usize) {
        let give_up = Instant::now() + PATIENCE;
        let bridge = || self.bridges.lock().unwrap_or_else(PoisonError::into_inner)[place];
        while !bridge().is_some_and(|bridge| bridge.is_ready) {
            assert!(Instant::now() < give_up, "a bridge that has just been started");
            thread::yield_now();
        }
    }
}

async fn accept(listener: TcpListener, bridges: Arc<Mutex<[Option<Bridge>; 2]>>) {
    let mut connections = JoinSet::new();
    for turn in 0.. {
        let Ok((mut caller, _)) = listener.accept().await else { return };
        let ready: Vec<_> = {
            let bridges = bridges.lock().unwrap_or_else(PoisonError::into_inner);
            bridges.iter().flatten().filter(|b| b.is_ready).map(|b| b.callbacks).collect()
        };
        if ready.is_empty() {
            continue;
        }
        let to = ready[turn % ready.len()];
        connections.spawn(async move {
            // What ends without an answer is seen by the caller, who counts.
            let Ok(mut bridge) = TcpStream::connect(to).await else { return };
            copy_bidirectional(&mut caller, &mut bridge).await.ok();
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn ask(place: usize, bridges: Arc<Mutex<[Option<Bridge>; 2]>>) {
    let mut ticks = interval(ASK_EVERY);
    loop {
        ticks.tick().await;
        let asked = bridges.lock().unwrap_or_else(PoisonError::into_inner)[place];
        let Some(Bridge { admin, .. }) = asked else { continue };
        let Ok(is_ready) = timeout(ANSWERED_WITHIN, is_ready(admin)).await else { continue };
        let mut bridges = bridges.lock().unwrap_or_else(PoisonError::into_inner);
        // Another may have taken the place.
        if let Some(there) = bridges[place].as_mut().filter(|there| there.admin == admin) {
            there.is_ready = is_ready;
        }
    }
}

async fn is_ready(admin: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 "))
}
