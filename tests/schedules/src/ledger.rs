//! What is true of every event, as the fakes and the sources see it, and what must not be.

use tokio::time::Instant;
use vodbridge::delivery::Outcome;
use vodbridge::route::Progress;

use crate::schedule::{CONNECTORS_MAX, Legs, PLACES};

/// The place of a letter that is no connector's: of what no route matches, or what is no event.
pub(crate) const WHOLE: usize = CONNECTORS_MAX;

/// What must become of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// Nothing: it is dropped.
    Drop,
    /// A dead letter.
    Letter,
    /// Publishes.
    Publish(Legs),
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// A leg that the settle waits for.
    Leg(usize),
    /// A leg that it does not wait for.
    Also(usize),
    /// The dead letter of a leg, or of the [`WHOLE`] event.
    Letter(usize),
}

/// Sets of places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) acknowledged: u8,
    pub(crate) lettered: u8,
}

/// One event of one application.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) plan: Plan,
    pub(crate) by_content: bool,
    /// Whether it ever came in.
    pub(crate) came: bool,
    /// Deliveries begun.
    pub(crate) deliveries: u32,
    /// The form of the latest.
    pub(crate) form: usize,
    /// When it began.
    began: Option<Instant>,
    /// How it ended, once a source was told.
    told: Option<Outcome>,
    /// When the first of them was.
    told_at: Option<Instant>,
    /// Receipts of it that are held.
    waiters: u32,
    /// Connectors that refused the event in it.
    refused: u8,
    /// What it need not, and must not, do again.
    forbidden: Done,
    /// What it can refer to: done by it, or by those before that were deferred.
    credited: Done,
    /// The same of the delivery before it, whose sources may not have been told yet.
    before: Done,
    /// What was done by deliveries that were deferred, or whose end nobody saw: where a source
    /// expects a repetition, it is what that repetition can refer to.
    left: Done,
    /// Whatever was ever done.
    ever: Done,
    under_way: [u8; CONNECTORS_MAX],
    lettering: [u8; CONNECTORS_MAX + 1],
    also: [u32; CONNECTORS_MAX],
    /// Attempts by place, by which answers are drawn.
    pub(crate) attempts: [u32; PLACES],
    /// How often a source said that it expects a repetition, and how often one was suppressed.
    expected: u32,
    suppressed: u32,
}

/// What is wrong, in a sentence.
pub(crate) type Wrong = String;

// === impl Done ===

impl Done {
    pub(crate) fn of(progress: Progress) -> Self {
        let set = |is_in: &dyn Fn(usize) -> bool| {
            (0..CONNECTORS_MAX).filter(|c| is_in(*c)).fold(0, |set, c| set | bit(c))
        };
        Self {
            acknowledged: set(&|c| progress.is_acknowledged(c)),
            lettered: set(&|c| progress.is_lettered(c)),
        }
    }

    fn add(&mut self, other: Self) {
        self.acknowledged |= other.acknowledged;
        self.lettered |= other.lettered;
    }

    fn is_within(self, other: Self) -> bool {
        self.acknowledged & !other.acknowledged == 0 && self.lettered & !other.lettered == 0
    }
}

fn bit(place: usize) -> u8 {
    1 << place
}

// === impl Entry ===

impl Entry {
    pub(crate) fn new(plan: Plan, by_content: bool) -> Self {
        Self {
            plan,
            by_content,
            came: false,
            deliveries: 0,
            form: 0,
            began: None,
            told: None,
            told_at: None,
            waiters: 0,
            refused: 0,
            forbidden: Done::default(),
            credited: Done::default(),
            before: Done::default(),
            left: Done::default(),
            ever: Done::default(),
            under_way: [0; CONNECTORS_MAX],
            lettering: [0; CONNECTORS_MAX + 1],
            also: [0; CONNECTORS_MAX],
            attempts: [0; PLACES],
            expected: 0,
            suppressed: 0,
        }
    }

    /// The bridge has stopped, and its memory is gone.
    pub(crate) fn forget(&mut self) -> Result<(), Wrong> {
        if self.under_way != [0; CONNECTORS_MAX] || self.lettering != [0; CONNECTORS_MAX + 1] {
            return Err("drained, and an attempt is under way".to_owned());
        }
        (self.forbidden, self.credited, self.left) = Default::default();
        (self.began, self.told) = (None, None);
        Ok(())
    }

    /// A delivery begins. `resumed` is what its source says is done; `remembers` says that nothing
    /// was forgotten since the start.
    pub(crate) fn begins(
        &mut self,
        form: usize,
        resumed: Option<Progress>,
        remembers: bool,
    ) -> Result<u32, Wrong> {
        let is_settled = self.told.is_some_and(|outcome| outcome < Outcome::Deferred);
        let was_deferred = self.told == Some(Outcome::Deferred);
        let is_known = !self.by_content && remembers;
        match resumed {
            None if is_known && is_settled && self.began.is_some() => {
                return Err("settled, and delivered again as if it were new".to_owned());
            }
            None if is_known => {}
            Some(_) if is_known && was_deferred => {}
            _ => self.forbidden = Done::default(),
        }
        self.before = self.credited;
        if self.told.is_none() {
            self.left.add(self.credited);
        }
        if self.by_content && self.expected == 0 {
            self.credited = Done::default();
        } else if is_settled {
            self.credited = if self.by_content { self.left } else { Done::default() };
        }
        if let Some(progress) = resumed {
            let done = Done::of(progress);
            self.forbidden.add(done);
            self.credited.add(done);
        }
        self.deliveries += 1;
        (self.form, self.began) = (form, Some(Instant::now()));
        (self.told, self.told_at, self.waiters, self.refused) = (None, None, 1, 0);
        Ok(self.deliveries)
    }

    /// A source waits with a delivery under way.
    pub(crate) fn joins(&mut self) -> Result<u32, Wrong> {
        if self.deliveries == 0 || self.began.is_none() || self.told.is_some() {
            return Err("joins a delivery that has ended".to_owned());
        }
        self.waiters += 1;
        Ok(self.deliveries)
    }

    /// A source waits no longer.
    pub(crate) fn leaves(&mut self, delivery: u32) {
        if delivery == self.deliveries {
            self.waiters -= 1;
        }
    }

    /// A source was told how a delivery ended.
    pub(crate) fn told(
        &mut self,
        delivery: u32,
        outcome: Outcome,
        progress: Progress,
    ) -> Result<(), Wrong> {
        if !Done::of(progress).is_within(self.ever) {
            return Err(format!("told of {progress:?}, and acknowledged is {:?}", self.ever));
        }
        if delivery == self.deliveries {
            if self.told.is_some_and(|told| told != outcome) {
                return Err(format!("one delivery ended {:?} and {outcome:?}", self.told));
            }
            self.told = Some(outcome);
            self.told_at.get_or_insert_with(Instant::now);
            if outcome == Outcome::Deferred {
                self.left.add(Done::of(progress));
            }
        } else if self.began.is_some_and(|began| began < Instant::now()) {
            return Err("two deliveries of one event at a time".to_owned());
        }
        let credited = match self.deliveries - delivery {
            0 => self.credited,
            1 => self.before,
            _ => self.ever,
        };
        self.is_true(outcome, credited)
    }

    /// A source's patience has ended and it was told nothing: nobody may have been told any earlier.
    pub(crate) fn was_not_told(&self, delivery: u32) -> Result<(), Wrong> {
        let others = self.told_at.filter(|_| delivery == self.deliveries);
        match others.is_some_and(|at| at < Instant::now()) {
            true => Err("a source is not told what others were told".to_owned()),
            false => Ok(()),
        }
    }

    /// A source was told that its event is stored already.
    pub(crate) fn suppressed(&mut self) -> Result<(), Wrong> {
        self.suppressed += 1;
        if self.by_content && self.suppressed > self.expected {
            return Err("suppressed, and nobody expected a repetition".to_owned());
        }
        if self.deliveries == 0 {
            return Err("suppressed, and it never came before".to_owned());
        }
        // What is known by content is settled by the latest delivery.
        let credited = if self.by_content { self.credited } else { self.ever };
        let outcome = if credited.lettered == 0 { Outcome::Delivered } else { Outcome::Rejected };
        self.is_true(outcome, credited).map_err(|why| format!("suppressed: {why}"))
    }

    /// A source expects that VOD repeats the event.
    pub(crate) fn expects(&mut self) {
        self.expected += 1;
    }

    /// An attempt begins; `asks_late` where the bridge may ask the broker something between seeing
    /// that somebody waits and publishing.
    pub(crate) fn attempts(&mut self, what: For, asks_late: bool) -> Result<(), Wrong> {
        let is_under_way = match what {
            For::Also(leg) => {
                self.also[leg] += 1;
                if self.also[leg] > self.deliveries {
                    return Err(format!("best effort to c{leg} more than once a delivery"));
                }
                return match self.plan {
                    Plan::Publish(Legs { to, .. })
                        if to & !(self.ever.acknowledged | self.ever.lettered) == 0 =>
                    {
                        Ok(())
                    }
                    Plan::Publish(_) | Plan::Drop | Plan::Letter => {
                        Err(format!("best effort to c{leg} before the promise"))
                    }
                };
            }
            For::Leg(leg) => {
                let has = self.forbidden.acknowledged | self.forbidden.lettered;
                if has & bit(leg) != 0 {
                    return Err(format!("published to c{leg}, which already has it"));
                }
                &mut self.under_way[leg]
            }
            For::Letter(leg) => {
                if self.forbidden.lettered & bit(leg) != 0 {
                    return Err(format!("the letter of leg {leg} is written twice"));
                }
                if leg != WHOLE && self.refused & bit(leg) == 0 {
                    return Err(format!("a letter of leg {leg}, which refused nothing"));
                }
                &mut self.lettering[leg]
            }
        };
        *is_under_way += 1;
        if *is_under_way > 1 {
            return Err("attempted while an attempt is under way".to_owned());
        }
        if self.deliveries == 0 || self.told.is_some() {
            return Err("attempted although the event was answered".to_owned());
        }
        if self.waiters == 0 && !asks_late {
            return Err("attempted although nobody waits".to_owned());
        }
        Ok(())
    }

    /// An attempt ended without an answer, or with a bad one.
    pub(crate) fn failed(&mut self, what: For, refused: bool) {
        match what {
            For::Also(_) => {}
            For::Leg(leg) => {
                self.under_way[leg] -= 1;
                if refused {
                    self.refused |= bit(leg);
                }
            }
            For::Letter(leg) => self.lettering[leg] -= 1,
        }
    }

    /// An attempt was acknowledged.
    pub(crate) fn acknowledged(&mut self, what: For) {
        let done = match what {
            For::Also(_) => return,
            For::Leg(leg) => Done { acknowledged: bit(leg), lettered: 0 },
            For::Letter(leg) => Done { acknowledged: 0, lettered: bit(leg) },
        };
        self.failed(what, false);
        for all in [&mut self.forbidden, &mut self.credited, &mut self.ever] {
            all.add(done);
        }
        // What is lettered as a whole has no progress: a later delivery writes it again.
        self.forbidden.lettered &= !bit(WHOLE);
    }

    /// Delivered: every connector has it. Rejected: every connector has it or its letter is
    /// acknowledged, and at least one is. Anything may be deferred.
    fn is_true(&self, outcome: Outcome, done: Done) -> Result<(), Wrong> {
        let is_true = match (self.plan, outcome) {
            (_, Outcome::Deferred) => true,
            (Plan::Drop, Outcome::Delivered) => true,
            (Plan::Drop, Outcome::Rejected) => false,
            (Plan::Letter, Outcome::Delivered) => false,
            (Plan::Letter, Outcome::Rejected) => done.lettered & bit(WHOLE) != 0,
            (Plan::Publish(legs), Outcome::Delivered) => legs.to & !done.acknowledged == 0,
            (Plan::Publish(legs), Outcome::Rejected) => {
                let lettered = done.lettered & !bit(WHOLE);
                lettered != 0 && legs.to & !(done.acknowledged | lettered) == 0
            }
        };
        if is_true {
            return Ok(());
        }
        Err(format!("{outcome:?}, but of {:?} only {done:?} was acknowledged", self.plan))
    }
}
