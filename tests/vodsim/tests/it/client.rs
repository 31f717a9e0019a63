//! A client of the API that can do everything wrong: a request is what the test makes of it, and
//! the answer is shown as it came.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use vodbridge_vod::api::{Action, VERSION};
use vodbridge_vod::tc3::{Credential, Request};
use vodsim::{Options, Vod};

/// A request before it is signed and sent.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) action: String,
    pub(crate) version: String,
    pub(crate) service: String,
    pub(crate) body: String,
    pub(crate) credential: Credential,
    pub(crate) timestamp: u64,
    /// A header that is not sent.
    pub(crate) without: Option<&'static str>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) date: Option<String>,
    pub(crate) body: String,
}

/// One connection to the API.
pub(crate) struct Client {
    host: String,
    stream: BufReader<TcpStream>,
}

// === impl Call ===

impl Call {
    /// A good one, for the credential of [`Options::default`].
    pub(crate) fn new(action: Action, body: &str) -> Self {
        Self {
            action: action.name().to_owned(),
            version: VERSION.to_owned(),
            service: "vod".to_owned(),
            body: body.to_owned(),
            credential: Options::default().credentials.remove(0),
            timestamp: now(),
            without: None,
        }
    }
}

// === impl Answer ===

impl Answer {
    /// The member `Response`.
    pub(crate) fn response(&self) -> Value {
        let envelope: Value = serde_json::from_str(&self.body).expect(&self.body);
        envelope["Response"].clone()
    }

    /// The code of its error; empty where there is none.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        let response = self.response();
        assert!(response["RequestId"].is_string(), "{response}");
        response["Error"]["Code"].as_str().unwrap_or_default().to_owned()
    }

    /// The handles of the events in it.
    pub(crate) fn handles(&self) -> Vec<String> {
        let response = self.response();
        let events = response["EventSet"].as_array().expect(&self.body).iter();
        events.map(|event| event["EventHandle"].as_str().unwrap().to_owned()).collect()
    }
}

// === impl Client ===

impl Client {
    pub(crate) async fn open(vod: &Vod) -> Self {
        Self::connect(vod.url().trim_start_matches("http://")).await
    }

    pub(crate) async fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        Self { host: address.to_owned(), stream: BufReader::new(stream) }
    }

    /// Makes a good call.
    pub(crate) async fn call(&mut self, action: Action, body: &str) -> Answer {
        self.send(&Call::new(action, body)).await.expect("an answer")
    }

    /// Makes any call. An error where the connection ends before the answer does.
    pub(crate) async fn send(&mut self, call: &Call) -> io::Result<Answer> {
        self.write(call).await?;
        self.read().await
    }

    pub(crate) async fn write(&mut self, call: &Call) -> io::Result<()> {
        let content_type = "application/json";
        let request = Request {
            service: &call.service,
            host: &self.host,
            content_type,
            timestamp: call.timestamp,
            body: call.body.as_bytes(),
        };
        let mut headers = vec![
            ("Host", self.host.clone()),
            ("Content-Type", content_type.to_owned()),
            ("Content-Length", call.body.len().to_string()),
            ("Authorization", request.authorization(&call.credential)),
            ("X-TC-Action", call.action.clone()),
            ("X-TC-Version", call.version.clone()),
            ("X-TC-Timestamp", call.timestamp.to_string()),
        ];
        headers.extend(call.credential.token.clone().map(|token| ("X-TC-Token", token)));
        headers.retain(|(name, _)| Some(*name) != call.without);
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text = format!("POST / HTTP/1.1\r\n{lines}\r\n{}", call.body);
        self.stream.get_mut().write_all(text.as_bytes()).await
    }

    pub(crate) async fn read(&mut self) -> io::Result<Answer> {
        let mut answer = Answer { status: 0, date: None, body: String::new() };
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                answer.status = rest[..3].parse().expect("a status");
            } else if line == "\r\n" {
                break;
            } else if let Some((name, value)) = line.split_once(':') {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().expect("a length"),
                    "date" => answer.date = Some(value.trim().to_owned()),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        answer.body = String::from_utf8(body).expect("UTF-8");
        Ok(answer)
    }
}

/// The time in Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}
