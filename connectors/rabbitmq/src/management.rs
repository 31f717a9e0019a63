//! What only the management API tells: which queues an exchange reaches, what they are, and
//! whether an alternate exchange blinds `mandatory`.
//!
//! Whatever it does not tell is not known: never fine, and never missing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Certificate, Client, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::warn;
use vodbridge_core::{BoxError, Secret, Topic, Unavailable};

use crate::durability::Kind;
use crate::{Config, Management, pattern};

/// How long one question may take; whoever asks for a check waits four seconds for all of it.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

/// The management API, asked about one virtual host.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    url: Url,
    vhost: String,
    user: String,
    password: Secret,
    /// Whether it was already said that nothing can be seen.
    is_blind: AtomicBool,
}

/// What was seen of the exchange.
#[derive(Debug)]
pub(crate) struct Seen {
    alternate: Option<String>,
    bindings: Vec<Binding>,
    /// Of the broker: `3.13.7`.
    version: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Binding {
    destination: String,
    destination_type: String,
    routing_key: String,
}

#[derive(Debug, Deserialize)]
struct Exchange {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    arguments: HashMap<String, Value>,
    policy: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Policy {
    #[serde(default)]
    definition: HashMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Overview {
    rabbitmq_version: Option<String>,
}

#[derive(Debug, Deserialize)]
struct QueueFacts {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    durable: bool,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default)]
    arguments: HashMap<String, Value>,
}

const ALTERNATE: &str = "alternate-exchange";

// === impl Api ===

impl Api {
    /// # Errors
    ///
    /// An address that is none, or a certificate file that cannot be used.
    pub(crate) fn new(
        management: &Management,
        config: &Config,
        vhost: &str,
    ) -> Result<Self, BoxError> {
        let url = Url::parse(&management.url)
            .map_err(|why| format!("management.url is no URL: {why}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("management.url is no http:// or https:// URL".into());
        }
        let mut client = Client::builder().timeout(ANSWER_WITHIN);
        if let Some(file) = config.tls.as_ref().and_then(|tls| tls.ca_file.as_ref()) {
            let pem = std::fs::read(file)
                .map_err(|why| format!("tls.ca_file ({}) cannot be read: {why}", file.display()))?;
            client = client.tls_certs_only(Certificate::from_pem_bundle(&pem)?);
        }
        Ok(Self {
            client: client.build()?,
            url,
            vhost: vhost.to_owned(),
            user: management.user.clone().unwrap_or_else(|| config.user.clone()),
            password: management.password.clone().unwrap_or_else(|| config.password.clone()),
            is_blind: AtomicBool::new(false),
        })
    }

    /// What there is to see of an exchange; `None` when it is not shown.
    pub(crate) async fn look(&self, exchange: &str) -> Option<Seen> {
        let path = ["exchanges", self.vhost.as_str(), exchange, "bindings", "source"];
        let (found, bindings, overview) = tokio::join!(
            self.get::<Exchange>(&path[..3]),
            self.get::<Vec<Binding>>(&path),
            self.get::<Overview>(&["overview"]),
        );
        let (found, mut bindings) = match (found, bindings) {
            (Ok(found), Ok(bindings)) => (found, bindings),
            (Err(why), _) | (_, Err(why)) => {
                if !self.is_blind.swap(true, Ordering::Relaxed) {
                    warn!(error = %why, "RabbitMQ's management API tells nothing; give its user the tag management");
                }
                return None;
            }
        };
        self.is_blind.store(false, Ordering::Relaxed);
        if found.kind == "fanout" {
            // It looks at no key.
            bindings.iter_mut().for_each(|binding| "#".clone_into(&mut binding.routing_key));
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut alternate = found.arguments.get(ALTERNATE).and_then(text);
        if alternate.is_none()
            && let Some(name) = &found.policy
        {
            match self.get::<Policy>(&["policies", &self.vhost, name]).await {
                Ok(policy) => alternate = policy.definition.get(ALTERNATE).and_then(text),
                Err(why) => {
                    warn!(policy = name, error = %why, "an alternate exchange may be hidden in a policy; give the user of the management API the tag policymaker");
                }
            }
        }
        let version = overview.ok().and_then(|overview| overview.rabbitmq_version);
        Some(Seen { alternate, bindings, version })
    }

    /// What the queues are that an event of the topic reaches.
    pub(crate) async fn queues(&self, seen: &Seen, topic: &Topic) -> Vec<Kind> {
        let mut reached: Vec<&Binding> = seen
            .bindings
            .iter()
            .filter(|binding| pattern::matches(&binding.routing_key, topic.as_str()))
            .collect();
        // Several bindings may lead to one queue.
        reached.sort_by_key(|binding| (&binding.destination_type, &binding.destination));
        reached.dedup_by_key(|binding| (&binding.destination_type, &binding.destination));
        let kind = |binding: &&Binding| {
            let is_queue = binding.destination_type == "queue";
            let name = binding.destination.clone();
            async move {
                // What another exchange makes of it is not followed.
                if is_queue { self.queue(&name, seen).await } else { Kind::Unknown }
            }
        };
        join_all(reached.iter().map(kind)).await
    }

    async fn queue(&self, name: &str, seen: &Seen) -> Kind {
        let Ok(facts) = self.get::<QueueFacts>(&["queues", &self.vhost, name]).await else {
            return Kind::Unknown;
        };
        match facts.kind.as_deref() {
            Some("quorum") if facts.members.is_empty() => Kind::Quorum { members: None },
            Some("quorum") => Kind::Quorum { members: Some(facts.members.len()) },
            Some("stream") => Kind::Stream { members: facts.members.len() },
            // Before 3.8 there was nothing else, and no word for it.
            Some("classic") | None => {
                Kind::Classic { durable: facts.durable, flushed: seen.is_flushed(&facts) }
            }
            Some(_) => Kind::Unknown,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, BoxError> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| "management.url is no base for paths")?
            .pop_if_empty()
            .push("api")
            .extend(path);
        let password = self.password.read_text()?;
        let request = self.client.get(url).basic_auth(&self.user, Some(password));
        // The address may hold what is not for logs.
        let answer = request.send().await.map_err(reqwest::Error::without_url)?;
        match answer.status() {
            StatusCode::OK => Ok(answer.json().await.map_err(reqwest::Error::without_url)?),
            status => Err(format!("{status} at /api/{}", path.join("/")).into()),
        }
    }
}

// === impl Seen ===

impl Seen {
    /// Why nothing may be published there, if an alternate exchange takes what has no queue.
    ///
    /// RabbitMQ, "Alternate Exchanges": "If a message is routed via an AE it still counts as routed
    /// for the purpose of the 'mandatory' flag".
    pub(crate) fn alternate(&self, exchange: &str) -> Option<Unavailable> {
        let alternate = self.alternate.as_ref()?;
        Some(
            Unavailable::topology(format!(
                "exchange {exchange:?} has the alternate exchange {alternate:?}: what no queue \
                 takes would be confirmed"
            ))
            .advise(
                "remove it from the exchange's arguments or the policy: rabbitmqctl list_policies",
            ),
        )
    }

    /// Whether a classic queue is flushed before it confirms; `None` when that is not known.
    ///
    /// From 3.10 to 3.12 it is in version 1 of its storage, and not in version 2. That comes by an
    /// argument, a policy or `classic_queue.default_version`; an argument overrules both others
    /// (rabbit_amqqueue_process.erl: `{<<"queue-version">>, fun res_arg/2, ...}`).
    fn is_flushed(&self, queue: &QueueFacts) -> Option<bool> {
        let mut parts = self.version.as_deref()?.split('.');
        let mut number = || parts.next()?.parse::<u32>().ok();
        match (number()?, number()?) {
            version if version < (3, 10) => Some(true),
            version if version >= (3, 13) => Some(false),
            _ => (queue.arguments.get("x-queue-version")?.as_u64()? == 1).then_some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classic_queues_are_flushed_by_the_versions_of_the_broker_and_of_their_storage() {
        let (none, one, two) =
            (json!({}), json!({ "x-queue-version": 1 }), json!({ "x-queue-version": 2 }));
        for (version, arguments, expected) in [
            (Some("3.9.29"), &none, Some(true)),
            (Some("3.10.8"), &none, None),
            (Some("3.10.8"), &one, Some(true)),
            (Some("3.12.14"), &one, Some(true)),
            (Some("3.12.14"), &two, None),
            (Some("3.13.7"), &one, Some(false)),
            (Some("4.0.5"), &none, Some(false)),
            (Some("unknown"), &one, None),
            (None, &one, None),
        ] {
            let version = version.map(str::to_owned);
            let seen = Seen { alternate: None, bindings: Vec::new(), version };
            let queue = json!({ "type": "classic", "durable": true, "arguments": arguments });
            let queue = serde_json::from_value(queue).unwrap();
            assert_eq!(seen.is_flushed(&queue), expected, "{:?} {arguments}", seen.version);
        }
    }
}
