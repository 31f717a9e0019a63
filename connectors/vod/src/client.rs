//! The client of VOD's API: signs, calls, reads, and says what an error means.
//!
//! ```text
//! Client --limiter--> sign --POST--> reply --split--> Reply | CallError (with its Reaction)
//! ```
//!
//! One [`Account`] for each credential, shared by every client that uses it: the calls that VOD
//! counts are the account's. A call is tried once; whoever calls knows how long it is worth
//! trying, and every attempt is signed anew.

mod account;
mod error;
mod limiter;
mod reading;
mod skew;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Certificate, Proxy, StatusCode, Url, redirect};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use crate::api::{Action, VERSION};
use crate::reaction::{Reaction, rule};
use crate::reply::Reply;
use crate::tc3;

pub use account::Account;
pub use error::{CallError, Setup};
pub use limiter::Limiter;
pub use reading::Room;
pub use skew::Skew;

/// How long VOD may take to begin its answer: it holds a poll for up to 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a reply may take from its head to its last byte, waits for room included.
const READ_WITHIN: Duration = Duration::from_secs(20);

/// The largest reply: 16 events of 10 MB, as VOD's own limits allow them, and room for more.
const REPLY_BYTES_MAX: usize = 256 << 20;

const JSON: &str = "application/json";

/// The wall clock.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Where the API is, and how it is reached.
#[derive(Clone)]
pub struct Settings {
    /// `https://vod.tencentcloudapi.com`.
    pub endpoint: String,
    /// The header `X-TC-Region`; VOD does without.
    pub region: Option<String>,
    /// A proxy; without it, the one that the system's variables name.
    pub proxy: Option<String>,
    /// A PEM file with certificate authorities instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Calls one endpoint for one account. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    endpoint: Url,
    /// The header `Host`, as it is sent and signed.
    host: String,
    region: Option<HeaderValue>,
    account: Arc<Account>,
    skew: Skew,
    clock: Clock,
}

/// An answer, when it began to come in, and the room that its bytes hold.
#[derive(Debug)]
pub struct Answered {
    /// What VOD answered.
    pub reply: Reply,
    /// When its head came in: a handle in it lives from no later than then.
    pub at: Instant,
    /// Its share of the room for bytes, if there was any asked of.
    pub room: Option<OwnedSemaphorePermit>,
}

// === impl Client ===

impl Client {
    /// A client that has called nobody yet. Called with a rustls crypto provider installed.
    ///
    /// # Errors
    ///
    /// An address that is none, or a certificate file that cannot be used.
    pub fn new(settings: &Settings, account: Arc<Account>, clock: Clock) -> Result<Self, Setup> {
        let endpoint =
            Url::parse(&settings.endpoint).map_err(|why| Setup::Endpoint(why.to_string()))?;
        let host = match (endpoint.scheme(), endpoint.host_str()) {
            ("http" | "https", Some(host)) => host,
            _ => return Err(Setup::Endpoint("no http:// or https:// address".to_owned())),
        };
        if endpoint.path() != "/" || endpoint.query().is_some() || !endpoint.username().is_empty() {
            return Err(Setup::Endpoint("more than a scheme, a host and a port".to_owned()));
        }
        // As hyper sends it: the port only where it is not the scheme's own (RFC 9110, 7.2).
        let host = match endpoint.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let mut http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            // A connection that a middlebox has forgotten must not take the next poll along.
            .tcp_keepalive(Duration::from_secs(15))
            .pool_idle_timeout(Duration::from_secs(30))
            .http1_only();
        if let Some(proxy) = &settings.proxy {
            http = http.proxy(Proxy::all(proxy).map_err(|_| Setup::Proxy)?);
        }
        if let Some(file) = &settings.ca_file {
            let pem = std::fs::read(file).map_err(|why| Setup::Certificates(file.clone(), why))?;
            let invalid = |_| Setup::NoCertificates(file.clone());
            let certificates = Certificate::from_pem_bundle(&pem).map_err(invalid)?;
            http = http.tls_certs_only(certificates);
        }
        let region = settings.region.as_deref().map(HeaderValue::from_str).transpose();
        Ok(Self(Arc::new(Inner {
            http: http.build().map_err(|why| Setup::Http(why.to_string()))?,
            endpoint,
            host,
            region: region.map_err(|_| Setup::Region)?,
            account,
            skew: Skew::default(),
            clock,
        })))
    }

    /// Calls once.
    ///
    /// # Errors
    ///
    /// See [`CallError`]; what is to be done is its [`reaction`](CallError::reaction). A credential
    /// that VOD finds too old has been rejected, and calls slowed down, when this returns.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the call; VOD may have carried it out.
    pub async fn call(
        &self,
        action: Action,
        request: &impl Serialize,
    ) -> Result<Answered, CallError> {
        self.turn(action, request, None, None).await
    }

    /// As [`call`](Self::call), and waits for room in `room` for the reply's bytes before it reads
    /// them. A reply larger than all the room takes all of it.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub async fn call_within(
        &self,
        room: &Room,
        action: Action,
        request: &impl Serialize,
    ) -> Result<Answered, CallError> {
        self.turn(action, request, Some(room), None).await
    }

    /// As [`call`](Self::call), and sends nothing once it is `by`.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call), and [`CallError::Late`].
    pub async fn call_before(
        &self,
        by: Instant,
        action: Action,
        request: &impl Serialize,
    ) -> Result<Answered, CallError> {
        self.turn(action, request, None, Some(by)).await
    }

    async fn turn(
        &self,
        action: Action,
        request: &impl Serialize,
        room: Option<&Room>,
        by: Option<Instant>,
    ) -> Result<Answered, CallError> {
        let Inner { account, .. } = &*self.0;
        match by {
            None => account.limiter(action).acquire().await,
            Some(by) => {
                if !account.limiter(action).acquire_before(by).await {
                    return Err(CallError::Late);
                }
            }
        }
        let credential = account.credentials().current().await.map_err(CallError::Credentials)?;
        if by.is_some_and(|by| Instant::now() >= by) {
            return Err(CallError::Late);
        }
        let answer = self.send(action, request, &credential, room).await;
        match answer.as_ref().map_err(CallError::reaction) {
            Ok(_) | Err(Reaction::Empty | Reaction::TooLate) => account.limiter(action).speed_up(),
            Err(Reaction::Renew) => account.credentials().reject(&credential),
            Err(Reaction::SlowDown) => account.limiter(action).slow_down(),
            Err(Reaction::Operator | Reaction::Retry) => {}
        }
        answer
    }

    /// The difference between VOD's clock and this machine's.
    pub fn skew(&self) -> &Skew {
        &self.0.skew
    }

    /// Whom it calls for.
    pub fn account(&self) -> &Arc<Account> {
        &self.0.account
    }

    async fn send(
        &self,
        action: Action,
        request: &impl Serialize,
        credential: &tc3::Credential,
        room: Option<&Room>,
    ) -> Result<Answered, CallError> {
        let Inner { http, endpoint, host, region, skew, clock, .. } = &*self.0;
        let body = serde_json::to_vec(request).expect("a request has texts and numbers only");
        let now = (clock)();
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signed =
            tc3::Request { service: "vod", host, content_type: JSON, timestamp, body: &body };
        let mut request = http
            .post(endpoint.clone())
            .header(CONTENT_TYPE, JSON)
            .header(AUTHORIZATION, signed.authorization(credential))
            .header("X-TC-Action", action.name())
            .header("X-TC-Version", VERSION)
            .header("X-TC-Timestamp", timestamp)
            .header("X-TC-Language", "en-US");
        if let Some(region) = region {
            request = request.header("X-TC-Region", region);
        }
        if let Some(token) = &credential.token {
            let mut token = HeaderValue::from_str(token).map_err(|_| CallError::Token)?;
            token.set_sensitive(true);
            request = request.header("X-TC-Token", token);
        }
        let sending = request.body(body).send();
        let answer = timeout(ANSWER_WITHIN, sending).await.map_err(|_| CallError::Hung)?;
        let answer = answer.map_err(|why| CallError::Network(why.without_url()))?;
        let at = Instant::now();
        skew.note(answer.headers().get(DATE), (clock)());
        if answer.status() != StatusCode::OK {
            return Err(CallError::Status(answer.status().as_u16()));
        }
        let reading = reading::read(answer, room, REPLY_BYTES_MAX);
        let (bytes, room) = timeout(READ_WITHIN, reading).await.map_err(|_| CallError::Hung)??;
        let mut reply = Reply::split(&bytes).map_err(CallError::NoReply)?;
        match reply.error.take() {
            None => Ok(Answered { reply, at, room }),
            Some(error) => {
                let rule = rule(action, &error.code);
                let skew = skew.too_large();
                Err(CallError::Api { error, reaction: rule.reaction, advice: rule.advice, skew })
            }
        }
    }
}

/// Without the proxy, whose address may hold a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.0.host).finish_non_exhaustive()
    }
}
