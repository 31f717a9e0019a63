//! Whether topics are there and fit, and making those that are missing.

mod make;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::admin::ConfigResource;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::metadata::{Metadata, MetadataTopic};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vodbridge_core::{Durability, Provision, Topic, Unavailable};

use crate::Config;
use crate::durability::{Replicas, TopicSettings, answers};
use crate::error::{Repair, Site, create_command, of_topic, unavailable};
use crate::limits::Limits;
use crate::producer::Clients;
use crate::readings::Readings;

/// How long an answer about topics is waited for. Both of these together are less than the four
/// seconds after which a check is given up.
const METADATA_WITHIN_MAX: Duration = Duration::from_secs(2);
const DESCRIBE_WITHIN_MAX: Duration = Duration::from_millis(1500);

/// For how long a failure is the answer to whoever comes next, so that a thousand publishes to a
/// missing topic ask for it once.
const FAILURE_COUNTS_FOR: Duration = Duration::from_secs(1);

/// Topics that are remembered; beyond it all are asked for anew.
const TOPICS_MAX: usize = 10_000;

/// What is known of the topics that were published to.
#[derive(Debug)]
pub(crate) struct Topology {
    config: Arc<Config>,
    site: Site,
    metadata_within: Duration,
    describe_within: Duration,
    readings: Readings,
    /// Topics that are there and fit.
    fit: RwLock<HashMap<Topic, ()>>,
    /// Topics that somebody is asking about.
    asked: Mutex<HashMap<Topic, Turn>>,
    made: AtomicU32,
}

/// Whoever holds it asks; what it found, if it was a failure, is in it.
type Turn = Arc<tokio::sync::Mutex<Option<Failed>>>;

#[derive(Debug)]
struct Failed {
    at: Instant,
    why: Unavailable,
}

// === impl Topology ===

impl Topology {
    pub(crate) fn new(config: Arc<Config>, site: Site, stop: CancellationToken) -> Self {
        let (fit, asked) = (RwLock::default(), Mutex::default());
        // Both fit into what a publish waits, so that a broker that never tells settings is no
        // reason not to publish.
        let wait = Limits::of(config.publish_timeout).wait;
        let metadata_within = METADATA_WITHIN_MAX.min(wait / 2);
        let describe_within = DESCRIBE_WITHIN_MAX.min(wait / 3);
        let made = AtomicU32::new(0);
        let readings = Readings::new(stop);
        Self { config, site, metadata_within, describe_within, readings, fit, asked, made }
    }

    /// Returns once the topic is there and fit; makes it if that is asked for.
    ///
    /// # Errors
    ///
    /// Why it is not.
    ///
    /// # Cancel safety
    ///
    /// The topic may be made all the same.
    pub(crate) async fn ensure(&self, clients: &Clients, topic: &Topic) -> Result<(), Unavailable> {
        if self.is_fit(topic) {
            return Ok(());
        }
        let turn = self.turn(topic);
        let mut failed = turn.lock().await;
        if self.is_fit(topic) {
            return Ok(());
        }
        if let Some(Failed { at, why }) = &*failed
            && at.elapsed() < FAILURE_COUNTS_FOR
        {
            return Err(again(why));
        }
        match self.ask(clients, topic.as_str()).await {
            Ok(()) => {
                self.note_fit(topic);
                lock(&self.asked).remove(topic);
                Ok(())
            }
            Err(why) => {
                let answer = again(&why);
                *failed = Some(Failed { at: Instant::now(), why });
                Err(answer)
            }
        }
    }

    /// A topic that a broker says is not there, or not ours, must be asked for again.
    pub(crate) fn doubt(&self, topic: &Topic) {
        self.fit.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    /// What to say when the brokers are too slow with an answer to wait for it.
    pub(crate) fn unanswered(&self, clients: &Clients) -> Unavailable {
        self.outage(KafkaError::MetadataFetch(Code::OperationTimedOut), clients)
    }

    /// Asks whether the brokers answer, with as little as possible.
    pub(crate) async fn ping(&self, clients: &Clients) -> Result<(), Unavailable> {
        let known = self.fit.read().unwrap_or_else(PoisonError::into_inner).keys().next().cloned();
        // Without a topic the brokers tell about all of theirs.
        let topic = known.map(|topic| topic.as_str().to_owned());
        let said = clients.metadata(topic, self.metadata_within).await;
        said.map(drop).map_err(|error| self.outage(error, clients))
    }

    /// What each topic is like.
    ///
    /// # Errors
    ///
    /// The outer error is the brokers', the inner one the topic's.
    pub(crate) async fn describe(
        &self,
        clients: &Clients,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        let one = match topics {
            [one] => Some(one.as_str().to_owned()),
            _ => None,
        };
        let metadata = clients.metadata(one, self.metadata_within).await;
        let metadata = metadata.map_err(|error| self.outage(error, clients))?;
        let mut there: Vec<_> =
            topics.iter().map(|topic| self.replicas(&metadata, topic.as_str())).collect();
        if topics.len() > 1 {
            for (topic, there) in topics.iter().zip(&mut there) {
                // Of all topics the brokers leave out those that this user may not see; asked by
                // name they say so.
                if is_missing(&metadata, topic.as_str()) {
                    let name = Some(topic.as_str().to_owned());
                    let asked = clients.metadata(name, self.metadata_within).await;
                    let asked = asked.map_err(|error| self.outage(error, clients))?;
                    *there = self.replicas(&asked, topic.as_str());
                }
            }
        }
        // Asked for twice, a topic would be a malformed request.
        let names: BTreeSet<_> = topics
            .iter()
            .zip(&there)
            .filter(|(_, there)| there.is_ok())
            .map(|(topic, _)| topic.as_str())
            .collect();
        let settings =
            self.readings.of(clients, &Vec::from_iter(names), self.describe_within).await;
        let answers = topics.iter().zip(there).map(|(topic, replicas)| {
            let replicas = replicas?;
            let settings = settings.get(topic.as_str());
            if let Err(why) = self.judge(topic.as_str(), replicas, settings) {
                self.doubt(topic);
                return Err(why);
            }
            Ok(answers(replicas, settings))
        });
        Ok(answers.collect())
    }

    async fn ask(&self, clients: &Clients, topic: &str) -> Result<(), Unavailable> {
        let metadata = clients.metadata(Some(topic.to_owned()), self.metadata_within).await;
        let metadata = metadata.map_err(|error| self.outage(error, clients))?;
        let replicas = match self.replicas(&metadata, topic) {
            Err(_) if is_missing(&metadata, topic) && self.config.topology == Provision::Create => {
                self.make(clients, topic, metadata.brokers().first().map(|b| b.id())).await?
            }
            other => other?,
        };
        // The brokers have answered about the topic already, so that what they do not tell of its
        // settings is only not visible: some that look like Kafka never answer this question.
        let settings = self.readings.of(clients, &[topic], self.describe_within).await;
        self.judge(topic, replicas, settings.get(topic))
    }

    /// Whether an acknowledgement of this topic means what it should.
    fn judge(
        &self,
        topic: &str,
        replicas: Replicas,
        settings: Option<&TopicSettings>,
    ) -> Result<(), Unavailable> {
        let Some(settings) = settings else { return Ok(()) };
        let bootstrap = &self.site.bootstrap;
        if settings.only_compacts {
            // An event of a file would make the file's earlier ones vanish.
            return Err(Unavailable::topology(format!(
                "topic {topic} has cleanup.policy=compact, which removes acknowledged events"
            ))
            .advise(format!(
                "kafka-configs --bootstrap-server {bootstrap} --alter --topic {topic} \
                 --add-config cleanup.policy=delete"
            )));
        }
        if replicas.in_sync < settings.min_in_sync {
            let mut why = of_topic(Code::NotEnoughReplicas, topic, &self.site);
            why.message = format!(
                "topic {topic} takes nothing: {} of its replicas are in sync, and \
                 min.insync.replicas is {}",
                replicas.in_sync, settings.min_in_sync
            )
            .into();
            return Err(why);
        }
        Ok(())
    }

    /// The topic's replicas, if it is there and has leaders.
    fn replicas(&self, metadata: &Metadata, topic: &str) -> Result<Replicas, Unavailable> {
        let found = find(metadata, topic);
        let code = found
            .map_or(Some(Code::UnknownTopicOrPartition), |found| found.error().map(Code::from));
        if let Some(code) = code {
            return Err(self.not_there(code, topic));
        }
        let partitions = found.map(MetadataTopic::partitions).unwrap_or_default();
        if let Some(partition) = partitions.iter().find(|partition| partition.leader() < 0) {
            let mut why = of_topic(Code::LeaderNotAvailable, topic, &self.site);
            why.message =
                format!("partition {} of topic {topic} has no leader", partition.id()).into();
            return Err(why.advise("start the brokers that hold its replicas"));
        }
        let weakest = |count: fn(&rdkafka::metadata::MetadataPartition) -> usize| {
            partitions.iter().map(count).min().unwrap_or_default()
        };
        Ok(Replicas {
            assigned: weakest(|p| p.replicas().len()),
            in_sync: weakest(|p| p.isr().len()),
        })
    }

    fn not_there(&self, code: Code, topic: &str) -> Unavailable {
        let why = of_topic(code, topic, &self.site);
        if Repair::of(code) == Repair::CreateTopic && self.config.topology == Provision::Create {
            let command = create_command(topic, &self.site);
            return Unavailable::pending(format!(
                "there is no topic {topic} yet; it is made with the first event for it"
            ))
            .advise(format!("to make it now: vodbridge check --create, or {command}"));
        }
        why
    }

    fn outage(&self, error: KafkaError, clients: &Clients) -> Unavailable {
        let brokers = self.config.brokers.join(",");
        if clients.trouble().is_none() && is_passing(&error) {
            return Unavailable::outage(format!("the Kafka brokers at {brokers} do not answer"))
                .advise("look whether they run, and whether this is their address")
                .caused_by(error);
        }
        let denied = is_denied(&error);
        let mut why = unavailable(error, "", clients.trouble().as_ref(), &self.site);
        if clients.trouble().is_none() && !denied {
            why.message = format!("the Kafka brokers at {brokers} answer with an error").into();
        }
        why
    }

    /// Where those queue who ask for the same topic.
    fn turn(&self, topic: &Topic) -> Turn {
        let mut asked = lock(&self.asked);
        if asked.len() >= TOPICS_MAX {
            asked.clear();
        }
        Arc::clone(asked.entry(topic.clone()).or_default())
    }

    fn is_fit(&self, topic: &Topic) -> bool {
        self.fit.read().unwrap_or_else(PoisonError::into_inner).contains_key(topic)
    }

    fn note_fit(&self, topic: &Topic) {
        let mut fit = self.fit.write().unwrap_or_else(PoisonError::into_inner);
        if fit.len() >= TOPICS_MAX {
            fit.clear();
        }
        fit.insert(topic.clone(), ());
    }
}

fn find<'a>(metadata: &'a Metadata, topic: &str) -> Option<&'a MetadataTopic> {
    metadata.topics().iter().find(|found| found.name() == topic)
}

fn is_missing(metadata: &Metadata, topic: &str) -> bool {
    let code = find(metadata, topic).map(|found| found.error().map(Code::from));
    matches!(code, None | Some(Some(Code::UnknownTopicOrPartition | Code::UnknownTopic)))
}

pub(crate) fn value<'a>(resource: &'a ConfigResource, name: &str) -> Option<&'a str> {
    resource.entries.iter().find(|entry| entry.name == name)?.value.as_deref()
}

fn is_denied(error: &KafkaError) -> bool {
    let denied = |code| matches!(Repair::of(code), Repair::PermitTopic | Repair::PermitIdempotence);
    error.rdkafka_error_code().is_some_and(denied)
}

/// Whether the brokers are at fault, not what they were asked for.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::TimedOutQueue
                | Code::MessageTimedOut
                | Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::NotController
                | Code::LeaderNotAvailable
                | Code::BrokerNotAvailable
                | Code::ThrottlingQuotaExceeded
        )
    ) || *error == KafkaError::Canceled
}

/// The same answer for another who asked.
fn again(why: &Unavailable) -> Unavailable {
    Unavailable {
        cause: why.cause,
        message: why.message.clone(),
        advice: why.advice.clone(),
        source: why.source.as_ref().map(|source| source.to_string().into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
