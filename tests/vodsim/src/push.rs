//! Normal callbacks as VOD sends them: a POST, 5 s for its answer, twice more after a timeout and
//! after nothing else; the answer's status is ignored (spec 3.2).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};
use vodbridge_vod::sign;

use crate::application::Issued;
use crate::callback::Connection;
use crate::vod::Inner;

/// How long an answer is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Attempts in all.
const ATTEMPTS: u32 = 3;

/// How far ahead the expiry of a signature lies.
const SIGNED_FOR: Duration = Duration::from_secs(10 * 60);

/// Callbacks under way at a time.
const CALLBACKS_MAX: usize = 32;

/// Where callbacks go: `http://host:port/path?query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    authority: String,
    target: String,
}

// === impl Push ===

impl Push {
    /// Reads a URL; `None` for any other than a plain HTTP one.
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.is_empty() || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return None;
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Some(Self { authority: authority.to_owned(), target: format!("{slash}{target}") })
    }

    async fn address(&self) -> io::Result<SocketAddr> {
        let has_port =
            self.authority.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
        let host = if has_port { self.authority.clone() } else { format!("{}:80", self.authority) };
        lookup_host(host).await?.next().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn request(&self, body: &[u8]) -> Vec<u8> {
        let mut request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.target,
            self.authority,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        request
    }
}

/// Sends an application's events while its mode is PUSH. Runs until it is dropped.
pub(crate) async fn run(application: Option<u64>, vod: Arc<Inner>) {
    let mut callbacks = JoinSet::new();
    loop {
        let arrived = vod.arrived.notified();
        let next = {
            let mut state = vod.lock();
            let state = &mut *state;
            let application = state.applications.get_mut(&application);
            let application = application.filter(|application| application.is_push());
            let back = application.as_ref().and_then(|application| application.next_return());
            let next = application.and_then(|application| {
                let push = Push::parse(application.config.notification_url.as_deref()?)?;
                Some((push, application.sign_key.clone(), application.take(&state.ledger)?))
            });
            next.ok_or(back)
        };
        match next {
            Ok((push, sign_key, issued)) => {
                let vod = Arc::clone(&vod);
                callbacks
                    .spawn(async move { send(&push, sign_key.as_deref(), &issued, &vod).await });
            }
            // What was pulled before the mode changed comes back by itself.
            Err(Some(back)) => drop(timeout_at(back, arrived).await),
            Err(None) => arrived.await,
        }
        while callbacks.try_join_next().is_some() {}
        if callbacks.len() >= CALLBACKS_MAX {
            callbacks.join_next().await;
        }
    }
}

async fn send(push: &Push, sign_key: Option<&str>, issued: &Issued, vod: &Inner) {
    for _ in 0..ATTEMPTS {
        let body = match sign_key.filter(|key| !key.is_empty()) {
            Some(key) => signed(&issued.body(), key, vod),
            None => issued.body(),
        };
        let request = push.request(&body);
        vod.lock().ledger.deliver(issued.number);
        vod.tell();
        let exchange = async {
            let mut connection = Connection::open(push.address().await?).await?;
            connection.exchange(&request).await
        };
        match timeout(vod.scaled(ANSWER_WITHIN), exchange).await {
            Ok(Ok(answer)) => {
                if (200..300).contains(&answer.status) {
                    vod.lock().ledger.confirm(issued.number);
                    vod.tell();
                }
                return;
            }
            Ok(Err(_)) => return,
            Err(_) => {}
        }
    }
}

/// The body with `Sign` and `T` as its first members.
fn signed(body: &Bytes, key: &str, vod: &Inner) -> Bytes {
    let now = vod.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let t = i64::try_from((now + SIGNED_FOR).as_secs()).unwrap_or(i64::MAX);
    let text = String::from_utf8_lossy(body);
    let Some(rest) = text.trim_start().strip_prefix('{') else { return body.clone() };
    let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
    format!(r#"{{"Sign":"{}","T":{t}{comma}{rest}"#, sign::compute(key, t)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_with_its_path_and_query() {
        let push = Push::parse("http://127.0.0.1:8080/vod/default?token=a").unwrap();
        assert_eq!(push.authority, "127.0.0.1:8080");
        assert_eq!(push.target, "/vod/default?token=a");
        assert_eq!(Push::parse("http://host").unwrap().target, "/");
        assert_eq!(Push::parse("http://host?a=b").unwrap().target, "/?a=b");
        for wrong in ["", "https://host/", "http://", "http:///path", "http://host/a b"] {
            assert_eq!(Push::parse(wrong), None, "{wrong}");
        }
    }
}
