//! What is known of the connectors: whether they answer, and what their acknowledgements survive.
//!
//! Asked again and again, because brokers go away and replicas shrink while everything else
//! seems well.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use vodbridge_core::{Durability, Fault, Provenance, Survives, Topic, Unavailable};

use crate::route::Target;
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Metrics;

/// How often a connector is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// How often a connector is asked what its acknowledgements survive.
const READ_DURABILITY_EVERY: Duration = Duration::from_secs(60);

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

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

    /// Whether the connector answered when it was last asked.
    pub fn is_up(&self) -> bool {
        self.lock().up == Some(true)
    }

    /// Whether everything about it is well: it answers, and so do all its topics.
    pub fn is_well(&self) -> bool {
        self.is_up() && self.target.shut_topics().is_empty()
    }

    /// Asks until told to stop.
    pub(crate) async fn watch(self: Arc<Self>, metrics: Arc<Metrics>, stop: CancellationToken) {
        let watching = async {
            let mut ticks = interval(ASK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut read_next = Instant::now();
            loop {
                ticks.tick().await;
                let read_now = Instant::now() >= read_next;
                if read_now {
                    read_next = Instant::now() + READ_DURABILITY_EVERY;
                }
                self.ask(if read_now { &self.topics } else { &[] }, &metrics).await;
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
        if let Some(durability) = &known.durability {
            out.insert("survives".to_owned(), survives(durability));
        }
        Value::Object(out)
    }

    /// The connector's name in the configuration.
    pub fn name(&self) -> &str {
        self.target.name()
    }

    async fn ask(&self, topics: &[Topic], metrics: &Metrics) {
        let answer = timeout(ANSWER_WITHIN, self.target.connector().check(topics)).await;
        let answer = answer
            .unwrap_or_else(|_| Err(Unavailable::outage("no answer to a check within 4 seconds")));
        self.target.set_up(answer.is_ok());
        let mut known = self.lock();
        match answer {
            Ok(answers) => {
                if known.up == Some(false) {
                    info!(connector = self.name(), "the connector answers again");
                }
                known.up = Some(true);
                (known.error, known.advice) = (None, None);
                if let Some(worst) = worst(answers.into_iter().flatten()) {
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
            Err(why) => {
                let error = Chain(&why).to_string();
                if known.up != Some(false) {
                    warn!(
                        connector = self.name(),
                        error,
                        advice = why.advice.as_deref(),
                        "the connector does not answer"
                    );
                }
                known.up = Some(false);
                known.error = Some(error);
                known.advice = why.advice.map(Into::into);
            }
        }
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

fn survives(durability: &Durability) -> Value {
    let mut out = Map::new();
    for (fault, answer) in durability.answers() {
        let fault: Fault = fault;
        let said = match answer.survives {
            Survives::Yes => "yes",
            Survives::No => "no",
            Survives::Unknown => "unknown",
        };
        let by = match answer.provenance {
            Provenance::Broker => "told by the broker",
            Provenance::Monitoring => "told by its monitoring",
            Provenance::Assumed => "assumed",
            Provenance::NotVisible => "not visible",
        };
        let mut one = json!({ "answer": said, "provenance": by });
        if let (Some(remedy), Value::Object(one)) = (&answer.remedy, &mut one) {
            one.insert("remedy".to_owned(), json!(remedy));
        }
        out.insert(fault.name().to_owned(), one);
    }
    Value::Object(out)
}
