use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::client::OAuthToken;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;
use vodbridge_core::BoxError;

use crate::TokenEndpoint;

/// How long one request to the token endpoint may take.
const FETCH_WITHIN: Duration = Duration::from_secs(10);

/// How long a token lives whose endpoint does not say (RFC 6749, section 5.1: `expires_in` is only
/// recommended).
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);

/// How long to wait after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The largest answer of a token endpoint that is read.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// The newest token, for whoever logs in.
#[derive(Clone, Debug)]
pub(crate) struct Tokens(watch::Receiver<Result<Token, Arc<str>>>);

/// Fetches tokens ahead of their end; runs for as long as there is a connector.
#[derive(Debug)]
pub(crate) struct Fetcher {
    endpoint: TokenEndpoint,
    http: reqwest::Client,
    newest: watch::Sender<Result<Token, Arc<str>>>,
}

#[derive(Clone)]
struct Token {
    text: String,
    principal: String,
    /// When it ends.
    ends: SystemTime,
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
}

// === impl Tokens ===

impl Tokens {
    /// Waits for the first token.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn available(&self) {
        // The fetcher outlives every client; and if it did not, there would be none to wait for.
        self.0.clone().wait_for(Result::is_ok).await.ok();
    }

    /// Why there is no token.
    pub(crate) fn obstacle(&self) -> Option<Arc<str>> {
        self.0.borrow().as_ref().err().cloned()
    }

    /// The newest token, without waiting for anything.
    pub(crate) fn newest(&self) -> Result<OAuthToken, Box<dyn Error>> {
        match &*self.0.borrow() {
            Ok(token) => Ok(OAuthToken {
                token: token.text.clone(),
                principal_name: token.principal.clone(),
                lifetime_ms: i64::try_from(
                    token.ends.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis(),
                )?,
            }),
            Err(why) => Err(why.to_string().into()),
        }
    }
}

// === impl Fetcher ===

impl Fetcher {
    /// A fetcher for one endpoint, and where its tokens are to be had.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    ///
    /// # Panics
    ///
    /// If the process has installed no `rustls` crypto provider.
    pub(crate) fn new(endpoint: TokenEndpoint) -> Result<(Self, Tokens), BoxError> {
        let http = reqwest::Client::builder()
            .timeout(FETCH_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let (newest, receiver) = watch::channel(Err("no token was fetched yet".into()));
        Ok((Self { endpoint, http, newest }, Tokens(receiver)))
    }

    /// Fetches until the future is dropped.
    pub(crate) async fn run(self) {
        let mut said: Option<Arc<str>> = None;
        loop {
            match self.fetch().await {
                Ok((token, lifetime)) => {
                    said = None;
                    self.newest.send_modify(|newest| *newest = Ok(token));
                    // librdkafka asks for the next one at 80 % of the lifetime.
                    sleep(lifetime * 6 / 10).await;
                }
                Err(error) => {
                    let url = &self.endpoint.url;
                    let why: Arc<str> = format!("no token from {url}: {error}").into();
                    // Said when it begins; an older token is good until it ends.
                    let is_new = said.as_ref() != Some(&why);
                    said = Some(Arc::clone(&why));
                    let is_needed = match &*self.newest.borrow() {
                        Ok(token) => token.ends <= SystemTime::now(),
                        Err(_) => true,
                    };
                    if is_new {
                        warn!(url, error = &*error, "no token for the brokers");
                    }
                    if is_needed {
                        self.newest.send_modify(|newest| *newest = Err(why));
                    }
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// RFC 6749, section 4.4.2: "The client makes a request to the token endpoint by adding the
    /// following parameters using the application/x-www-form-urlencoded format"; section 2.3.1: the
    /// client logs in by HTTP Basic.
    async fn fetch(&self) -> Result<(Token, Duration), BoxError> {
        let TokenEndpoint { url, client_id, client_secret, scope, extensions: _ } = &self.endpoint;
        let secret = client_secret.read_text()?;
        let mut form = "grant_type=client_credentials".to_owned();
        if let Some(scope) = scope {
            form.push_str("&scope=");
            form.push_str(&encoded(scope));
        }
        let mut answer = self
            .http
            .post(url)
            .basic_auth(encoded(client_id), Some(encoded(secret.trim_end())))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(form)
            .send()
            .await
            .map_err(reqwest::Error::without_url)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("it answers {status}").into());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err("its answer is too long".into());
            }
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| "its answer is no JSON object with an access_token")?;
        let lifetime = answer.expires_in.map_or(LIFETIME_DEFAULT, Duration::from_secs);
        let lifetime = lifetime.clamp(Duration::from_secs(5), Duration::from_secs(86_400));
        let token = Token {
            text: answer.access_token,
            principal: client_id.clone(),
            ends: SystemTime::now() + lifetime,
        };
        Ok((token, lifetime))
    }
}

/// Without the token itself.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// `application/x-www-form-urlencoded`, strictly.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_form_is_left_to_be_read_otherwise() {
        assert_eq!(encoded("a b&c=d:e+é~"), "a%20b%26c%3Dd%3Ae%2B%C3%A9~");
    }
}
