//! Normal callbacks: one POST for each number of a range, over connections that stay open.
//!
//! Cheap on purpose (a rendered request in which only digits change, an answer of which only the
//! status and the length are read), because it shares its machine with what it measures.

mod connection;
mod report;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use report::Report;

use connection::Connection;
use report::Shard;

/// How long one callback may take before it counts as unanswered.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a broken connection is tried to be made again.
const RECONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The first FileId: 19 digits, above 2^53, as VOD's are.
const FILE_ID_BASE: u64 = 5_285_890_784_000_000_000;

/// Sends the callbacks of a range of numbers.
#[derive(Clone, Debug)]
pub struct Sender {
    to: SocketAddr,
    path: String,
    connections: usize,
    numbers: Range<u64>,
    stops_at_disconnect: bool,
    stop_after: Option<Duration>,
}

/// The FileId of a callback.
pub fn file_id(number: u64) -> String {
    (FILE_ID_BASE + number).to_string()
}

/// The body of a callback: a NewFileUpload of about 940 bytes.
pub fn body(number: u64) -> Vec<u8> {
    let file_id = file_id(number);
    format!(
        r#"{{
  "EventType": "NewFileUpload",
  "FileUploadEvent": {{
    "FileId": "{file_id}",
    "MediaBasicInfo": {{
      "Name": "Animal World",
      "Description": "",
      "CreateTime": "2019-01-09T16:36:22Z",
      "UpdateTime": "2019-01-09T16:36:24Z",
      "ExpireTime": "9999-12-31T23:59:59Z",
      "ClassId": 0,
      "ClassName": "Other",
      "ClassPath": "Other",
      "CoverUrl": "http://125676836723.vod2.myqcloud.com/xxx/xxx/q1BORBPQH1IA-cover-of-the-video.jpg",
      "Type": "mp4",
      "MediaUrl": "http://125676836723.vod2.myqcloud.com/xxx/xxx/q1BORBPQH1IA.mp4",
      "TagSet": [],
      "StorageRegion": "ap-chongqing",
      "SourceInfo": {{
        "SourceType": "Upload",
        "SourceContext": "a text of the uploader's, which comes back as it was"
      }},
      "Vid": "{file_id}"
    }},
    "ProcedureTaskId": "",
    "ReviewAudioVideoTaskId": ""
  }}
}}
"#
    )
    .into_bytes()
}

// === impl Sender ===

impl Sender {
    /// Posts to `/` of an address, over one connection, nothing yet.
    pub fn new(to: SocketAddr) -> Self {
        Self {
            to,
            path: "/".to_owned(),
            connections: 1,
            numbers: 0..0,
            stops_at_disconnect: false,
            stop_after: None,
        }
    }

    /// The path, with its query if there is one.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// How many connections, each with one callback under way.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Which callbacks.
    #[must_use]
    pub fn numbers(mut self, numbers: Range<u64>) -> Self {
        self.numbers = numbers;
        self
    }

    /// Ends the run at the first connection that breaks, instead of making it again.
    #[must_use]
    pub fn stop_at_disconnect(mut self) -> Self {
        self.stops_at_disconnect = true;
        self
    }

    /// Ends the run after a time.
    #[must_use]
    pub fn stop_after(mut self, time: Duration) -> Self {
        self.stop_after = Some(time);
        self
    }

    /// Sends, and waits for the last answer. Blocks the thread; must not be called inside a
    /// runtime.
    pub fn run(self) -> Report {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("the system gives a poll descriptor").block_on(self.send())
    }

    async fn send(self) -> Report {
        let began = Instant::now();
        let (first, end) = (self.numbers.start, self.numbers.end);
        let connections = self.connections;
        let shared = Arc::new(Shared {
            deadline: self.stop_after.map(|time| began + time),
            sender: self,
            next: AtomicU64::new(first),
            stopped: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            tasks.spawn(send_over_one(Arc::clone(&shared)));
        }
        let shards = tasks.join_all().await;
        let numbers = first..shared.next.load(Ordering::Relaxed).min(end);
        Report::new(numbers, began.elapsed(), shards)
    }
}

struct Shared {
    sender: Sender,
    deadline: Option<Instant>,
    next: AtomicU64,
    stopped: AtomicBool,
}

async fn send_over_one(shared: Arc<Shared>) -> Shard {
    let sender = &shared.sender;
    let mut shard = Shard::default();
    let mut request = connection::Request::new(&sender.path, &body(0), file_id(0).as_bytes());
    let mut connection = None;
    while !shared.is_over() {
        let mut current = match connection.take() {
            Some(current) => current,
            None => match Connection::open(sender.to, RECONNECT_WITHIN).await {
                Some(new) => new,
                None => break,
            },
        };
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= sender.numbers.end {
            break;
        }
        request.set_digits(file_id(number).as_bytes());
        let began = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, current.exchange(request.bytes())).await;
        match answer {
            Ok(Ok(answer)) => {
                shard.answered(number, answer.status, began.elapsed());
                if answer.stays_open {
                    connection = Some(current);
                }
            }
            Ok(Err(_)) | Err(_) => {
                if sender.stops_at_disconnect {
                    shared.stopped.store(true, Ordering::Relaxed);
                }
            }
        }
    }
    shard
}

impl Shared {
    fn is_over(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.deadline.is_some_and(|d| Instant::now() >= d)
    }
}
