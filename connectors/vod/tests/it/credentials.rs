//! Where credentials come from and how they are kept fresh, against a server that answers as the
//! vendor's do.

mod chain;
mod cvm;
mod failures;
mod fresh;
mod local;
mod secrets;
mod server;
mod sts;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use vodbridge_vod::credentials::{Clock, Credentials, Env, Lookup, Origin, Settings};

use server::{Answer, Request};

/// 2026-01-01, in Unix seconds: when every test begins.
const BEGINNING: u64 = 1_767_225_600;

/// A clock that is set by hand.
#[derive(Clone)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(BEGINNING)))
    }

    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn clock(&self) -> Clock {
        let Self(now) = self.clone();
        Arc::new(move || UNIX_EPOCH + Duration::from_secs(now.load(Ordering::Relaxed)))
    }
}

/// A secret that a test can write anew.
#[derive(Clone)]
struct Text(Arc<Mutex<Result<String, String>>>);

impl Text {
    fn new(text: &str) -> Self {
        Self(Arc::new(Mutex::new(Ok(text.to_owned()))))
    }

    fn set(&self, text: Result<&str, &str>) {
        *self.0.lock().unwrap() = text.map(str::to_owned).map_err(str::to_owned);
    }

    fn lookup(&self) -> Lookup {
        let Self(text) = self.clone();
        Arc::new(move || text.lock().unwrap().clone())
    }
}

fn env(variables: &[(&'static str, &str)]) -> Env {
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Env::new(move |name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    })
}

/// Settings whose addresses nobody listens at, and whose clock stands.
fn settings(origin: Origin, variables: &[(&'static str, &str)]) -> Settings {
    // reqwest takes the provider of the process; every test may be the first.
    rustls::crypto::ring::default_provider().install_default().ok();
    Settings {
        sts_endpoint: "http://127.0.0.1:1".to_owned(),
        metadata_endpoint: "http://127.0.0.1:1".to_owned(),
        clock: Hands::new().clock(),
        ..Settings::new(origin, env(variables))
    }
}

fn from_static(secret_key: &str) -> Origin {
    Origin::Static {
        secret_id: "AKIDstatic".to_owned(),
        secret_key: Text::new(secret_key).lookup(),
        token: None,
    }
}

/// What STS answers: a session that ends at a time in Unix seconds.
fn session(id: &str, ends: u64) -> Answer {
    let keys = json!({"Token": "token-of-it", "TmpSecretId": id, "TmpSecretKey": "key-of-it"});
    let response = json!({"Credentials": keys, "ExpiredTime": ends, "RequestId": "r"});
    Answer::ok(&json!({ "Response": response }).to_string())
}

/// A metadata service with the role `vod`.
fn metadata(request: &Request, id: &str, ends: u64) -> Answer {
    match request.path.rsplit('/').next().unwrap() {
        "" => Answer::ok("vod\n"),
        _ => Answer::ok(
            &json!({"TmpSecretId": id, "TmpSecretKey": "key-of-it", "Token": "token-of-it",
                "ExpiredTime": ends, "Code": "Success"})
            .to_string(),
        ),
    }
}

/// The SecretId that is held now.
async fn id(credentials: &Credentials) -> String {
    within(credentials.current()).await.unwrap().secret_id
}

/// The failure that is told, with its causes.
async fn failure(credentials: &Credentials) -> String {
    told(&within(credentials.current()).await.unwrap_err())
}

fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Waits until the credential has this SecretId.
async fn comes_to(credentials: &Credentials, expected: &str) {
    within(async {
        while id(credentials).await != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Bounds every wait, longer than anything that is waited for.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it comes in time")
}
