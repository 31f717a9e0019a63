//! How connectors behave.

use std::time::Duration;

use fastrand::Rng;

/// The connectors' `publish_timeout`.
pub(crate) const PUBLISH_TIMEOUT: Duration = Duration::from_secs(20);

/// What one topic of one connector is like at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Takes everything, sometimes after a while.
    Fine,
    /// Takes everything, late or too late.
    Slow,
    /// Does not answer, or says that it cannot.
    Away,
    /// Has no such topic.
    Missing,
    /// Never answers.
    Silent,
    /// Panics.
    Panicky,
    /// Refuses what it is offered.
    Choosy,
    /// Any of these, by the attempt.
    Rough,
}

/// How a fake answers one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Acknowledges, after so long.
    Takes(Duration),
    /// The broker is away.
    Outage,
    /// The topic is missing.
    Topology,
    /// The event is not taken.
    Refuses,
    /// Nothing is ever said.
    Hangs,
    /// A panic.
    Panics,
}

// === impl Mood ===

impl Mood {
    /// A mood, fine ones and rough ones more often than the others.
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        match rng.u8(..16) {
            0..=3 => Self::Fine,
            4..=5 => Self::Slow,
            6..=7 => Self::Away,
            8 => Self::Missing,
            9 => Self::Silent,
            10 => Self::Panicky,
            11 => Self::Choosy,
            _ => Self::Rough,
        }
    }

    /// The answer to one attempt.
    pub(crate) fn answer(self, rng: &mut Rng) -> Answer {
        let at_once = Answer::Takes(Duration::ZERO);
        let mut after = |range| Answer::Takes(Duration::from_millis(rng.u64(range)));
        let soon = after(1..2_000);
        // At the very limit either may be first.
        let late = after(2_000..19_990);
        let too_late = after(20_010..40_000);
        match (self, rng.u8(..100)) {
            (Self::Fine, 0..=84) => at_once,
            (Self::Fine, _) => soon,
            (Self::Slow, 0..=39) => soon,
            (Self::Slow, 40..=84) => late,
            (Self::Slow, _) => too_late,
            (Self::Away, 0..=89) => Answer::Outage,
            (Self::Away, _) | (Self::Silent, _) => Answer::Hangs,
            (Self::Missing, _) => Answer::Topology,
            (Self::Panicky, 0..=69) => Answer::Panics,
            (Self::Panicky, _) => at_once,
            (Self::Choosy, 0..=69) => Answer::Refuses,
            (Self::Choosy, _) => soon,
            (Self::Rough, 0..=39) => at_once,
            (Self::Rough, 40..=49) => soon,
            (Self::Rough, 50..=54) => late,
            (Self::Rough, 55..=57) => too_late,
            (Self::Rough, 58..=75) => Answer::Outage,
            (Self::Rough, 76..=78) => Answer::Topology,
            (Self::Rough, 79..=81) => Answer::Hangs,
            (Self::Rough, 82..=87) => Answer::Panics,
            (Self::Rough, _) => Answer::Refuses,
        }
    }
}
