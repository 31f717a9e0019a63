//! The API over HTTP: who calls, whether it may, what it is told.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use vodbridge_vod::api::{
    Action, ConfirmEvents, EVENTS_MAX, ModifyEventConfig, OfApplication, VERSION,
};
use vodbridge_vod::tc3::{Authorization, Received};

use crate::application::Issued;
use crate::fault::Fault;
use crate::vod::Inner;

/// How long a poll of an empty queue is held.
const POLL: Duration = Duration::from_secs(5);

/// The largest request of the real API.
const REQUEST_BYTES_MAX: usize = 10 << 20;

/// The longest key that callbacks are signed with.
const SIGN_KEY_BYTES_MAX: usize = 32;

type Answer = Result<Response<Full<Bytes>>, io::Error>;

/// An error of the API.
struct Refusal {
    code: String,
    message: String,
}

/// Serves until it is stopped, and then until the calls under way are answered.
pub(crate) async fn serve(listener: TcpListener, vod: Arc<Inner>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = vod.stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        stream.set_nodelay(true).ok();
        connections.spawn(talk(stream, Arc::clone(&vod)));
    }
    while connections.join_next().await.is_some() {}
}

async fn talk(stream: TcpStream, vod: Arc<Inner>) {
    let service = service_fn(|request| answer(request, &vod));
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service)
    );
    // It ends when the client goes, or when it is to be cut.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = vod.stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await.ok();
        }
    }
}

async fn answer(request: Request<Incoming>, vod: &Inner) -> Answer {
    let (head, body) = request.into_parts();
    if head.method != Method::POST || head.uri.path() != "/" {
        return Ok(status(StatusCode::NOT_FOUND));
    }
    let body = match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(status(StatusCode::PAYLOAD_TOO_LARGE)),
    };
    let reply = match admit(&head.headers, head.uri.query().unwrap_or_default(), &body, vod) {
        Err(refusal) => refusal.into_json(),
        Ok(action) => {
            vod.count(action);
            let fault = vod.lock().schedule.draw(action);
            match carry_out_with(fault, action, &body, vod).await? {
                Carried::Reply(reply) => reply,
                Carried::Other(response) => return Ok(response),
            }
        }
    };
    Ok(respond(vod, reply))
}

enum Carried {
    Reply(String),
    Other(Response<Full<Bytes>>),
}

/// Carries a call out, or lets it go wrong.
async fn carry_out_with(
    fault: Option<Fault>,
    action: Action,
    body: &Bytes,
    vod: &Inner,
) -> Result<Carried, io::Error> {
    let cut = || Err(io::Error::other("cut"));
    match fault {
        None => {}
        Some(Fault::Code(code)) => {
            let refusal = Refusal { message: format!("{code}, on demand"), code };
            return Ok(Carried::Reply(refusal.into_json()));
        }
        Some(Fault::Status(code)) => {
            let code = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
            return Ok(Carried::Other(status(code)));
        }
        Some(Fault::NotJson) => return Ok(Carried::Reply("<html>Bad gateway</html>".to_owned())),
        Some(Fault::Reply(reply)) => return Ok(Carried::Reply(reply)),
        Some(Fault::Cut) => return cut(),
        Some(Fault::Hang(time)) => {
            sleep(time).await;
            return cut();
        }
        Some(Fault::Slow(time)) => sleep(time).await,
        Some(Fault::LostReply) => {
            carry_out(action, body, vod).await;
            return cut();
        }
        Some(Fault::Truncated) => {
            let mut reply = carry_out(action, body, vod).await;
            let mut half = reply.len() / 2;
            while !reply.is_char_boundary(half) {
                half -= 1;
            }
            reply.truncate(half);
            return Ok(Carried::Reply(reply));
        }
    }
    Ok(Carried::Reply(carry_out(action, body, vod).await))
}

/// Whether the call may be made, in the order in which the real API finds out.
fn admit(headers: &HeaderMap, query: &str, body: &[u8], vod: &Inner) -> Result<Action, Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let missing = |name: &str| refuse("MissingParameter", &format!("the header {name} is missing"));
    let action = header("x-tc-action").ok_or_else(|| missing("X-TC-Action"))?;
    let version = header("x-tc-version").ok_or_else(|| missing("X-TC-Version"))?;
    let timestamp = header("x-tc-timestamp").and_then(|t| t.parse().ok());
    let timestamp = timestamp.ok_or_else(|| missing("X-TC-Timestamp"))?;
    let authorization = header(AUTHORIZATION.as_str()).unwrap_or_default();
    let invalid = |why: vodbridge_vod::tc3::Tc3Error| refuse(&why.to_string(), "see the signature");
    let parsed = Authorization::parse(authorization).map_err(invalid)?;
    let mut state = vod.lock();
    let credential = state.credentials.iter().find(|c| c.secret_id == parsed.secret_id);
    let credential = credential
        .ok_or_else(|| refuse("AuthFailure.SecretIdNotFound", "the SecretId is not found"))?;
    let now = vod.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let received = Received { authorization, timestamp, now, query, header: &header, body };
    parsed.verify(&received, &credential.secret_key).map_err(invalid)?;
    if parsed.service != "vod" {
        return Err(refuse("AuthFailure.SignatureFailure", "it was signed for another service"));
    }
    if header("x-tc-token") != credential.token.as_deref() {
        return Err(refuse("AuthFailure.TokenFailure", "the token is not that of the SecretId"));
    }
    if version != VERSION {
        return Err(refuse("NoSuchVersion", "the version does not exist"));
    }
    let action = Action::ALL.into_iter().find(|known| known.name() == action);
    let action = action.ok_or_else(|| refuse("InvalidAction", "the action does not exist"))?;
    if let Some(limit) = vod.options.calls_per_second {
        let (limit, now) = (f64::from(limit), Instant::now());
        let (allowed, since) = state.allowance.entry(action).or_insert((limit, now));
        *allowed = (*allowed + since.elapsed().as_secs_f64() * limit).min(limit);
        *since = now;
        if *allowed < 1.0 {
            return Err(refuse("RequestLimitExceeded", "the request frequency exceeds the limit"));
        }
        *allowed -= 1.0;
    }
    Ok(action)
}

async fn carry_out(action: Action, body: &Bytes, vod: &Inner) -> String {
    let done = match action {
        Action::PullEvents => pull(body, vod).await,
        Action::ConfirmEvents => confirm(body, vod),
        Action::DescribeEventsState => with(body, vod, |application| {
            Ok(json!({ "CountOfEventsToPull": application.waiting() }))
        }),
        Action::DescribeEventConfig => with(body, vod, |application| Ok(json!(application.config))),
        Action::ModifyEventConfig => modify(body, vod),
    };
    match done {
        Ok(reply) => reply,
        Err(refusal) => refusal.into_json(),
    }
}

async fn pull(body: &Bytes, vod: &Inner) -> Result<String, Refusal> {
    let request: OfApplication = read(body)?;
    let deadline = Instant::now() + vod.scaled(POLL);
    loop {
        let arrived = vod.arrived.notified();
        let (pulled, next_return) = {
            let mut state = vod.lock();
            let repeat = state.schedule.repeats();
            let state = &mut *state;
            let application = state.applications.get_mut(&request.sub_app_id);
            let application = application.ok_or_else(unknown_application)?;
            if application.is_push() {
                (Vec::new(), None)
            } else {
                let same = vod.options.same_handles;
                let pulled = application.pull(vod.times(), repeat, same, &mut state.ledger);
                (pulled, application.next_return())
            }
        };
        if !pulled.is_empty() {
            vod.tell();
            return Ok(event_set(&pulled));
        }
        if Instant::now() >= deadline {
            return Err(refuse("ResourceNotFound", "no event"));
        }
        let wake = next_return.map_or(deadline, |at| at.min(deadline));
        // Whichever comes first, the queue is looked at again.
        timeout_at(wake, arrived).await.ok();
    }
}

fn confirm(body: &Bytes, vod: &Inner) -> Result<String, Refusal> {
    let request: ConfirmEvents = read(body)?;
    if request.event_handles.is_empty() || request.event_handles.len() > EVENTS_MAX {
        return Err(refuse("InvalidParameterValue", "EventHandles: 1 to 16"));
    }
    let mut state = vod.lock();
    let state = &mut *state;
    let application = state.applications.get_mut(&request.sub_app_id);
    let application = application.ok_or_else(unknown_application)?;
    let partly = vod.options.confirm_partly;
    let done = application.confirm(&request.event_handles, partly, &mut state.ledger);
    vod.tell();
    done.map_err(|why| refuse("InvalidParameterValue", why))?;
    Ok(envelope(&json!({})))
}

fn modify(body: &Bytes, vod: &Inner) -> Result<String, Refusal> {
    let request: ModifyEventConfig = read(body)?;
    check(&request)?;
    let done = {
        let mut state = vod.lock();
        let application = state.applications.get_mut(&request.sub_app_id);
        let application = application.ok_or_else(unknown_application)?;
        let (config, new) = (&mut application.config, request.config);
        let change = |old: &mut Option<String>, new: Option<String>| {
            if new.is_some() {
                *old = new;
            }
        };
        change(&mut config.mode, new.mode);
        change(&mut config.notification_url, new.notification_url);
        change(
            &mut config.upload_media_complete_event_switch,
            new.upload_media_complete_event_switch,
        );
        change(
            &mut config.delete_media_complete_event_switch,
            new.delete_media_complete_event_switch,
        );
        change(
            &mut config.persistence_complete_event_switch,
            new.persistence_complete_event_switch,
        );
        change(&mut application.sign_key, request.sign_key);
        Ok(envelope(&json!({})))
    };
    vod.arrived.notify_waiters();
    done
}

/// Whether every value is one that the real API documents; otherwise nothing is changed.
fn check(request: &ModifyEventConfig) -> Result<(), Refusal> {
    let config = &request.config;
    let is_of = |value: &Option<String>, known: [&str; 2]| {
        value.as_deref().is_none_or(|value| known.contains(&value))
    };
    if !is_of(&config.mode, ["PUSH", "PULL"]) {
        return Err(refuse("InvalidParameterValue", "Mode: PUSH or PULL"));
    }
    let switches = [
        &config.upload_media_complete_event_switch,
        &config.delete_media_complete_event_switch,
        &config.persistence_complete_event_switch,
    ];
    if !switches.into_iter().all(|switch| is_of(switch, ["ON", "OFF"])) {
        return Err(refuse("InvalidParameterValue", "a switch: ON or OFF"));
    }
    let key = request.sign_key.as_deref().unwrap_or_default();
    if key.len() > SIGN_KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(refuse("InvalidParameterValue", "SignKey: up to 32 letters and digits"));
    }
    Ok(())
}

fn with(
    body: &Bytes,
    vod: &Inner,
    look: impl FnOnce(&crate::application::Application) -> Result<Value, Refusal>,
) -> Result<String, Refusal> {
    let request: OfApplication = read(body)?;
    let state = vod.lock();
    let application = state.applications.get(&request.sub_app_id);
    Ok(envelope(&look(application.ok_or_else(unknown_application)?)?))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|why| refuse("InvalidParameter", &why.to_string()))
}

/// The reply with events: their own bytes, each with its handle put in front.
fn event_set(pulled: &[(String, Issued)]) -> String {
    let mut set = String::from(r#"{"Response":{"EventSet":["#);
    for (n, (handle, issued)) in pulled.iter().enumerate() {
        if n > 0 {
            set.push(',');
        }
        let body = issued.body();
        let body = String::from_utf8_lossy(&body);
        match body.trim_start().strip_prefix('{') {
            Some(rest) => {
                let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
                set.extend([r#"{"EventHandle":""#, handle, "\"", comma, rest]);
            }
            None => set.push_str(&body),
        }
    }
    set.extend([r#"],"RequestId":""#, &request_id(), "\"}}"]);
    set
}

fn envelope(members: &Value) -> String {
    let mut response = members.clone();
    response["RequestId"] = json!(request_id());
    json!({ "Response": response }).to_string()
}

fn request_id() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};

    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn unknown_application() -> Refusal {
    refuse("InvalidParameterValue.SubAppId", "no such application")
}

fn refuse(code: &str, message: &str) -> Refusal {
    Refusal { code: code.to_owned(), message: message.to_owned() }
}

// === impl Refusal ===

impl Refusal {
    fn into_json(self) -> String {
        envelope(&json!({ "Error": { "Code": self.code, "Message": self.message } }))
    }
}

fn respond(vod: &Inner, reply: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(vod.now())) {
        headers.insert(DATE, date);
    }
    response
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"gateway")));
    *response.status_mut() = code;
    response
}
