//! What is known of the connectors: whether they answer, and what their acknowledgements survive.
//!
//! Asked again and again, because brokers go away and replicas shrink while everything else
//! seems well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vodbridge_core::{Cause, ClientStats, Durability, Fault, Survives, Topic, Unavailable};

use crate::route::{Checked, Target};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;

/// How often a connector is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How often a connector is asked what its acknowledgements survive.
const READ_DURABILITY_EVERY: Duration = Duration::from_secs(60);

/// How long an answer may take, and one that reads all topics.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
const READ_WITHIN: Duration = Duration::from_secs(15);

/// The most topics that are told one by one.
const TOPICS_TOLD_MAX: usize = 64;

/// The health of one connector.
#[derive(Debug)]
pub struct Health {
    target: Arc<Target>,
    topics: Vec<Topic>,
    required: bool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// `None` until it was asked.
    up: Option<bool>,
    error: Option<String>,
    advice: Option<String>,
    durability: Option<Durability>,
    /// Topics that may not be published to, with the reason and what to do.
    unfit: BTreeMap<Topic, (String, Option<String>)>,
}

impl Health {
    /// Nothing is known yet. `topics` are those that routes lead to at this connector; `required`
    /// says whether some route waits for it.
    pub fn new(target: Arc<Target>, topics: Vec<Topic>, required: bool) -> Arc<Self> {
        Arc::new(Self { target, topics, required, known: Mutex::default() })
    }

    /// Whether some route waits for this connector.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether the connector answered when it was last asked, and some topic of it may be
    /// published to.
    pub fn is_up(&self) -> bool {
        let known = self.lock();
        let all_unfit = !self.topics.is_empty() && known.unfit.len() == self.topics.len();
        known.up == Some(true) && !all_unfit
    }

    /// Whether everything about it is well: it answers, and so do all its topics.
    pub fn is_well(&self) -> bool {
        self.is_up() && self.lock().unfit.is_empty() && self.target.shut_topics().is_empty()
    }

    /// How many topics take nothing now: for want of topology or a right, because they promise less
    /// than is required, or because the broker is away.
    pub fn unavailable_topics(&self) -> usize {
        let known = self.lock();
        let shut = self.target.shut_topics();
        known.unfit.len() + shut.iter().filter(|topic| !known.unfit.contains_key(topic)).count()
    }

    /// Asks until told to stop.
    pub(crate) async fn watch(self: Arc<Self>, metrics: Arc<Metrics>, stop: CancellationToken) {
        for fault in Fault::ALL {
            let required = self.target.requires(fault);
            metrics.set_durability_required(self.name(), fault.name(), required);
        }
        let watching = async {
            let mut ticks = interval(ASK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut read_next = Instant::now();
            loop {
                ticks.tick().await;
                let read_now = Instant::now() >= read_next;
                let (topics, within) = if read_now {
                    (self.topics.as_slice(), READ_WITHIN)
                } else {
                    (&[][..], ANSWER_WITHIN)
                };
                // What could not be read is read at the next tick.
                if self.ask(topics, within, &metrics).await && read_now {
                    read_next = Instant::now() + READ_DURABILITY_EVERY;
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Everything that is known, for people and programs.
    pub fn to_json(&self) -> Value {
        let known = self.lock();
        let mut out = Map::new();
        out.insert("up".to_owned(), json!(known.up));
        out.insert("required".to_owned(), json!(self.required));
        if let Some(error) = &known.error {
            out.insert("error".to_owned(), json!(error));
        }
        if let Some(advice) = &known.advice {
            out.insert("advice".to_owned(), json!(advice));
        }
        let shut = self.target.shut_topics();
        if !shut.is_empty() {
            let shut: Vec<_> = shut.iter().map(Topic::as_str).collect();
            out.insert("unavailable_topics".to_owned(), json!(shut));
        }
        if !known.unfit.is_empty() {
            let one = |(topic, (error, advice)): (&Topic, &(String, Option<String>))| {
                let why = json!({ "error": error, "advice": advice });
                (topic.to_string(), why)
            };
            let told: Map<_, _> = known.unfit.iter().take(TOPICS_TOLD_MAX).map(one).collect();
            out.insert("unfit_topics".to_owned(), Value::Object(told));
        }
        if let Some(durability) = &known.durability {
            out.insert("survives".to_owned(), survives(durability));
        }
        Value::Object(out)
    }

    /// What the connector's client library counts of itself, where it does.
    pub fn client_stats(&self) -> Option<ClientStats> {
        self.target.client_stats()
    }

    /// How many publishes ended, as [`Target::published`].
    pub fn published(&self) -> [u64; 4] {
        self.target.published()
    }

    /// The connector's name in the configuration.
    pub fn name(&self) -> &str {
        self.target.name()
    }

    /// Asks once; true if there was an answer.
    async fn ask(&self, topics: &[Topic], within: Duration, metrics: &Metrics) -> bool {
        let answer = self.target.check_within(topics, within).await;
        self.target.set_up(answer.is_ok());
        match answer {
            Ok(answers) => {
                let mut known = self.lock();
                if known.up == Some(false) {
                    info!(connector = self.name(), "the connector answers again");
                }
                known.up = Some(true);
                (known.error, known.advice) = (None, None);
                drop(known);
                self.note(topics, answers, metrics);
                true
            }
            Err(why) => {
                self.note_silence(&why);
                false
            }
        }
    }

    /// Notes what was read of topics, and says what has changed.
    fn note(&self, topics: &[Topic], answers: Vec<Checked>, metrics: &Metrics) {
        let mut durabilities = Vec::new();
        let mut known = self.lock();
        for (topic, Checked { durability, fit }) in topics.iter().zip(answers) {
            durabilities.extend(durability);
            match fit {
                Ok(()) => {
                    if known.unfit.remove(topic).is_some() {
                        info!(connector = self.name(), topic = topic.as_str(), "fit again");
                    }
                }
                // The first event for it makes it.
                Err(why) if why.cause == Cause::Pending => drop(known.unfit.remove(topic)),
                Err(why) => {
                    let error = Chain(&why).to_string();
                    let advice = why.advice.map(String::from);
                    if !known.unfit.contains_key(topic) {
                        warn!(
                            connector = self.name(),
                            topic = topic.as_str(),
                            error,
                            advice,
                            "nothing may be published here"
                        );
                    }
                    known.unfit.insert(topic.clone(), (error, advice));
                }
            }
        }
        if let Some(worst) = worst(durabilities.into_iter()) {
            for (fault, answer) in worst.answers() {
                let value = match answer.survives {
                    Survives::Yes => 1,
                    Survives::No => 0,
                    Survives::Unknown => -1,
                };
                metrics.set_durability(self.name(), fault.name(), value);
            }
            known.durability = Some(worst);
        }
    }

    fn note_silence(&self, why: &Unavailable) {
        let mut known = self.lock();
        let error = Chain(why).to_string();
        if known.up != Some(false) {
            let advice = why.advice.as_deref();
            warn!(connector = self.name(), error, advice, "the connector does not answer");
        }
        known.up = Some(false);
        known.error = Some(error);
        known.advice = why.advice.clone().map(Into::into);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worst answer to each fault over several topics: a no before what is unknown, and that
/// before a yes.
fn worst(all: impl Iterator<Item = Durability>) -> Option<Durability> {
    let rank = |survives| match survives {
        Survives::No => 0,
        Survives::Unknown => 1,
        Survives::Yes => 2,
    };
    all.reduce(|a, b| {
        let worse = |a: vodbridge_core::Answer, b: vodbridge_core::Answer| {
            if rank(b.survives) < rank(a.survives) { b } else { a }
        };
        Durability {
            process: worse(a.process, b.process),
            machine: worse(a.machine, b.machine),
            node: worse(a.node, b.node),
            all: worse(a.all, b.all),
        }
    })
}

/// The four answers for programs.
pub fn survives(durability: &Durability) -> Value {
    let mut out = Map::new();
    for (fault, answer) in durability.answers() {
        let (said, by) = (answer.survives.name(), answer.provenance.name());
        let mut one = json!({ "answer": said, "provenance": by });
        if let (Some(remedy), Value::Object(one)) = (&answer.remedy, &mut one) {
            one.insert("remedy".to_owned(), json!(remedy));
        }
        out.insert(fault.name().to_owned(), one);
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use tokio::task::JoinSet;
    use tokio::time::{sleep, timeout};
    use vodbridge_core::{Connector, Event, PublishError};

    use super::*;
    use crate::route::Demand;

    /// A connector whose check panics as long as this is true.
    struct Panics(AtomicBool);

    #[async_trait]
    impl Connector for Panics {
        async fn publish(&self, _: &Event, _: &Topic) -> Result<(), PublishError> {
            Ok(())
        }

        async fn check(
            &self,
            _: &[Topic],
        ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
            if self.0.load(Ordering::Relaxed) {
                // Unwinds as a panic does, without a word on standard error.
                resume_unwind(Box::new("scripted panic of a check"));
            }
            Ok(Vec::new())
        }

        async fn close(&self) {}
    }

    async fn until(mut is_so: impl FnMut() -> bool) {
        let soon = async {
            while !is_so() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), soon).await.expect("not in time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_panics_is_no_answer_and_the_next_one_may_be() {
        let metrics = Arc::new(Metrics::new());
        let connector = Arc::new(Panics(AtomicBool::new(false)));
        let demand = Demand::new(Vec::new(), Vec::new());
        let publishing = metrics.publishing("out");
        let within = Duration::from_secs(20);
        let target = Target::new("out", Arc::clone(&connector) as _, within, demand, publishing);
        let health = Health::new(target, Vec::new(), true);
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(Arc::clone(&health).watch(metrics, stop.clone()));
        for panics in [false, true, false] {
            connector.0.store(panics, Ordering::Relaxed);
            until(|| health.is_up() != panics).await;
        }
        stop.cancel();
        tasks.join_next().await.unwrap().unwrap();
    }
}
