//! The least handler that keeps the promise: it reads a body, publishes it with the bare client and
//! answers 200 after the acknowledgement. It looks at nothing, remembers nothing, retries nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use tokio::runtime::Runtime;
use vodbridge::http::{Response, Service};

use crate::bare::Client;
use crate::support::child::listen;

/// The argument with which this benchmark is that handler; broker and address follow.
pub(crate) const MINIMAL: &str = "--minimal";

#[derive(Clone)]
struct Handler {
    client: Client,
    number: Arc<AtomicU64>,
}

impl Service for Handler {
    fn call(&self, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static {
        let Self { client, number } = self.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let id = number.fetch_add(1, Ordering::Relaxed);
            client.publish(&format!("{}-{id}", std::process::id()), body).await;
            Response::new(Full::new(Bytes::from_static(br#"{"code":0}"#)))
        }
    }
}

pub(crate) fn run(broker: &str, address: &str) {
    Runtime::new().unwrap().block_on(async {
        let client = Client::connect(broker, address).await;
        client.publish("warm", Bytes::from_static(b"{}")).await;
        listen(Handler { client, number: Arc::default() }).await;
    });
}
