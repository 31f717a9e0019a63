use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Stands between a client and its broker, and holds back what the broker answers, cuts all
/// connections, loses their other ends, or lets bytes pass late, slowly or not at all, when it is
/// told to.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    /// Dropping it ends them.
    _tasks: JoinSet<()>,
}

/// How bytes pass, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// As they come.
    #[default]
    Clear,
    /// Each piece of up to 64 KiB so much later.
    Delay(Duration),
    /// So many bytes a second on each connection and in each direction.
    Throttle {
        /// The bytes; not 0.
        bytes_per_second: u64,
    },
    /// Not at all, new connections neither: all of it waits, as what TCP sends again, and goes on
    /// when the weather changes.
    BlackHole,
}

#[derive(Clone, Debug, Default)]
struct State {
    upstream: Option<String>,
    holds_replies: bool,
    weather: Weather,
    /// Connections of an earlier era are cut.
    era: u64,
    /// Connections from before the last time are without a broker.
    abandoned: u64,
}

// === impl Proxy ===

impl Proxy {
    /// Listens on a free port; connections wait until it is told where the broker is. Called
    /// within a runtime.
    ///
    /// # Panics
    ///
    /// If no port can be had.
    pub async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(watch::Sender::new(State::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, _tasks: tasks }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where the broker is: `host:port`.
    pub fn lead_to(&self, upstream: &str) {
        self.state.send_modify(|state| state.upstream = Some(upstream.to_owned()));
    }

    /// From now on what the broker sends waits here, or is passed on again.
    pub fn hold_replies(&self, hold: bool) {
        self.state.send_modify(|state| state.holds_replies = hold);
    }

    /// Cuts every connection there is.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.era += 1);
    }

    /// Closes the broker's side of every connection there is, while the client's stays open and
    /// takes bytes that go nowhere, as after a crash that the network told nobody of.
    pub fn abandon(&self) {
        self.state.send_modify(|state| state.abandoned += 1);
    }

    /// How bytes pass from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.state.send_modify(|state| state.weather = weather);
    }
}

async fn accept(listener: TcpListener, state: Arc<watch::Sender<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connect(client, state.subscribe()));
    }
}

async fn connect(client: TcpStream, mut state: watch::Receiver<State>) {
    let is_open = |state: &State| state.upstream.is_some() && state.weather != Weather::BlackHole;
    let (upstream, era, abandoned) = match state.wait_for(is_open).await {
        Ok(state) => (state.upstream.clone().unwrap_or_default(), state.era, state.abandoned),
        Err(_) => return,
    };
    let Ok(broker) = TcpStream::connect(upstream).await else { return };
    for stream in [&client, &broker] {
        stream.set_nodelay(true).ok();
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_broker, mut to_broker) = broker.into_split();
    let (requests, replies) = (state.clone(), state.clone());
    let mut cut = state.clone();
    let passing = async {
        tokio::select! {
            () = pass(&mut from_client, &mut to_broker, requests, |_| true) => {}
            () = pass(&mut from_broker, &mut to_client, replies, |s| !s.holds_replies) => {}
            () = lost(&mut state, abandoned) => {
                drop((from_broker, to_broker));
                // Until the client gives up.
                copy(&mut from_client, &mut sink()).await.ok();
            }
        }
    };
    tokio::select! {
        () = passing => {}
        _ = cut.wait_for(|state| state.era != era) => {}
    }
}

/// Resolves when the broker's side of a connection is to vanish, or the proxy is gone.
async fn lost(state: &mut watch::Receiver<State>, abandoned: u64) {
    state.wait_for(|state| state.abandoned != abandoned).await.ok();
}

/// Passes bytes on, through a gate and the weather, until either end closes.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut state: watch::Receiver<State>,
    gate: impl Fn(&State) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let room = match state.borrow().weather {
            // A tenth of a second's worth at a time.
            Weather::Throttle { bytes_per_second } => {
                usize::try_from(bytes_per_second / 10).unwrap_or(usize::MAX).max(1)
            }
            Weather::Clear | Weather::Delay(_) | Weather::BlackHole => buffer.len(),
        };
        let room = room.min(buffer.len());
        let read = match from.read(&mut buffer[..room]).await {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        let may_pass = |state: &State| gate(state) && state.weather != Weather::BlackHole;
        let weather = match state.wait_for(may_pass).await {
            Ok(state) => state.weather,
            Err(_) => return,
        };
        match weather {
            Weather::Delay(delay) => sleep(delay).await,
            Weather::Throttle { bytes_per_second } => {
                sleep(Duration::from_secs_f64(read as f64 / bytes_per_second.max(1) as f64)).await;
            }
            Weather::Clear | Weather::BlackHole => {}
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    /// Long enough to be sure that nothing comes; what should come comes within a hundred times.
    const WHILE: Duration = Duration::from_millis(100);

    /// A broker that answers what it is told, a proxy before it, and a client.
    async fn echo() -> (JoinSet<()>, Proxy, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::listen().await;
        proxy.lead_to(&listener.local_addr().unwrap().to_string());
        let mut broker = JoinSet::new();
        broker.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    copy(&mut from, &mut to).await.ok();
                });
            }
        });
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut client, b"ready", 100 * WHILE).await, Some(b"ready".to_vec()));
        (broker, proxy, client)
    }

    /// Sends something and reads as much back; nothing if it does not come in time.
    async fn ask(client: &mut TcpStream, bytes: &[u8], within: Duration) -> Option<Vec<u8>> {
        client.write_all(bytes).await.unwrap();
        answer(client, bytes.len(), within).await
    }

    async fn answer(client: &mut TcpStream, length: usize, within: Duration) -> Option<Vec<u8>> {
        let mut answer = vec![0; length];
        let read = timeout(within, client.read_exact(&mut answer)).await;
        matches!(read, Ok(Ok(_))).then_some(answer)
    }

    #[tokio::test]
    async fn a_black_hole_keeps_bytes_and_connections_until_it_is_over() {
        let (_broker, proxy, mut client) = echo().await;
        proxy.set_weather(Weather::BlackHole);
        assert_eq!(ask(&mut client, b"old", WHILE).await, None);
        let mut other = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut other, b"new", WHILE).await, None);
        proxy.set_weather(Weather::Clear);
        assert_eq!(answer(&mut client, 3, 100 * WHILE).await, Some(b"old".to_vec()));
        assert_eq!(answer(&mut other, 3, 100 * WHILE).await, Some(b"new".to_vec()));
    }

    #[tokio::test]
    async fn delay_and_throttle_take_their_time_and_lose_nothing() {
        let (_broker, proxy, mut client) = echo().await;
        for weather in [Weather::Delay(WHILE), Weather::Throttle { bytes_per_second: 20_000 }] {
            proxy.set_weather(weather);
            let (began, bytes) = (Instant::now(), vec![7; 2000]);
            assert_eq!(ask(&mut client, &bytes, 100 * WHILE).await, Some(bytes), "{weather:?}");
            assert!(began.elapsed() >= WHILE, "{weather:?}: {:?}", began.elapsed());
        }
    }

    #[tokio::test]
    async fn an_abandoned_client_is_not_told_and_a_new_one_is_served() {
        let (_broker, proxy, mut client) = echo().await;
        proxy.abandon();
        assert_eq!(ask(&mut client, b"lost", WHILE).await, None);
        client.write_all(b"still open").await.unwrap();
        let mut other = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut other, b"new", 100 * WHILE).await, Some(b"new".to_vec()));
        proxy.cut();
        let end = timeout(100 * WHILE, client.read(&mut [0])).await.unwrap();
        assert!(matches!(end, Ok(0) | Err(_)), "a cut is noticed: {end:?}");
    }
}
