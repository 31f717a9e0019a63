use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{
    self, ContentMode, Fault, IN_FLIGHT, IN_FLIGHT_BYTES, PUBLISH_TIMEOUT, Provision, TlsClient,
};
use crate::config::report::Report;
use crate::config::secret::Secret;
use crate::config::tree::Path;
use crate::config::{Size, duration};

/// NATS JetStream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NatsConnector {
    /// `nats://host:port` or `tls://host:port` of servers of one cluster. At least one.
    pub servers: Vec<String>,
    /// The stream that keeps the events.
    pub stream: String,
    /// What the stream covers, if the bridge makes it.
    pub subjects: Vec<String>,
    /// How many copies the stream has, if the bridge makes it: 1, 3 or 5.
    pub replicas: u8,
    /// For how long the stream keeps an event, if the bridge makes it. Default: for ever.
    #[serde(with = "duration::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    pub max_age: Option<Duration>,
    /// How much the stream keeps before it takes no more, if the bridge makes it. Default: as
    /// much as the server has room for.
    pub max_bytes: Option<Size>,
    /// For how long the stream knows an event again, if the bridge makes it.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub duplicate_window: Duration,
    /// Streams whose acknowledgement may mean nothing, which you want all the same.
    pub accept: Vec<Accept>,
    /// What is done about a missing stream.
    pub topology: Provision,
    /// What the servers call the bridge.
    pub client_id: String,
    /// Who logs in, with `password`. Default: nobody.
    pub user: Option<String>,
    /// The password, read again at every connection.
    #[serde(skip_serializing)]
    pub password: Option<Secret>,
    /// A token instead of user and password. Default: none.
    #[serde(skip_serializing)]
    pub token: Option<Secret>,
    /// The seed of an nkey instead of user and password. Default: none.
    #[serde(skip_serializing)]
    pub nkey_seed: Option<Secret>,
    /// A file with a JWT and its nkey's seed, as nsc writes it. Default: none.
    pub credentials_file: Option<PathBuf>,
    /// Speaks TLS; `{}` does so with all defaults. Default: TLS where the address says `tls://`.
    pub tls: Option<TlsClient>,
    /// Whether TLS comes before the server's greeting.
    pub tls_first: bool,
    /// How long one publishing may take. At least 1s and less than 25s, so that a pulled event
    /// can be confirmed before VOD gives it to somebody else.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub publish_timeout: Duration,
    /// What an acknowledgement must survive. Below it the connector is unavailable.
    pub require: Vec<Fault>,
    /// What is taken as survived although the server does not tell.
    pub assume: Vec<Fault>,
    /// Publishes under way at a time; further ones wait.
    pub in_flight: u32,
    /// The bytes of those.
    pub in_flight_bytes: Size,
    /// How an event lies in a message.
    pub mode: ContentMode,
    /// The server's monitoring address, `http://host:8222`: it tells how often it flushes to
    /// disk. Default: not asked.
    pub monitoring_url: Option<String>,
}

/// Streams that are refused unless they are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// One that keeps its messages in memory.
    MemoryStorage,
    /// One that acknowledges before it writes (`persist_mode: async`).
    AsyncPersistence,
    /// One that keeps a message only while some consumer wants it.
    InterestRetention,
}

const SUBJECTS_MAX: usize = 64;

impl Default for NatsConnector {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            stream: "VOD".to_owned(),
            subjects: vec!["vod.>".to_owned()],
            replicas: 1,
            max_age: None,
            max_bytes: None,
            duplicate_window: Duration::from_secs(10 * 60),
            accept: Vec::new(),
            topology: Provision::default(),
            client_id: "vodbridge".to_owned(),
            user: None,
            password: None,
            token: None,
            nkey_seed: None,
            credentials_file: None,
            tls: None,
            tls_first: false,
            publish_timeout: PUBLISH_TIMEOUT,
            require: Vec::new(),
            assume: Vec::new(),
            in_flight: IN_FLIGHT,
            in_flight_bytes: IN_FLIGHT_BYTES,
            mode: ContentMode::default(),
            monitoring_url: None,
        }
    }
}

impl NatsConnector {
    pub(super) fn check(&mut self, at: &Path, report: &mut Report<'_>) {
        common::addresses(&self.servers, "nats://nats:4222", fault, &at.join("servers"), report);
        common::publish_timeout_of_network(self.publish_timeout, at, report);
        common::in_flight(self.in_flight, at, report);
        let is_name = |c: char| !c.is_whitespace() && !c.is_control() && !".*>/\\".contains(c);
        report.expect(
            !self.stream.is_empty() && self.stream.len() <= 255 && self.stream.chars().all(is_name),
            &at.join("stream"),
            format!("found {:?}, expected a name without blanks and . * > / \\", self.stream),
        );
        report.expect(
            (1..=SUBJECTS_MAX).contains(&self.subjects.len()),
            &at.join("subjects"),
            format!("found {} subjects, expected 1 to {SUBJECTS_MAX}", self.subjects.len()),
        );
        for (n, subject) in self.subjects.iter().enumerate() {
            report.expect(
                is_subject(subject),
                &at.join("subjects").join(n),
                format!("found {subject:?}, expected a subject such as vod.>"),
            );
        }
        report.expect(
            matches!(self.replicas, 1 | 3 | 5),
            &at.join("replicas"),
            format!("found {}, expected 1, 3 or 5", self.replicas),
        );
        if let Some(max_age) = self.max_age {
            report.expect(!max_age.is_zero(), &at.join("max_age"), "found 0s, expected more");
        }
        report.expect(
            self.duplicate_window >= self.publish_timeout,
            &at.join("duplicate_window"),
            format!(
                "found {}, expected at least publish_timeout ({})",
                humantime::format_duration(self.duplicate_window),
                humantime::format_duration(self.publish_timeout),
            ),
        );
        self.check_login(at, report);
        if let Some(tls) = &self.tls {
            tls.check(&at.join("tls"), report);
            let at = at.join("tls").join("verify_hostname");
            report.expect(tls.verify_hostname, &at, "found false, which only kafka can do");
        }
        common::http_url(
            &self.monitoring_url,
            "http://nats:8222",
            &at.join("monitoring_url"),
            report,
        );
    }

    fn check_login(&mut self, at: &Path, report: &mut Report<'_>) {
        let ways = [
            self.user.is_some(),
            self.token.is_some(),
            self.nkey_seed.is_some(),
            self.credentials_file.is_some(),
        ];
        report.expect(
            ways.iter().filter(|is_there| **is_there).count() <= 1,
            at,
            "expected one of user, token, nkey_seed and credentials_file",
        );
        common::wanted(&self.password, self.user.is_some(), "user", &at.join("password"), report);
        common::secret(&mut self.password, &at.join("password"), report);
        common::secret(&mut self.token, &at.join("token"), report);
        common::secret(&mut self.nkey_seed, &at.join("nkey_seed"), report);
        if let Some(file) = &self.credentials_file
            && let Err(error) = std::fs::File::open(file)
        {
            let message = format!("the file {} cannot be read: {error}", file.display());
            report.problem(&at.join("credentials_file"), message);
        }
    }
}

fn is_subject(subject: &str) -> bool {
    let is_token = |token: &str| {
        !token.is_empty() && token.chars().all(|c| !c.is_whitespace() && !c.is_control())
    };
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        if !is_token(token) || token == ">" && tokens.peek().is_some() {
            return false;
        }
    }
    true
}

/// What is wrong with an address. It may hold a password, and is not shown then.
fn fault(url: &str) -> Option<String> {
    let rest = url.strip_prefix("nats://").or_else(|| url.strip_prefix("tls://"));
    if rest.is_some_and(|rest| rest.contains('@')) {
        return Some(
            "found an address with a user, expected user and password, or token, under keys of \
             these names"
                .to_owned(),
        );
    }
    (!rest.is_some_and(common::is_host_and_port))
        .then(|| format!("found {url:?}, expected nats://host:port or tls://host:port"))
}
