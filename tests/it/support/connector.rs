use std::collections::{HashMap, HashSet, VecDeque};
use std::future::pending;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::sleep;
use vodbridge_core::{
    Answer as Survival, Connector, Durability, Event, Provenance, PublishError, Survives, Topic,
    Unavailable,
};

/// How a fake answers one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Taken,
    /// Taken, after a while.
    TakenAfter(Duration),
    Outage,
    Topology,
    Refused,
    Hangs,
    Panics,
}

/// A connector that answers as scripted, and remembers what it was asked and what it took.
pub(crate) struct Fake {
    script: Mutex<Script>,
    /// Attempts begun and checks made, to wait for.
    begun: watch::Sender<usize>,
    checks: watch::Sender<usize>,
}

struct Script {
    usually: Answer,
    by_topic: HashMap<String, Answer>,
    by_event: HashMap<String, VecDeque<Answer>>,
    missing: HashSet<String>,
    check_panics: bool,
    survives_machine: Survives,
    provided: Vec<Topic>,
    attempts: Vec<(String, String)>,
    taken: Vec<Event>,
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        let script = Script {
            usually: Answer::Taken,
            by_topic: HashMap::new(),
            by_event: HashMap::new(),
            missing: HashSet::new(),
            check_panics: false,
            survives_machine: Survives::Yes,
            provided: Vec::new(),
            attempts: Vec::new(),
            taken: Vec::new(),
        };
        let (begun, checks) = (watch::Sender::new(0), watch::Sender::new(0));
        Arc::new(Self { script: Mutex::new(script), begun, checks })
    }

    /// Answers so wherever nothing else is said.
    pub(crate) fn usually(&self, answer: Answer) {
        self.script().usually = answer;
    }

    /// Answers so on one topic.
    pub(crate) fn on_topic(&self, topic: &Topic, answer: Answer) {
        self.script().by_topic.insert(topic.as_str().to_owned(), answer);
    }

    /// Answers so to the next attempts of one event.
    pub(crate) fn first(&self, id: &str, answers: &[Answer]) {
        self.script().by_event.insert(id.to_owned(), answers.iter().copied().collect());
    }

    /// Whether `check` finds the topic's topology.
    pub(crate) fn has_topic(&self, topic: &Topic, has: bool) {
        let mut script = self.script();
        if has {
            script.missing.remove(topic.as_str());
        } else {
            script.missing.insert(topic.as_str().to_owned());
        }
    }

    /// Whether `check` panics.
    pub(crate) fn check_panics(&self, panics: bool) {
        self.script().check_panics = panics;
    }

    /// Whether what it acknowledges survives the loss of a machine.
    pub(crate) fn survives_machine(&self, survives: Survives) {
        self.script().survives_machine = survives;
    }

    /// The topics that it was asked to make.
    pub(crate) fn provided(&self) -> Vec<Topic> {
        self.script().provided.clone()
    }

    /// Attempts of one event, whatever the answer.
    pub(crate) fn attempts(&self, id: &str) -> usize {
        self.script().attempts.iter().filter(|(event, _)| event == id).count()
    }

    /// Attempts on one topic, whatever the answer.
    pub(crate) fn attempts_on(&self, topic: &Topic) -> usize {
        self.script().attempts.iter().filter(|(_, on)| on == topic.as_str()).count()
    }

    /// How often one event was acknowledged.
    pub(crate) fn taken(&self, id: &str) -> usize {
        self.script().taken.iter().filter(|event| event.id == id).count()
    }

    /// Everything that was acknowledged.
    pub(crate) fn all_taken(&self) -> Vec<Event> {
        self.script().taken.clone()
    }

    /// Forgets what was acknowledged.
    pub(crate) fn forget(&self) {
        self.script().taken.clear();
    }

    /// Resolves once so many attempts have begun.
    pub(crate) async fn begun(&self, count: usize) {
        self.begun.subscribe().wait_for(|n| *n >= count).await.unwrap();
    }

    /// Checks made so far.
    pub(crate) fn checks(&self) -> usize {
        *self.checks.borrow()
    }

    /// Resolves once so many checks were made.
    pub(crate) async fn checked(&self, count: usize) {
        self.checks.subscribe().wait_for(|n| *n >= count).await.unwrap();
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn answer(&self, event: &Event, topic: &Topic) -> Answer {
        let mut script = self.script();
        script.attempts.push((event.id.to_string(), topic.as_str().to_owned()));
        self.begun.send_modify(|n| *n += 1);
        let scripted = script.by_event.get_mut(event.id.as_str()).and_then(VecDeque::pop_front);
        let by_topic = script.by_topic.get(topic.as_str()).copied();
        scripted.or(by_topic).unwrap_or(script.usually)
    }
}

#[async_trait]
impl Connector for Fake {
    async fn publish(&self, event: &Event, topic: &Topic) -> Result<(), PublishError> {
        match self.answer(event, topic) {
            Answer::Taken => {}
            Answer::TakenAfter(while_) => sleep(while_).await,
            Answer::Outage => return Err(Unavailable::outage("scripted outage").into()),
            Answer::Topology => return Err(Unavailable::topology("scripted topology").into()),
            Answer::Refused => return Err(PublishError::Refused("scripted refusal".into())),
            Answer::Hangs => pending().await,
            // Unwinds as a panic does, without a word on standard error.
            Answer::Panics => resume_unwind(Box::new("scripted panic")),
        }
        self.script().taken.push(event.clone());
        Ok(())
    }

    async fn check(
        &self,
        topics: &[Topic],
    ) -> Result<Vec<Result<Durability, Unavailable>>, Unavailable> {
        self.checks.send_modify(|n| *n += 1);
        let (panics, missing, survives) = {
            let script = self.script();
            (script.check_panics, script.missing.clone(), script.survives_machine)
        };
        if panics {
            resume_unwind(Box::new("scripted panic of a check"));
        }
        let yes = || Survival::yes(Provenance::Assumed);
        let judge = |topic: &Topic| {
            if missing.contains(topic.as_str()) {
                return Err(Unavailable::topology("scripted as missing"));
            }
            let machine = Survival { survives, provenance: Provenance::Broker, remedy: None };
            Ok(Durability { process: yes(), machine, node: yes(), all: yes() })
        };
        Ok(topics.iter().map(judge).collect())
    }

    async fn provide(&self, topics: &[Topic]) -> Result<Vec<Result<(), Unavailable>>, Unavailable> {
        self.script().provided.extend_from_slice(topics);
        Ok(topics.iter().map(|_| Ok(())).collect())
    }

    async fn close(&self) {}
}
