//! The settings of topics, as the brokers told them last.
//!
//! Brokers that are busy answer late, and who asks cannot wait for long. What comes after the wait
//! is kept for whoever asks next, so that slow brokers are not read as brokers that tell nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminOptions, OwnedResourceSpecifier, ResourceSpecifier};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::durability::TopicSettings;
use crate::producer::Clients;
use crate::topology::value;

/// How long the brokers may take to answer, whether or not somebody still waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// How long an answer counts when no newer one comes.
const COUNTS_FOR: Duration = Duration::from_secs(60);

/// Questions under way at a time.
const QUESTIONS_MAX: usize = 4;

#[derive(Clone, Debug)]
pub(crate) struct Readings {
    read: Arc<Mutex<HashMap<String, Reading>>>,
    places: Arc<Semaphore>,
    /// Ends the questions under way.
    stop: CancellationToken,
}

#[derive(Debug)]
struct Reading {
    at: Instant,
    settings: TopicSettings,
}

// === impl Readings ===

impl Readings {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { read: Arc::default(), places: Arc::new(Semaphore::new(QUESTIONS_MAX)), stop }
    }

    /// The settings of those topics whose settings the brokers tell, or told a moment ago if they
    /// do not answer within `wait`.
    ///
    /// # Cancel safety
    ///
    /// The question stays under way, and its answer is there for the next who asks.
    pub(crate) async fn of(
        &self,
        clients: &Clients,
        topics: &[&str],
        wait: Duration,
    ) -> HashMap<String, TopicSettings> {
        if topics.is_empty() {
            return HashMap::new();
        }
        // Without a place enough questions are under way already.
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let (readings, own) = (self.clone(), clients.share());
            let topics: Vec<_> = topics.iter().map(|topic| (*topic).to_owned()).collect();
            let asked = clients.spawn(async move {
                readings.stop.run_until_cancelled(readings.ask(&own, &topics)).await;
                drop(place);
            });
            // What comes later is for the next; a panic leaves what was known.
            timeout(wait, asked).await.ok();
        }
        let read = self.lock();
        let fresh = |topic: &&str| {
            let reading = read.get(*topic).filter(|reading| reading.at.elapsed() < COUNTS_FOR)?;
            Some(((*topic).to_owned(), reading.settings.clone()))
        };
        topics.iter().filter_map(fresh).collect()
    }

    async fn ask(&self, clients: &Clients, topics: &[String]) {
        let Some(Ok(admin)) = clients.admin().await else { return };
        let resources: Vec<_> =
            topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let options = AdminOptions::new().request_timeout(Some(ANSWER_WITHIN));
        let described = match admin.describe_configs(&resources, &options).await {
            Ok(described) => described,
            Err(error) => {
                debug!(%error, "the brokers do not tell the topics' settings");
                return;
            }
        };
        let at = Instant::now();
        let mut read = self.lock();
        // So that topics that are asked about no more are forgotten.
        read.retain(|_, reading| reading.at.elapsed() < COUNTS_FOR);
        for resource in described.into_iter().flatten() {
            let OwnedResourceSpecifier::Topic(topic) = &resource.specifier else { continue };
            // rdkafka 0.39 does not look at a resource's own error: one that is denied comes
            // without entries, and would else be read as one with nothing but defaults.
            match TopicSettings::read(|name| value(&resource, name)) {
                Some(settings) => drop(read.insert(topic.clone(), Reading { at, settings })),
                None => drop(read.remove(topic)),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Reading>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
