//! A receiver of OTLP over HTTP: it keeps every span, and answers as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

use crate::program::PATIENCE;

/// A collector on a port of its own; it listens as long as the test runs.
pub(crate) struct Otlp {
    address: SocketAddr,
    /// Of those who speak TLS.
    certificate: Option<String>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    spans: Mutex<Vec<Seen>>,
    came: Condvar,
    /// What is answered; 0: 200.
    status: AtomicU16,
    posts: AtomicU64,
}

/// A span with what came with it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) span: Span,
    /// The resource's attributes.
    resource: Vec<KeyValue>,
    /// The head of its request.
    pub(crate) head: String,
}

// === impl Otlp ===

impl Otlp {
    pub(crate) fn start() -> Self {
        Self::serve(None, |shared, stream| shared.serve(stream))
    }

    /// One that speaks TLS.
    pub(crate) fn start_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        Self::serve(Some(made.cert.pem()), move |shared, stream| {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            shared.serve(StreamOwned::new(session, stream));
        })
    }

    fn serve(
        certificate: Option<String>,
        serve: impl Fn(&Shared, TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serving = (Arc::clone(&shared), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, serve) = serving.clone();
                thread::spawn(move || serve(&shared, stream));
            }
        });
        Self { address, certificate, shared }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn url(&self) -> String {
        match self.certificate {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// What it shows, as PEM.
    pub(crate) fn certificate(&self) -> &str {
        self.certificate.as_deref().unwrap()
    }

    /// Answers with this status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::Relaxed);
    }

    /// Requests that came.
    pub(crate) fn posts(&self) -> u64 {
        self.shared.posts.load(Ordering::Relaxed)
    }

    /// What has come so far.
    pub(crate) fn spans(&self) -> Vec<Seen> {
        self.shared.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until what has come is as wanted.
    pub(crate) fn until(&self, wanted: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let spans = self.shared.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.shared.came.wait_timeout_while(spans, PATIENCE, |s| !wanted(s));
        let (spans, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = spans.iter().map(|seen| &seen.span.name).collect();
        assert!(wanted(&spans), "not in time: {names:#?}");
        spans.clone()
    }

    /// Waits for so many spans whose names begin so, and returns them in the order of their
    /// beginnings.
    pub(crate) fn named(&self, name: &str, how_many: usize) -> Vec<Seen> {
        let is_named = |seen: &&Seen| seen.span.name.starts_with(name);
        let spans = self.until(|spans| spans.iter().filter(is_named).count() >= how_many);
        let mut spans: Vec<_> = spans.into_iter().filter(|seen| is_named(&seen)).collect();
        assert_eq!(spans.len(), how_many, "{name}");
        spans.sort_by_key(|seen| seen.span.start_time_unix_nano);
        spans
    }

    /// The one span whose name begins so.
    pub(crate) fn one(&self, name: &str) -> Seen {
        self.named(name, 1).remove(0)
    }
}

// === impl Shared ===

impl Shared {
    /// Serves one connection, request after request.
    fn serve(&self, mut stream: impl Read + Write) {
        let mut bytes = Vec::new();
        while let Some((head, body)) = request(&mut stream, &mut bytes) {
            self.posts.fetch_add(1, Ordering::Relaxed);
            let status = match self.status.load(Ordering::Relaxed) {
                0 => 200,
                status => status,
            };
            if status == 200 {
                self.keep(&head, &body);
            }
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn keep(&self, head: &str, body: &[u8]) {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
        let mut plain = Vec::new();
        let body = if head.contains("content-encoding: gzip\r\n") {
            GzDecoder::new(body).read_to_end(&mut plain).unwrap();
            &plain
        } else {
            body
        };
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        for resource_spans in request.resource_spans {
            let resource = resource_spans.resource.unwrap_or_default().attributes;
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let (resource, head) = (resource.clone(), head.to_owned());
                spans.push(Seen { span, resource, head });
            }
        }
        self.came.notify_all();
    }
}

/// The next request: its head in lower-case names as hyper writes them, and its body.
fn request(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut chunk = [0; 16 << 10];
    loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at + 2].to_vec()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let end = at + 4 + length.map_or(0, |length| length.parse::<usize>().unwrap());
            if bytes.len() >= end {
                let body = bytes[at + 4..end].to_vec();
                bytes.drain(..end);
                return Some((head, body));
            }
        }
        match stream.read(&mut chunk) {
            Ok(many) if many > 0 => bytes.extend_from_slice(&chunk[..many]),
            Ok(_) | Err(_) => return None,
        }
    }
}

// === impl Seen ===

impl Seen {
    pub(crate) fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    pub(crate) fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// Empty for the first of a trace.
    pub(crate) fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// As messages carry it when it is sampled.
    pub(crate) fn traceparent(&self) -> String {
        format!("00-{}-{}-01", self.trace(), self.id())
    }

    /// The spans that it points to.
    pub(crate) fn links(&self) -> Vec<String> {
        self.span.links.iter().map(|link| hex(&link.span_id)).collect()
    }

    /// An attribute as text; empty if there is none.
    pub(crate) fn attribute(&self, key: &str) -> String {
        text(&self.span.attributes, key)
    }

    pub(crate) fn resource(&self, key: &str) -> String {
        text(&self.resource, key)
    }

    /// As the flags of the span say (`SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`).
    pub(crate) fn is_below_another_process(&self) -> bool {
        self.span.flags & 0x200 != 0
    }

    pub(crate) fn has_failed(&self) -> bool {
        // STATUS_CODE_ERROR
        self.span.status.as_ref().is_some_and(|status| status.code == 2)
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == key);
    match value.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(value)) => value.clone(),
        Some(any_value::Value::IntValue(value)) => value.to_string(),
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        _ => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
