use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::within;

/// An HTTP server that answers as it is told and remembers what it was asked. Ends when dropped.
pub(super) struct Server {
    pub(super) endpoint: String,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

struct Shared {
    answer: Box<dyn Fn(&Request) -> Answer + Send + Sync>,
    asked: Mutex<Vec<Request>>,
    arrived: watch::Sender<usize>,
    /// An answer takes a permit.
    gate: Semaphore,
}

#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: Vec<u8>,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}

pub(super) struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Server {
    /// Answers at once.
    pub(super) async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_gate(answer, Semaphore::MAX_PERMITS).await
    }

    /// Answers only what is [let through](Self::let_through).
    pub(super) async fn held(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::with_gate(answer, 0).await
    }

    async fn with_gate(
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
        permits: usize,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            asked: Mutex::default(),
            arrived: watch::Sender::new(0),
            gate: Semaphore::new(permits),
        });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&shared)));
        Self { endpoint, shared, _serving: serving }
    }

    pub(super) fn let_through(&self, requests: usize) {
        self.shared.gate.add_permits(requests);
    }

    /// Waits until so many requests have come in all.
    pub(super) async fn arrived(&self, requests: usize) {
        let mut arrived = self.shared.arrived.subscribe();
        within(arrived.wait_for(|count| *count >= requests)).await.unwrap();
    }

    /// What has come so far.
    pub(super) fn asked(&self) -> Vec<Request> {
        self.shared.asked.lock().unwrap().clone()
    }
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Answer {
    pub(super) fn ok(body: &str) -> Self {
        Self::new(200, body)
    }

    pub(super) fn new(status: u16, body: &str) -> Self {
        Self { status, headers: String::new(), body: body.to_owned() }
    }

    pub(super) fn with(mut self, header: &str) -> Self {
        self.headers.extend([header, "\r\n"]);
        self
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        connections.spawn(async move { serve(stream, &shared).await });
    }
}

/// One request for each connection.
async fn serve(mut stream: TcpStream, shared: &Shared) {
    let Some(request) = read(&mut stream).await else { return };
    shared.asked.lock().unwrap().push(request.clone());
    shared.arrived.send_modify(|count| *count += 1);
    shared.gate.acquire().await.unwrap().forget();
    let Answer { status, headers, body } = (shared.answer)(&request);
    let len = body.len();
    let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {len}\r\nConnection: close\r\n");
    // A caller that is gone wants no answer.
    stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).await.ok();
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let headers = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let (method, path) = (first.next().unwrap(), first.next().unwrap());
    let mut request = Request { method, path, body: bytes.split_off(head + 4), headers };
    let len = request.header("content-length").map_or(0, |len| len.parse().unwrap());
    while request.body.len() < len {
        if stream.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(request)
}
