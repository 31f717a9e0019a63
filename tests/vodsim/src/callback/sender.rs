//! Sending numbered callbacks, over kept-alive connections or fresh ones, as fast as they are
//! answered or at a rate.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::connection::{Answer, Connection};
use super::{Rendered, Report};

/// How long one callback waits for its whole answer unless said otherwise.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// How long a connection tries to come back before it gives up.
const RECONNECT_WAIT: Duration = Duration::from_secs(10);

/// Between two attempts to come back.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// The callback sender of VOD, on as many connections as are asked for. Each sends the next number
/// once its last one was answered.
#[derive(Clone, Debug)]
pub struct Sender {
    to: SocketAddr,
    path: String,
    connections: usize,
    is_fresh: bool,
    per_second: Option<NonZeroU32>,
    numbers: Range<u64>,
    stop_at_disconnect: bool,
    stop_after: Option<Duration>,
    answer_wait: Duration,
}

/// What the connections of one run share.
struct Run {
    sender: Sender,
    next: AtomicU64,
    stopped: AtomicBool,
    begun: Instant,
}

impl Sender {
    /// Callbacks for `to`: from number 0 on without end, over one connection, to `/vod/default`.
    pub fn new(to: SocketAddr) -> Self {
        Self {
            to,
            path: "/vod/default".to_owned(),
            connections: 1,
            is_fresh: false,
            per_second: None,
            numbers: 0..u64::MAX,
            stop_at_disconnect: false,
            stop_after: None,
            answer_wait: ANSWER_WAIT,
        }
    }

    /// The path, with a query if there is one.
    #[must_use]
    pub fn path(self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self }
    }

    /// How many connections there are at a time.
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        Self { connections, ..self }
    }

    /// Opens a connection for each callback, which says that it is the only one. One that cannot be
    /// opened leaves its callback unanswered.
    #[must_use]
    pub fn fresh(self) -> Self {
        Self { is_fresh: true, ..self }
    }

    /// How many callbacks begin in a second at most, all connections together, evenly spaced. What
    /// a slow answer delays is made up for.
    #[must_use]
    pub fn per_second(self, per_second: NonZeroU32) -> Self {
        Self { per_second: Some(per_second), ..self }
    }

    /// The numbers to send, each once.
    #[must_use]
    pub fn numbers(self, numbers: Range<u64>) -> Self {
        Self { numbers, ..self }
    }

    /// Lets the first connection that breaks, or cannot be made, end the whole run: no connection
    /// begins another callback. Otherwise a broken connection is made anew; one that cannot be for
    /// 10 s gives up.
    #[must_use]
    pub fn stop_at_disconnect(self) -> Self {
        Self { stop_at_disconnect: true, ..self }
    }

    /// Begins no callback after this time. Those under way are awaited.
    #[must_use]
    pub fn stop_after(self, stop_after: Duration) -> Self {
        Self { stop_after: Some(stop_after), ..self }
    }

    /// How long one callback waits for its whole answer (30 s by default). Then it is unanswered
    /// and its connection is broken.
    #[must_use]
    pub fn answer_wait(self, answer_wait: Duration) -> Self {
        Self { answer_wait, ..self }
    }

    /// Sends until the numbers or the time end, on the calling thread.
    ///
    /// # Panics
    ///
    /// On a thread that is inside an asynchronous runtime already: there, give it one of its own
    /// (`spawn_blocking`).
    pub fn run(self) -> Report {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the system gives a process its first event queue");
        runtime.block_on(self.send())
    }

    async fn send(self) -> Report {
        let begun = Instant::now();
        let connections = self.connections;
        let run = Arc::new(Run {
            next: AtomicU64::new(self.numbers.start),
            stopped: AtomicBool::new(false),
            begun,
            sender: self,
        });
        let mut senders = JoinSet::new();
        for _ in 0..connections {
            senders.spawn(keep_sending(Arc::clone(&run)));
        }
        let mut report = Report::new();
        while let Some(ended) = senders.join_next().await {
            report.add(ended.expect("a connection only counts, and is never aborted"));
        }
        report.end(begun.elapsed())
    }

    fn request(&self) -> Rendered {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n{}\
             Content-Length: {}\r\n\r\n",
            self.path,
            self.to,
            if self.is_fresh { "Connection: close\r\n" } else { "" },
            super::SAMPLE.len(),
        );
        Rendered::new(head.into_bytes())
    }
}

/// One connection and whatever takes its place.
async fn keep_sending(run: Arc<Run>) -> Report {
    let mut report = Report::new();
    let mut request = run.sender.request();
    let mut connection = None;
    while run.goes_on() {
        if connection.is_none() && !run.sender.is_fresh {
            connection = run.connect().await;
            if connection.is_none() {
                break;
            }
        }
        let Some(n) = run.take() else { break };
        run.turn(n).await;
        request.set(n);
        let begun = Instant::now();
        let exchange = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(run.sender.to).await?,
            };
            let answer = open.exchange(&request.bytes).await?;
            io::Result::Ok((answer, open))
        };
        let answer = timeout(run.sender.answer_wait, exchange).await;
        match answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok((Answer { status, keep_alive }, open)) => {
                report.answer(n, status, begun.elapsed());
                connection = (keep_alive && !run.sender.is_fresh).then_some(open);
            }
            Err(_) => {
                report.no_answer();
                run.broke();
            }
        }
    }
    report
}

// === impl Run ===

impl Run {
    /// The next number, unless the run is over.
    fn take(&self) -> Option<u64> {
        if !self.goes_on() {
            return None;
        }
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        (n < self.sender.numbers.end).then_some(n)
    }

    /// Waits until a number's time has come.
    async fn turn(&self, n: u64) {
        if let Some(per_second) = self.sender.per_second {
            let place = (n - self.sender.numbers.start) as f64;
            let after = Duration::from_secs_f64(place / f64::from(per_second.get()));
            sleep_until(self.begun + after).await;
        }
    }

    fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
            && self.next.load(Ordering::Relaxed) < self.sender.numbers.end
            && self.sender.stop_after.is_none_or(|limit| self.begun.elapsed() < limit)
    }

    fn broke(&self) {
        if self.sender.stop_at_disconnect {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    async fn connect(&self) -> Option<Connection> {
        let attempts = async {
            while self.goes_on() {
                match Connection::open(self.sender.to).await {
                    Ok(connection) => return Some(connection),
                    Err(_) => self.broke(),
                }
                if self.goes_on() {
                    sleep(RECONNECT_PAUSE).await;
                }
            }
            None
        };
        timeout(RECONNECT_WAIT, attempts).await.unwrap_or(None)
    }
}
