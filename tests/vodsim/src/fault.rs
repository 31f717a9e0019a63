//! What goes wrong on demand.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use vodbridge_vod::api::Action;

use crate::random::Random;

/// How one call goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error of the API with this code, and nothing is done.
    Code(String),
    /// A gateway's answer with this HTTP status, and nothing is done.
    Status(u16),
    /// An answer that is no JSON, and nothing is done.
    NotJson,
    /// The call is carried out, and its reply breaks off in the middle.
    Truncated,
    /// The connection is closed without an answer, and nothing is done.
    Cut,
    /// The call is carried out, and the connection closed without an answer.
    LostReply,
    /// No answer for so long, then nothing is done.
    Hang(Duration),
    /// The call is carried out after so long.
    Slow(Duration),
    /// This reply instead of any other, with nothing done.
    Reply(String),
}

/// Faults at random: each with its part of all calls, from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// The same seed, the same faults, as far as the order of the calls is the same.
    pub seed: u64,
    /// Faults of any call, with their parts of all calls.
    pub any: Vec<(Fault, f64)>,
    /// Confirmations that are carried out and whose replies are lost.
    pub lost_confirm: f64,
    /// Polls that hand out an event that is hidden.
    pub duplicate: f64,
}

/// What is to go wrong from now on.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    faults: Faults,
    random: Option<Random>,
    scripted: HashMap<Action, VecDeque<Fault>>,
}

/// Why a text names no faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFault(String);

// === impl Schedule ===

impl Schedule {
    pub(crate) fn set(&mut self, faults: Faults) {
        self.random = Some(Random::new(faults.seed));
        self.faults = faults;
    }

    /// Lets the next call of an action go wrong, behind those that are to already.
    pub(crate) fn push(&mut self, action: Action, fault: Fault) {
        self.scripted.entry(action).or_default().push_back(fault);
    }

    /// What goes wrong with this call.
    pub(crate) fn draw(&mut self, action: Action) -> Option<Fault> {
        if let Some(fault) = self.scripted.get_mut(&action).and_then(VecDeque::pop_front) {
            return Some(fault);
        }
        let random = self.random.as_mut()?;
        if action == Action::ConfirmEvents && random.happens(self.faults.lost_confirm) {
            return Some(Fault::LostReply);
        }
        let any = self.faults.any.iter().find(|(_, rate)| random.happens(*rate));
        any.map(|(fault, _)| fault.clone())
    }

    /// Whether this poll hands out an event that is hidden.
    pub(crate) fn repeats(&mut self) -> bool {
        let rate = self.faults.duplicate;
        self.random.as_mut().is_some_and(|random| random.happens(rate))
    }
}

/// `seed=7,lost_confirm=0.1,cut=0.05,hang=0.01`: names and their parts of all calls.
impl FromStr for Faults {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let mut faults = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let unknown = || UnknownFault(part.to_owned());
            let (name, value) = part.split_once('=').ok_or_else(unknown)?;
            if name == "seed" {
                faults.seed = value.parse().map_err(|_| unknown())?;
                continue;
            }
            let rate = value.parse::<f64>().ok().filter(|rate| (0.0..=1.0).contains(rate));
            let rate = rate.ok_or_else(unknown)?;
            match name {
                "lost_confirm" => faults.lost_confirm = rate,
                "duplicate" => faults.duplicate = rate,
                name => faults.any.push((fault(name).ok_or_else(unknown)?, rate)),
            }
        }
        Ok(faults)
    }
}

fn fault(name: &str) -> Option<Fault> {
    Some(match name {
        "internal_error" => Fault::Code("InternalError".to_owned()),
        "throttle" => Fault::Code("RequestLimitExceeded".to_owned()),
        "unauthorized" => Fault::Code("UnauthorizedOperation".to_owned()),
        "status_502" => Fault::Status(502),
        "not_json" => Fault::NotJson,
        "truncated" => Fault::Truncated,
        "cut" => Fault::Cut,
        "lost_reply" => Fault::LostReply,
        "hang" => Fault::Hang(Duration::from_secs(20)),
        "slow" => Fault::Slow(Duration::from_secs(2)),
        _ => return None,
    })
}

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "found {:?}, expected NAME=PART with a part from 0 to 1, where NAME is internal_error, \
             throttle, unauthorized, status_502, not_json, truncated, cut, lost_reply, hang, slow, \
             lost_confirm or duplicate; or seed=NUMBER",
            self.0
        )
    }
}

impl std::error::Error for UnknownFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_a_line() {
        let faults: Faults = "seed=7, lost_confirm=0.5,cut=0.25".parse().unwrap();
        assert_eq!((faults.seed, faults.lost_confirm), (7, 0.5));
        assert_eq!(faults.any, [(Fault::Cut, 0.25)]);
        for wrong in ["cut", "cut=2", "cut=x", "cute=0.1", "seed=-1"] {
            assert!(wrong.parse::<Faults>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_same_seed_brings_the_same_faults_in_their_parts() {
        let draw = |seed| {
            let mut schedule = Schedule::default();
            schedule.set(Faults { seed, any: vec![(Fault::Cut, 0.25)], ..Faults::default() });
            (0..4000).map(|_| schedule.draw(Action::PullEvents).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let happened = draw(1).into_iter().filter(|fault| *fault).count();
        assert!((800..1200).contains(&happened), "{happened} of 4000");
    }

    #[test]
    fn scripted_faults_come_first_and_once() {
        let mut schedule = Schedule::default();
        schedule.push(Action::PullEvents, Fault::NotJson);
        assert_eq!(schedule.draw(Action::ConfirmEvents), None);
        assert_eq!(schedule.draw(Action::PullEvents), Some(Fault::NotJson));
        assert_eq!(schedule.draw(Action::PullEvents), None);
    }
}
