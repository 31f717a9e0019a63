//! OTLP/HTTP: one batch, one POST, again while the collector asks for it.
//!
//! OpenTelemetry Protocol Specification 1.x, section "OTLP/HTTP".

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use reqwest::{Certificate, Client, Response, redirect};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use vodbridge_core::Backoff;

use crate::config;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Where batches go.
pub(super) struct Collector {
    http: Client,
    endpoint: String,
    headers: HeaderMap,
    gzip: bool,
    timeout: Duration,
    resource: ResourceAttributesWithSchema,
}

/// Why a batch did not arrive. Never holds the endpoint's query or a header.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the collector cannot be reached")]
    Network(#[source] reqwest::Error),
    #[error("the collector answered {0}")]
    Status(u16),
    #[error("the collector did not answer in time")]
    Late,
    #[error("the collector rejected some of them")]
    Rejected,
    #[error("a batch cannot be compressed")]
    Compress(#[source] std::io::Error),
}

/// Why one POST failed, and whether and when it may succeed later.
struct Refusal {
    why: Failure,
    again: Option<Duration>,
}

// === impl Collector ===

impl Collector {
    pub(super) fn new(config: &config::Traces) -> Result<Self, reqwest::Error> {
        let mut http = Client::builder()
            .user_agent(concat!("vodbridge/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none());
        if let Some(pem) = &config.certificates {
            http = http.tls_certs_only(Certificate::from_pem_bundle(pem)?);
        }
        let mut headers = config.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        if config.gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self {
            http: http.build()?,
            endpoint: config.endpoint.to_string(),
            headers,
            gzip: config.gzip,
            timeout: config.timeout,
            resource: (&resource(&config.resource)).into(),
        })
    }

    /// Sends a batch; how many spans of it the collector rejected. Once it is `closing`, nothing is
    /// tried again.
    pub(super) async fn send(
        &self,
        batch: Vec<SpanData>,
        closing: &CancellationToken,
    ) -> Result<u64, Failure> {
        let deadline = Instant::now() + self.timeout;
        let body = self.encoded(batch)?;
        let mut backoff = Backoff::new();
        loop {
            let posted = timeout_at(deadline, self.post(body.clone())).await;
            let Refusal { why, again } = match posted {
                Ok(Ok(rejected)) => return Ok(rejected),
                Ok(Err(refusal)) => refusal,
                Err(_) => return Err(Failure::Late),
            };
            let Some(least) = again else { return Err(why) };
            let wait = backoff.next_wait().max(least);
            if Instant::now() + wait >= deadline
                || closing.run_until_cancelled(sleep(wait)).await.is_none()
            {
                return Err(why);
            }
        }
    }

    fn encoded(&self, batch: Vec<SpanData>) -> Result<Bytes, Failure> {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        if !self.gzip {
            return Ok(body.into());
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let written = gzip.write_all(&body).and_then(|()| gzip.finish());
        written.map(Bytes::from).map_err(Failure::Compress)
    }

    async fn post(&self, body: Bytes) -> Result<u64, Refusal> {
        let request = self.http.post(&self.endpoint).headers(self.headers.clone()).body(body);
        let network = |why: reqwest::Error| {
            let again = Some(Duration::ZERO);
            Refusal { why: Failure::Network(why.without_url()), again }
        };
        let mut answer = request.send().await.map_err(network)?;
        if !answer.status().is_success() {
            return Err(refusal(&answer));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(network)? {
            // What follows could only be words.
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Ok(0);
            }
            bytes.extend_from_slice(&chunk);
        }
        // "the server MUST respond with HTTP 200 OK ... partial_success"; what says nothing of it
        // took everything.
        let answer = ExportTraceServiceResponse::decode(&*bytes).unwrap_or_default();
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

/// The endpoint's query and the headers may be secret.
impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

/// "Retryable Response Codes": 429, 502, 503, 504; "the client SHOULD honor the waiting interval
/// specified in the Retry-After header".
fn refusal(answer: &Response) -> Refusal {
    let status = answer.status().as_u16();
    let seconds = || answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok();
    let again = matches!(status, 429 | 502 | 503 | 504)
        .then(|| Duration::from_secs(seconds().unwrap_or_default()));
    Refusal { why: Failure::Status(status), again }
}

/// What the process is, and what speaks for it; what is configured wins.
fn resource(configured: &[(String, String)]) -> Resource {
    let own = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("telemetry.sdk.language", "rust"),
        KeyValue::new("telemetry.sdk.name", "opentelemetry"),
    ];
    let configured =
        configured.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(own).with_attributes(configured).build()
}
