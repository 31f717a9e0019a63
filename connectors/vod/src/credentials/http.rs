//! HTTP as credentials are fetched by: bounded in time and size, without redirects.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, ClientBuilder, RequestBuilder, redirect};

use super::CredentialsError;

/// How long a call may take, from its beginning to the last byte.
const CALL_WITHIN: Duration = Duration::from_secs(10);

/// How long connecting to the metadata service may take: it is near, or not there at all.
const METADATA_CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// The largest answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Who calls the metadata service: never by a proxy, which would answer for its own machine.
pub(super) fn metadata() -> Result<Client, CredentialsError> {
    build(Client::builder().no_proxy().connect_timeout(METADATA_CONNECT_WITHIN), "metadata")
}

/// Who calls STS: by the system's proxy, if there is one.
pub(super) fn sts() -> Result<Client, CredentialsError> {
    build(Client::builder(), "STS")
}

fn build(builder: ClientBuilder, whom: &'static str) -> Result<Client, CredentialsError> {
    builder
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|why| CredentialsError::Network { whom, source: Arc::new(why) })
}

/// Sends a request and reads the answer's status and body.
pub(super) async fn call(
    whom: &'static str,
    request: RequestBuilder,
) -> Result<(u16, Bytes), CredentialsError> {
    let network = |why: reqwest::Error| CredentialsError::Network {
        whom,
        source: Arc::new(why.without_url()),
    };
    let calling = async {
        let mut answer = request.send().await.map_err(network)?;
        let status = answer.status().as_u16();
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(network)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(CredentialsError::answer(whom, "it is longer than 64 KiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body.freeze()))
    };
    tokio::time::timeout(CALL_WITHIN, calling).await.map_err(|_| CredentialsError::Hung(whom))?
}
