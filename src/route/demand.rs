//! What an acknowledgement has to survive to be worth a confirmation.
//!
//! Without a demand nothing is judged. With one, an event is published on a topic only while the
//! topic's last reading meets it: replicas shrink, so that readings grow old.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use vodbridge_core::{Answer, Durability, Fault, Provenance, Survives, Topic, Unavailable};

/// How long a reading is believed: a minute and something for a slow one.
const BELIEVED_FOR: Duration = Duration::from_secs(90);

/// The most topics whose readings are kept; beyond them every publish reads anew.
const TOPICS_MAX: usize = 4096;

/// What one connector's acknowledgements must survive.
#[derive(Debug, Default)]
pub struct Demand {
    require: Vec<Fault>,
    assume: Vec<Fault>,
    met: Mutex<HashMap<Topic, (Instant, bool)>>,
}

// === impl Demand ===

impl Demand {
    /// `require` must be survived; `assume` is taken as survived where nobody tells.
    pub fn new(require: Vec<Fault>, assume: Vec<Fault>) -> Self {
        Self { require, assume, met: Mutex::default() }
    }

    /// Whether this must be survived.
    pub(super) fn requires(&self, fault: Fault) -> bool {
        self.require.contains(&fault)
    }

    /// Whether the topic has to be read before an event may be published on it: it was not yet,
    /// too long ago, or what was read is too little.
    pub(super) fn wants_reading(&self, topic: &Topic) -> bool {
        if self.require.is_empty() {
            return false;
        }
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        !met.get(topic).is_some_and(|(read, met)| *met && read.elapsed() < BELIEVED_FOR)
    }

    /// What was read, with what is assumed.
    pub fn assume(&self, mut read: Durability) -> Durability {
        let answers = [
            (Fault::Process, &mut read.process),
            (Fault::Machine, &mut read.machine),
            (Fault::Node, &mut read.node),
            (Fault::All, &mut read.all),
        ];
        for (fault, answer) in answers {
            if answer.survives == Survives::Unknown && self.assume.contains(&fault) {
                *answer = Answer::yes(Provenance::Assumed);
            }
        }
        read
    }

    /// Judges what was read of a topic, and remembers the judgement.
    ///
    /// # Errors
    ///
    /// What is required and not met, with the setting that would help.
    pub fn judge(&self, topic: &Topic, read: &Durability) -> Result<(), Unavailable> {
        let lacking = read.answers().into_iter().find(|(fault, answer)| {
            self.require.contains(fault) && answer.survives != Survives::Yes
        });
        if !self.require.is_empty() {
            self.remember(topic, lacking.is_none());
        }
        let Some((fault, answer)) = lacking else { return Ok(()) };
        let (why, advice) = match answer.survives {
            Survives::No => ("does not survive", None),
            Survives::Yes | Survives::Unknown => (
                "is not known to survive",
                Some(format!("assume: [{}] takes your word for it", fault.name())),
            ),
        };
        let message = format!(
            "an acknowledgement on {topic} {why} the fault that is required: {}",
            fault.name()
        );
        let unfit = Unavailable::topology(message);
        Err(match answer.remedy.as_deref().map(str::to_owned).or(advice) {
            Some(advice) => unfit.advise(advice),
            None => unfit.advise(format!("take {} out of require", fault.name())),
        })
    }

    /// The topic cannot be read: nothing is known of it any more.
    pub(super) fn forget(&self, topic: &Topic) {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    fn remember(&self, topic: &Topic, is_met: bool) {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.len() >= TOPICS_MAX && !met.contains_key(topic) {
            met.retain(|_, (read, _)| read.elapsed() < BELIEVED_FOR);
        }
        if met.len() < TOPICS_MAX || met.contains_key(topic) {
            met.insert(topic.clone(), (Instant::now(), is_met));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Topic {
        Topic::new("vod.x").unwrap()
    }

    fn read(machine: Answer) -> Durability {
        let yes = || Answer::yes(Provenance::Broker);
        Durability { process: yes(), machine, node: yes(), all: yes() }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_demand_nothing_is_read() {
        assert!(!Demand::default().wants_reading(&topic()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_well_is_believed_for_a_while() {
        let demand = Demand::new(vec![Fault::Machine], vec![]);
        assert!(demand.wants_reading(&topic()));
        demand.judge(&topic(), &read(Answer::yes(Provenance::Broker))).unwrap();
        assert!(!demand.wants_reading(&topic()));
        tokio::time::advance(BELIEVED_FOR).await;
        assert!(demand.wants_reading(&topic()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_no_and_an_unknown_are_both_too_little_and_say_what_helps() {
        let demand = Demand::new(vec![Fault::Machine], vec![]);
        let no = read(Answer::no(Provenance::Broker, "min.insync.replicas=2"));
        let why = demand.judge(&topic(), &no).unwrap_err();
        assert_eq!(why.advice.as_deref(), Some("min.insync.replicas=2"));
        assert!(why.message.contains("does not survive"), "{why}");
        let unknown = read(Answer::unknown(Provenance::NotVisible));
        let why = demand.judge(&topic(), &unknown).unwrap_err();
        assert!(why.advice.unwrap().starts_with("assume: [machine]"));
        assert!(demand.wants_reading(&topic()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_required_may_be_anything() {
        let demand = Demand::new(vec![Fault::Process], vec![]);
        demand.judge(&topic(), &read(Answer::no(Provenance::Broker, "x"))).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_assumption_fills_what_nobody_tells_and_never_overrules_a_no() {
        let demand = Demand::new(vec![Fault::Machine], vec![Fault::Machine]);
        let unknown = demand.assume(read(Answer::unknown(Provenance::NotVisible)));
        assert_eq!(unknown.machine, Answer::yes(Provenance::Assumed));
        demand.judge(&topic(), &unknown).unwrap();
        let no = demand.assume(read(Answer::no(Provenance::Broker, "x")));
        assert!(demand.judge(&topic(), &no).is_err());
    }
}
