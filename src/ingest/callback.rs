//! Normal callbacks: one POST, one event, one answer.
//!
//! ```text
//! path -> method -> token -> encoding -> body -> event -> signature -> outlet -> answer
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use hyper::{Method, Request};
use percent_encoding::percent_decode_str;
use prometheus_client::metrics::histogram::Histogram;
use smol_str::SmolStr;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use tracing::debug;
use vodbridge_core::Timestamp;
use vodbridge_vod::{Content, Envelope, Signature, sign};

use super::answer::Answer;
use super::spool::{Spool, keep_and_depart};
use super::type_index;
use crate::config::SecretCell;
use crate::delivery::{Outcome, Purpose};
use crate::duplicates::Repeat;
use crate::http::{self, Response, bearer, body, is_one_of};
use crate::normalize::{Normalizer, Reception, Trace};
use crate::outlet::{Admitted, Arrival, Outlet};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::{Intake, Metrics, Mode};
use crate::telemetry::traces::{Span, Traces};

/// How long VOD waits for an answer (spec 3.2); after it, the same callback may come again.
const VOD_TIMEOUT: Duration = Duration::from_secs(5);

/// The wall clock: what the time of receipt and the age of a signature are taken from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The callbacks of every application, by their paths.
#[derive(Clone, Debug)]
pub struct Callbacks(Arc<HashMap<String, Endpoint>>);

/// The callback of one application.
pub struct Endpoint {
    /// Any of these is a right token; none are needed when there are none.
    pub tokens: Option<SecretCell>,
    /// Any of these is a right sign key; none are needed when there are none.
    pub sign_keys: Option<SecretCell>,
    /// How far ahead `T` may lie.
    pub sign_window: Duration,
    /// How long an acknowledgement is waited for.
    pub answer_within: Duration,
    /// What a body may take.
    pub body: body::Limits,
    /// How messages become events.
    pub normalizer: Normalizer,
    /// Where events are kept until they have settled, if they are.
    pub spool: Option<Arc<Spool>>,
    /// Where events go.
    pub outlet: Outlet,
    /// Where they are counted.
    pub intake: Arc<Intake>,
    /// Where answers are counted.
    pub answers: Answers,
    /// Where they are traced.
    pub traces: Traces,
    /// What time it is.
    pub clock: Clock,
}

/// Answers of one application by their status.
#[derive(Debug)]
pub struct Answers(Vec<(u16, Histogram)>);

/// What a query brings to show that a callback is VOD's.
struct Proof {
    token: Option<String>,
    signature: Option<Signature>,
}

/// Says that VOD may repeat an event, unless it had its answer in time.
struct Unanswered {
    repeat: Repeat,
    since: Instant,
    answered: bool,
}

// === impl Callbacks ===

impl Callbacks {
    /// Endpoints by their paths.
    pub fn new(endpoints: impl IntoIterator<Item = (String, Endpoint)>) -> Self {
        Self(Arc::new(endpoints.into_iter().collect()))
    }
}

impl http::Service for Callbacks {
    fn call(&self, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static {
        let endpoints = Arc::clone(&self.0);
        async move {
            match endpoints.get(request.uri().path()) {
                Some(endpoint) => endpoint.answer(request).await.into(),
                None => Answer::UnknownPath.into(),
            }
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let mut began = Instant::now();
        let caller = trace(request.headers());
        let mut span = self.traces.callback(&request, &caller);
        let answer = match self.accept(&request) {
            Err(answer) => answer,
            Ok((encoding, proof)) => {
                match body::read(request.into_body(), encoding, &self.body).await {
                    Err(why) => refuse_body(&why),
                    Ok(body::Whole { bytes, room }) => {
                        began = Instant::now();
                        let trace = span.carry(caller);
                        self.take(bytes, room, &proof, trace, began, &mut span).await
                    }
                }
            }
        };
        let status = answer.status().as_u16();
        self.answers.observe(status, began);
        span.answered(status, answer.name());
        answer
    }

    /// Judges a request by its head.
    fn accept(&self, request: &Request<Incoming>) -> Result<(body::Encoding, Proof), Answer> {
        if request.method() != Method::POST {
            return Err(Answer::WrongMethod);
        }
        let mut proof = Proof::read(request.uri().query().unwrap_or_default());
        if let Some(tokens) = &self.tokens {
            let offered = proof.token.take().or_else(|| bearer(request.headers()));
            if !is_one_of(&tokens.current(), offered.unwrap_or_default().as_bytes()) {
                return Err(Answer::WrongToken);
            }
        }
        let encoding = match request.headers().get(CONTENT_ENCODING).map(|v| v.as_bytes()) {
            None => body::Encoding::Identity,
            Some(name) if name.eq_ignore_ascii_case(b"identity") => body::Encoding::Identity,
            Some(name) if name.eq_ignore_ascii_case(b"gzip") => body::Encoding::Gzip,
            Some(_) => return Err(Answer::UnknownEncoding),
        };
        Ok((encoding, proof))
    }

    /// From the last byte of a body to its answer.
    async fn take(
        &self,
        message: Bytes,
        room: Option<OwnedSemaphorePermit>,
        proof: &Proof,
        trace: Trace,
        began: Instant,
        span: &mut Span,
    ) -> Answer {
        let now = (self.clock)();
        let content = Content::read(&message);
        if let Some(keys) = &self.sign_keys {
            let signature = match &content {
                Ok(content) => content.signature.clone(),
                Err(_) => Envelope::find(&message).signature,
            };
            let signature = signature.or_else(|| proof.signature.clone());
            if let Err(why) = self.verify(keys, signature, now) {
                return Answer::WrongSignature(why);
            }
        }
        let reception = Reception { mode: Mode::callback, at: now, trace };
        let arrival = match content {
            Ok(content) => Arrival {
                obligation: self.intake.begin(type_index(content.entry)),
                event: self.normalizer.event(content, &message, &reception),
                purpose: Purpose::Publish,
                bytes: room,
                row: None,
            },
            Err(why) if self.authenticates() => Arrival {
                obligation: self.intake.begin(type_index(None)),
                event: self.normalizer.unrecognized(&why, &message, &reception),
                purpose: Purpose::DeadLetter {
                    reason: SmolStr::new_static(why.code()),
                    detail: Chain(&why).to_string(),
                },
                bytes: room,
                row: None,
            },
            Err(why) => return Answer::NoEvent(Chain(&why).to_string()),
        };
        span.about(&arrival.event);
        self.deliver(arrival, began, span).await
    }

    /// Hands the event over and waits for what becomes of it.
    async fn deliver(&self, arrival: Arrival, began: Instant, span: &mut Span) -> Answer {
        let deadline = began + self.answer_within;
        let id = arrival.event.id.clone();
        let (receipt, departure, repeat, joined) = match self.outlet.admit(arrival) {
            Admitted::New(departure, receipt) => {
                let repeat = departure.repeat();
                (receipt, Some(departure), repeat, false)
            }
            Admitted::Joined(receipt, repeat) => {
                span.joined(receipt.traceparent());
                (receipt, None, repeat, true)
            }
            Admitted::Duplicate(repeat) => {
                Unanswered { repeat, since: began, answered: false }.answered();
                return Answer::Duplicate(id);
            }
        };
        let unanswered = Unanswered { repeat, since: began, answered: false };
        match (departure, &self.spool) {
            (None, _) => {}
            (Some(departure), Some(spool)) => {
                self.outlet.spawn(keep_and_depart(Arc::clone(spool), departure, deadline));
            }
            (Some(departure), None) => {
                if timeout_at(deadline, departure.depart()).await.is_err() {
                    unanswered.answered();
                    return Answer::Overloaded;
                }
            }
        }
        let answer = match timeout_at(deadline, receipt.outcome()).await {
            Ok(Outcome::Delivered | Outcome::Rejected) if joined => Answer::Duplicate(id),
            Ok(Outcome::Delivered) => Answer::Delivered(id),
            Ok(Outcome::Rejected) => Answer::Rejected(id),
            Ok(Outcome::Deferred) | Err(_) => Answer::NotAcknowledged { kept: receipt.is_kept() },
        };
        unanswered.answered();
        answer
    }

    fn authenticates(&self) -> bool {
        self.tokens.is_some() || self.sign_keys.is_some()
    }

    fn verify(
        &self,
        keys: &SecretCell,
        signature: Option<Signature>,
        now: Timestamp,
    ) -> Result<(), String> {
        let Some(Signature { sign, t }) = signature else {
            return Err("Sign and T are missing; they stand in the body or in the query".to_owned());
        };
        let now_secs = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let keys = keys.current();
        // Configuration takes letters and digits only.
        let keys = keys.iter().filter_map(|key| std::str::from_utf8(key).ok());
        sign::verify(keys, &sign, t, now_secs, self.sign_window)
            .map_err(|why| Chain(&why).to_string())
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").finish_non_exhaustive()
    }
}

fn refuse_body(why: &body::BodyError) -> Answer {
    let text = Chain(why).to_string();
    debug!(error = text.as_str(), "a callback's body was not read");
    match why {
        body::BodyError::TooLarge(_) => Answer::TooLarge(text),
        body::BodyError::Slow(_) => Answer::Slow(text),
        body::BodyError::NoRoom => Answer::Overloaded,
        body::BodyError::Broken(_) | body::BodyError::Gzip(_) => Answer::Broken(text),
    }
}

// === impl Proof ===

impl Proof {
    /// Reads `token`, `sign` and `t`; of several with one name the first counts.
    fn read(query: &str) -> Self {
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(key, _)| *key == name)?;
            Some(percent_decode_str(value).decode_utf8().ok()?.into_owned())
        };
        let t = value("t").and_then(|t| t.parse().ok());
        let signature = value("sign").zip(t).map(|(sign, t)| Signature { sign, t });
        Self { token: value("token"), signature }
    }
}

/// The W3C trace context, if it is one (Trace Context, section 3.2.2: the header's length is
/// that of version 00 at least); `tracestate` is of no use without it.
fn trace(headers: &HeaderMap) -> Trace {
    let text = |name: &str, bytes_max: usize| {
        let value = headers.get(name)?.to_str().ok()?;
        (!value.is_empty() && value.len() <= bytes_max).then(|| SmolStr::new(value))
    };
    match text("traceparent", 128).filter(|p| p.len() >= 55) {
        Some(parent) => Trace { parent: Some(parent), state: text("tracestate", 512) },
        None => Trace::default(),
    }
}

// === impl Answers ===

impl Answers {
    /// The histograms of one application, one for each status that is ever answered.
    pub fn new(metrics: &Metrics, application: &str) -> Self {
        let statuses = [200, 400, 401, 405, 408, 413, 415, 503];
        Self(statuses.map(|s| (s, metrics.answers(application, s))).to_vec())
    }

    fn observe(&self, status: u16, began: Instant) {
        if let Some((_, histogram)) = self.0.iter().find(|(s, _)| *s == status) {
            histogram.observe(began.elapsed().as_secs_f64());
        }
    }
}

// === impl Unanswered ===

impl Unanswered {
    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.answered || self.since.elapsed() >= VOD_TIMEOUT {
            self.repeat.expect();
        }
    }
}
