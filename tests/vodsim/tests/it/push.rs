//! Normal callbacks: what is sent, how often, and what becomes of them when the mode changes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use vodbridge_vod::api::{Action, EventConfig};
use vodbridge_vod::sign;
use vodsim::callback::{body, file_id};
use vodsim::{Options, Vod};

use crate::client::Client;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILED: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

/// Who is notified.
struct Receiver {
    listener: TcpListener,
    url: String,
}

/// A callback that waits for its answer.
struct Callback {
    line: String,
    body: Vec<u8>,
    stream: BufReader<TcpStream>,
}

// === impl Receiver ===

impl Receiver {
    async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/vod/movies?token=t", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// A VOD that notifies it.
    async fn vod(&self, sign_key: Option<&str>) -> Vod {
        let config = EventConfig {
            mode: Some("PUSH".into()),
            notification_url: Some(self.url.clone()),
            ..Options::default().config
        };
        let sign_key = sign_key.map(str::to_owned);
        Vod::start(Options { config, sign_key, ..Options::default() }).await.unwrap()
    }

    /// The next callback; `None` when none comes for a minute.
    async fn next(&self) -> Option<Callback> {
        let accepted = timeout(Duration::from_secs(60), self.listener.accept()).await.ok()?;
        let mut stream = BufReader::new(accepted.unwrap().0);
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line).await.unwrap();
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.unwrap();
            if header == "\r\n" {
                break;
            }
            if let Some(value) = header.strip_prefix("Content-Length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        Some(Callback { line: line.trim_end().to_owned(), body, stream })
    }
}

// === impl Callback ===

impl Callback {
    async fn answer(mut self, bytes: &str) {
        self.stream.get_mut().write_all(bytes.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_callback_is_the_events_own_bytes_and_200_confirms_it() {
    let receiver = Receiver::bind().await;
    let vod = receiver.vod(None).await;
    vod.issue_numbered(None, 3..4);
    let callback = receiver.next().await.unwrap();
    assert_eq!(callback.line, "POST /vod/movies?token=t HTTP/1.1");
    assert!(callback.body == body(3), "{:?}", String::from_utf8_lossy(&callback.body));
    assert_eq!(vod.summary().confirmed, 0);
    callback.answer(OK).await;
    vod.until(|summary| summary.confirmed == 1, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn a_signed_callback_expires_in_10_minutes_by_vods_clock() {
    let receiver = Receiver::bind().await;
    let vod = receiver.vod(Some("Abc123")).await;
    vod.set_clock_ahead(1000);
    vod.issue_numbered(None, 0..1);
    let callback = receiver.next().await.unwrap();
    let mut told: Value = serde_json::from_slice(&callback.body).unwrap();
    let members = told.as_object_mut().unwrap();
    let (signature, t) = (members.remove("Sign").unwrap(), members.remove("T").unwrap());
    let t = t.as_i64().unwrap();
    assert_eq!(signature, sign::compute("Abc123", t));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((t - 1600).abs_diff(now.try_into().unwrap()) < 60, "{t} {now}");
    assert_eq!(told, serde_json::from_slice::<Value>(&body(0)).unwrap());
    callback.answer(OK).await;
}

#[tokio::test(start_paused = true)]
async fn a_callback_without_an_answer_comes_twice_more_after_5_s_each() {
    let receiver = Receiver::bind().await;
    let vod = receiver.vod(None).await;
    vod.issue_numbered(None, 0..1);
    let (mut silent, since) = (Vec::new(), Instant::now());
    for attempt in 0..3 {
        silent.push(receiver.next().await.expect("another attempt"));
        assert_eq!(since.elapsed().as_secs(), 5 * attempt);
    }
    assert!(receiver.next().await.is_none(), "a fourth attempt");
    assert!(silent.iter().all(|callback| callback.body == body(0)));
    let summary = vod.summary();
    assert_eq!((summary.redelivered, summary.unconfirmed), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_is_answered_with_500_is_lost() {
    let receiver = Receiver::bind().await;
    let vod = receiver.vod(None).await;
    vod.issue_numbered(None, 0..1);
    receiver.next().await.unwrap().answer(FAILED).await;
    assert!(receiver.next().await.is_none(), "a second attempt");
    assert_eq!(vod.ledger().unconfirmed(), [0]);
}

#[tokio::test]
async fn what_waits_without_an_address_is_pulled_when_the_mode_changes_and_sent_when_it_changes_back()
 {
    let receiver = Receiver::bind().await;
    let vod = receiver.vod(None).await;
    let mut client = Client::open(&vod).await;
    let nowhere = json!({ "NotificationUrl": "" }).to_string();
    assert_eq!(client.call(Action::ModifyEventConfig, &nowhere).await.code(), "");
    vod.issue_numbered(None, 0..2);
    let state = client.call(Action::DescribeEventsState, "{}").await;
    assert_eq!(state.response()["CountOfEventsToPull"], 2);

    // One that polls already is answered by the change.
    let mut poller = Client::open(&vod).await;
    let poll = crate::client::Call::new(Action::PullEvents, "{}");
    poller.write(&poll).await.unwrap();
    let pull = json!({ "Mode": "PULL" }).to_string();
    assert_eq!(client.call(Action::ModifyEventConfig, &pull).await.code(), "");
    let answer = timeout(Duration::from_secs(60), poller.read()).await.unwrap().unwrap();
    assert_eq!(answer.handles().len(), 2);

    vod.issue_numbered(None, 7..8);
    let push = json!({ "Mode": "PUSH", "NotificationUrl": receiver.url }).to_string();
    assert_eq!(client.call(Action::ModifyEventConfig, &push).await.code(), "");
    let callback = receiver.next().await.unwrap();
    assert!(String::from_utf8_lossy(&callback.body).contains(&file_id(7)));
    callback.answer(OK).await;
    vod.until(|summary| summary.confirmed == 1, Duration::from_secs(60)).await.unwrap();
}
