//! One connection to one server, from its greeting to its end.

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::stream::Info;
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{
    Client, Event, ReconnectToServer, Request, RequestError, ServerAddr, ServerError,
};
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use vodbridge_core::{Cause, Provision, Unavailable};

use crate::binding::Message;
use crate::config::Config;
use crate::topology::Verified;
use crate::{error, login, topology};

/// A connection, and whether the stream has been found fit over it.
///
/// It ends with its first disconnection: the client does not connect again, forgets what it had
/// not written, and everything that waits for an answer is told so.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    jetstream: Context,
    signals: Arc<watch::Sender<Signals>>,
    /// The stream as it was when it was last looked at; `None` if it is not fit, or was not yet.
    verified: Mutex<Option<Arc<Verified>>>,
    /// Held while somebody looks.
    looked: tokio::sync::Mutex<Option<Look>>,
    has_warned: AtomicBool,
    unanswered: AtomicU32,
}

/// The last look at the stream.
#[derive(Debug)]
struct Look {
    began: Instant,
    ended: Instant,
    found: Result<Arc<Verified>, Unavailable>,
}

/// What the connection has told by itself.
#[derive(Debug, Default)]
struct Signals {
    /// It is over, or is not to be used any more.
    over: bool,
    /// The client has let go of it.
    closed: bool,
    /// Subjects that the server refused us, and how often.
    denied: BTreeMap<String, u64>,
    /// How often it refused us our inbox, without which no answer comes.
    inbox_denied: u64,
}

/// Publishes without an answer after which the client is built anew: each of them is an entry in
/// a map that the client never forgets (nats.rs issue 1617).
const UNANSWERED_MAX: u32 = 10_000;

/// Subjects that are remembered as refused. There are fewer topics.
const DENIED_MAX: usize = 1000;

/// For how long a stream that was found unfit is not looked at again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// How long JetStream may take to answer a question. Whoever checks a connector waits 4 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long the client may take to let go of a connection.
const RELEASED_WITHIN: Duration = Duration::from_secs(1);

/// Where the client is sent when it wants to connect again: there is nobody, at once.
const NOWHERE: &str = "nats://127.0.0.1:0";

impl Session {
    /// Connects to one server, with secrets and certificates as they are now.
    pub(crate) async fn connect(config: &Config, server: &ServerAddr) -> Result<Self, Unavailable> {
        let name = format!("{}:{}", server.host(), server.port());
        let signals = Arc::new(watch::Sender::new(Signals::default()));
        let sink = Arc::clone(&signals);
        let nowhere: ServerAddr = NOWHERE.parse().expect("an address in the form of one");
        let [target, elsewhere] = [server.clone(), nowhere.clone()];
        let is_connected = AtomicBool::new(false);
        let client = login::options(config)?
            .ignore_discovered_servers()
            .event_callback(move |event| {
                sink.send_modify(|signals| signals.note(event));
                ready(())
            })
            // There is no setting for "never again". One attempt is the fewest, and it is led to
            // where it fails at once; the client ends with it.
            .max_reconnects(1)
            .reconnect_to_server_callback(move |_, _| {
                let again = is_connected.swap(true, Ordering::Relaxed);
                let addr = if again { &elsewhere } else { &target }.clone();
                ready(Some(ReconnectToServer { addr, delay: Some(Duration::ZERO) }))
            })
            .connect([server.clone(), nowhere].as_slice())
            .await
            .map_err(|failed| error::connect(&name, failed))?;
        // Publishes do not go through the context: what it bounds is our own room's business.
        let jetstream = ContextBuilder::new()
            .timeout(ANSWER_WITHIN.min(config.publish_timeout))
            .max_ack_inflight(1)
            .build(client.clone());
        Ok(Self {
            client,
            jetstream,
            signals,
            verified: Mutex::default(),
            looked: tokio::sync::Mutex::default(),
            has_warned: AtomicBool::new(false),
            unanswered: AtomicU32::new(0),
        })
    }

    /// The largest message that the server takes, headers included, as it said in its greeting.
    pub(crate) fn max_payload(&self) -> usize {
        self.client.max_payload()
    }

    /// Other servers of the cluster, `host:port`, as the server said in its greeting.
    pub(crate) fn others(&self) -> Vec<String> {
        self.client.server_info().connect_urls
    }

    /// Waits until the connection is over or not to be used any more.
    pub(crate) async fn over(&self) {
        let mut signals = self.signals.subscribe();
        signals.wait_for(|signals| signals.over).await.ok(); // the sender is in `self`
    }

    /// Lets the connection go, and waits for a moment until the client has.
    pub(crate) async fn release(self: Arc<Self>) {
        let mut signals = self.signals.subscribe();
        drop(self);
        // The client says so when nobody holds it any more. If somebody does, he outlives us.
        timeout(RELEASED_WITHIN, signals.wait_for(|signals| signals.closed).map(drop)).await.ok();
    }

    /// Sends a message and waits for what the stream, or nobody, answers.
    ///
    /// # Errors
    ///
    /// The outer error is ours, or the server's about our rights.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it unknown whether the stream has the message.
    pub(crate) async fn request(
        &self,
        subject: &str,
        message: Message,
    ) -> Result<Result<async_nats::Message, RequestError>, Unavailable> {
        // Who calls has a deadline of its own.
        let request = Request::new().timeout(None);
        let request = request.headers(message.headers).payload(message.payload);
        let owed = Owed(self);
        let is_it = |denied: &str| denied == subject;
        let answer =
            self.permitted(is_it, self.client.send_request(subject.to_owned(), request)).await;
        if answer.is_ok() {
            owed.answered();
        }
        if !matches!(answer, Ok(Ok(_))) {
            self.end_if_disconnected();
        }
        answer
    }

    /// The stream as it was found, looked at now if it was not yet, or was found unfit a while ago.
    pub(crate) async fn verified(&self, config: &Config) -> Result<Arc<Verified>, Unavailable> {
        if let Some(verified) = self.known() {
            return Ok(verified);
        }
        let asked = Instant::now();
        let mut last = self.looked.lock().await;
        if let Some(verified) = self.known() {
            return Ok(verified); // somebody looked while we waited
        }
        if let Some(Look { ended, found: Err(why), .. }) = &*last
            && (*ended >= asked || ended.elapsed() < LOOK_AGAIN_AFTER)
            && why.cause != Cause::Pending
        // who only looked did not make it
        {
            return Err(error::again(why));
        }
        self.look(config, Provision::Create, &mut last).await
    }

    /// The stream as it is now, or as somebody found it who began to look after `since`; made if
    /// that is wanted.
    pub(crate) async fn verified_since(
        &self,
        since: Instant,
        config: &Config,
        wanted_now: Provision,
    ) -> Result<Arc<Verified>, Unavailable> {
        let mut last = self.looked.lock().await;
        match &*last {
            Some(Look { began, found: Ok(verified), .. }) if *began > since => {
                Ok(Arc::clone(verified))
            }
            Some(Look { began, found: Err(why), .. })
                if *began > since && why.cause != Cause::Pending =>
            {
                Err(error::again(why))
            }
            Some(_) | None => self.look(config, wanted_now, &mut last).await,
        }
    }

    /// The stream is not what it was: nothing is published before it was looked at again.
    pub(crate) fn forget_stream(&self) {
        self.remember(None);
    }

    /// Asks JetStream about the stream and makes nothing.
    pub(crate) async fn ping(&self, config: &Config) -> Result<(), Unavailable> {
        let name = &config.stream.name;
        let found = self.permitted(is_api, topology::read(&self.jetstream, name)).await;
        let found = found.and_then(|found| found).inspect_err(|_| self.end_if_disconnected())?;
        let consumers = self.known().map(|verified| verified.info.state.consumer_count);
        let is_other = |info: Info| {
            topology::judge(&info, config).is_err()
                || consumers.is_some_and(|count| count != info.state.consumer_count)
        };
        if found.is_none_or(is_other) {
            self.forget_stream();
        }
        Ok(())
    }

    async fn look(
        &self,
        config: &Config,
        wanted_now: Provision,
        last: &mut Option<Look>,
    ) -> Result<Arc<Verified>, Unavailable> {
        let began = Instant::now();
        let ensure = topology::ensure(&self.jetstream, config, wanted_now);
        let found = self.permitted(is_api, ensure).await;
        let found = found.and_then(|found| found).map(Arc::new);
        self.remember(found.as_ref().ok().cloned());
        if let Ok(verified) = &found
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            topology::warn_of_differences(&verified.info, config);
        }
        let said = match &found {
            Ok(verified) => Ok(Arc::clone(verified)),
            Err(why) => {
                self.end_if_disconnected();
                Err(error::again(why))
            }
        };
        *last = Some(Look { began, ended: Instant::now(), found });
        said
    }

    /// The client drops what it would tell by itself when there is much of it, its end included;
    /// its state is always true.
    fn end_if_disconnected(&self) {
        if self.client.connection_state() != State::Connected {
            self.end();
        }
    }

    /// Nothing more goes over this connection; what is under way on it may still be answered.
    fn end(&self) {
        self.signals.send_if_modified(|signals| !std::mem::replace(&mut signals.over, true));
    }

    fn remember(&self, verified: Option<Arc<Verified>>) {
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner) = verified;
    }

    fn known(&self) -> Option<Arc<Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does `work`, unless the server says meanwhile that we may not use a subject that is `ours`.
    /// It says so beside the answer that never comes then.
    async fn permitted<T>(
        &self,
        ours: impl Fn(&str) -> bool,
        work: impl Future<Output = T>,
    ) -> Result<T, Unavailable> {
        let mut signals = self.signals.subscribe();
        let before = signals.borrow_and_update().denials(&ours);
        let denied = async {
            loop {
                if signals.changed().await.is_err() {
                    return pending().await;
                }
                let signals = signals.borrow_and_update();
                if signals.denials(&ours) > before {
                    return signals.denial(&ours);
                }
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            why = denied => Err(why),
        }
    }
}

/// A question to JetStream, or an answer from it.
fn is_api(subject: &str) -> bool {
    subject.starts_with("$JS.")
}

/// A publish that has no answer yet. Dropped without one, it is counted.
struct Owed<'a>(&'a Session);

impl Owed<'_> {
    fn answered(self) {
        std::mem::forget(self);
    }
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        if self.0.unanswered.fetch_add(1, Ordering::Relaxed) >= UNANSWERED_MAX {
            self.0.end();
        }
    }
}

// === impl Signals ===

impl Signals {
    fn note(&mut self, event: Event) {
        match event {
            // A server in lame duck mode has ended its JetStream and is about to leave.
            Event::Disconnected | Event::LameDuckMode => self.over = true,
            Event::Closed => {
                self.over = true;
                self.closed = true;
            }
            Event::ServerError(ServerError::Other(text)) => self.note_denial(&text),
            Event::ClientError(async_nats::ClientError::MaxReconnects) => {
                self.over = true;
                self.closed = true;
            }
            Event::Connected
            | Event::Draining
            | Event::SlowConsumer(_)
            | Event::ServerError(
                ServerError::AuthorizationViolation | ServerError::SlowConsumer(_),
            )
            | Event::ClientError(_) => {}
        }
    }

    /// `Permissions Violation for Publish to "vod.NewFileUpload"`, or `... for Subscription to
    /// "_INBOX.x.*"`.
    fn note_denial(&mut self, text: &str) {
        if !text.starts_with("Permissions Violation") {
            return;
        }
        if text.contains("for Subscription") {
            self.inbox_denied += 1;
        } else if let Some(subject) = text.split('"').nth(1)
            && (self.denied.len() < DENIED_MAX || self.denied.contains_key(subject))
        {
            *self.denied.entry(subject.to_owned()).or_default() += 1;
        }
    }

    fn denials(&self, ours: impl Fn(&str) -> bool) -> u64 {
        if self.denied.is_empty() {
            return self.inbox_denied;
        }
        let subjects = self.denied.iter().filter(|(subject, _)| ours(subject));
        subjects.map(|(_, count)| count).sum::<u64>() + self.inbox_denied
    }

    fn denial(&self, ours: impl Fn(&str) -> bool) -> Unavailable {
        match self.denied.keys().find(|subject| ours(subject)) {
            Some(subject) => {
                Unavailable::topology(format!("our user may not publish to {subject}"))
                    .advise(format!("add \"{subject}\" to the user's permissions.publish"))
            }
            None => Unavailable::topology("our user may not subscribe to its inbox")
                .advise("add \"_INBOX.>\" to the user's permissions.subscribe"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(text: &str) -> Signals {
        let mut signals = Signals::default();
        signals.note(Event::ServerError(ServerError::Other(text.to_owned())));
        signals
    }

    #[test]
    fn a_denial_is_told_by_its_subject() {
        let signals = denied(r#"Permissions Violation for Publish to "vod.x""#);
        assert_eq!(signals.denials(|subject| subject == "vod.x"), 1);
        assert_eq!(signals.denials(|subject| subject == "vod.y"), 0);
        let inbox = denied(r#"Permissions Violation for Subscription to "_INBOX.a.*""#);
        assert_eq!(inbox.denials(|subject| subject == "vod.y"), 1);
        assert_eq!(denied("Unknown Protocol Operation").denials(|_| true), 0);
    }
}
