//! What fakes and sources share: the weather, the ledger, the first thing that is wrong.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;
use vodbridge_core::{Event, Topic};

use crate::ledger::{Entry, For, Plan, WHOLE};
use crate::pool::{APPLICATIONS, EVENT_TYPES, KIND_COUNT, Pool};
use crate::schedule::{CONNECTORS_MAX, JOURNAL, PLACES, SLOTS, Schedule, is_unrecognized, name};
use crate::weather::{Answer, Mood};

/// The topic of the dead letters.
pub(crate) const LETTERS_TOPIC: &str = "vod.dead-letter";
/// The topic of a route that has one topic.
pub(crate) const ONE_TOPIC: &str = "vod.all";
/// The slot of that topic among the readings.
const ONE_TOPIC_SLOT: usize = SLOTS;
/// The most lines of a story.
const LINES_MAX: usize = 2_000;

/// How long a reading is believed.
const BELIEVED_FOR: Duration = Duration::from_secs(90);

/// One run's world. It outlives the bridge's lives.
pub(crate) struct World {
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) pool: Arc<Pool>,
    state: Mutex<State>,
}

pub(crate) struct State {
    started: Instant,
    moods: [[Mood; SLOTS]; PLACES],
    weak: [bool; PLACES],
    /// What was last read of a topic: when, and whether it was enough.
    readings: [[Option<(Instant, bool)>; SLOTS + 1]; PLACES],
    pub(crate) entries: Vec<Entry>,
    /// The weather has ended.
    pub(crate) is_calm: bool,
    checks: u64,
    pub(crate) attempts: u64,
    pub(crate) wrong: Option<String>,
    pub(crate) story: Option<Vec<String>>,
}

/// An attempt under way.
pub(crate) struct Attempt {
    world: Arc<World>,
    place: usize,
    /// The event's place and what the attempt is for; `None` for what the ledger does not keep.
    of: Option<(usize, For)>,
    began: Instant,
    is_over: bool,
}

// === impl World ===

impl World {
    pub(crate) fn new(schedule: Arc<Schedule>, pool: Arc<Pool>, tells: bool) -> Arc<Self> {
        let entries = (0..APPLICATIONS.len())
            .flat_map(|application| (0..KIND_COUNT).map(move |kind| (application, kind)));
        let entries = entries.map(|(application, kind)| {
            let kind = pool.kind(application, kind);
            let plan = match schedule.route(application, kind.slot) {
                _ if is_unrecognized(kind.slot) => Plan::Letter,
                None => Plan::Letter,
                Some(route) => route.then.map_or(Plan::Drop, Plan::Publish),
            };
            Entry::new(plan, kind.by_content)
        });
        let state = State {
            started: Instant::now(),
            moods: schedule.moods,
            weak: [false; PLACES],
            readings: [[None; SLOTS + 1]; PLACES],
            entries: entries.collect(),
            is_calm: false,
            checks: 0,
            attempts: 0,
            wrong: None,
            story: tells.then(Vec::new),
        };
        Arc::new(Self { schedule, pool, state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something is wrong; the first counts.
    pub(crate) fn wrong(&self, what: impl Into<String>) {
        self.lock().wrong(what);
    }

    /// Judges by the ledger's entry of an event.
    pub(crate) fn judge<T>(
        &self,
        place: usize,
        judge: impl FnOnce(&mut Entry) -> Result<T, String>,
    ) -> Option<T> {
        let mut state = self.lock();
        match judge(&mut state.entries[place]) {
            Ok(right) => Some(right),
            Err(why) => {
                state.wrong(format!("{}: {why}", name_of(place)));
                None
            }
        }
    }

    /// Adds a line to the story, if it is told.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        self.lock().tell(line);
    }

    pub(crate) fn turn(&self, place: usize, slot: Option<usize>, mood: Mood) {
        let mut state = self.lock();
        match slot {
            Some(slot) => state.moods[place][slot] = mood,
            None => state.moods[place] = [mood; SLOTS],
        }
    }

    pub(crate) fn weaken(&self, place: usize, weak: bool) {
        self.lock().weak[place] = weak;
    }

    /// The weather ends for good.
    pub(crate) fn calm(&self) {
        let mut state = self.lock();
        state.is_calm = true;
        state.weak = [false; PLACES];
        state.tell(|| "the weather ends".to_owned());
    }

    /// A fake is asked to publish: how it answers, and what to do with the answer.
    pub(crate) fn attempt(
        self: &Arc<Self>,
        place: usize,
        event: &Event,
        topic: &Topic,
    ) -> (Answer, Attempt) {
        let mut attempt = Attempt {
            world: Arc::clone(self),
            place,
            of: None,
            began: Instant::now(),
            is_over: false,
        };
        let mut state = self.lock();
        state.attempts += 1;
        if event.id.starts_with("fresh") {
            return (Answer::Takes(Duration::ZERO), attempt);
        }
        let Some((of, form)) = self.pool.find(&event.message) else {
            state.wrong(format!("{} is offered what never came: {event:?}", name(place)));
            return (Answer::Outage, attempt);
        };
        let what = match self.what(place, of, form, event, topic, &state) {
            Ok(what) => what,
            Err(why) => {
                state.wrong(format!("{}: {why}", name_of(of)));
                return (Answer::Outage, attempt);
            }
        };
        let demands = |place: usize| place < CONNECTORS_MAX && self.schedule.demanding[place];
        let slot = slot_of(topic).unwrap_or(ONE_TOPIC_SLOT);
        let asks_late = demands(place) || self.schedule.demanding.contains(&true);
        if let Err(why) = state.entries[of].attempts(what, asks_late) {
            state.wrong(format!("{}: {why}", name_of(of)));
        }
        let is_fit = state.readings[place][slot]
            .is_some_and(|(read, fit)| fit && read.elapsed() < BELIEVED_FOR);
        if demands(place) && !is_fit {
            state.wrong(format!("{}: published without a good reading", name_of(of)));
        }
        attempt.of = Some((of, what));
        let answer = self.answer(place, of, what, &mut state);
        state.tell(|| format!("{} {what:?} of {}: {answer:?}", name(place), name_of(of)));
        (answer, attempt)
    }

    /// What an attempt is for, if it may be at all.
    fn what(
        &self,
        place: usize,
        of: usize,
        form: usize,
        event: &Event,
        topic: &Topic,
        state: &State,
    ) -> Result<For, String> {
        let kind = self.pool.at(of);
        let entry = &state.entries[of];
        let was = &kind.forms[form];
        if (&event.id, &event.content, &event.source) != (&was.id, &was.content, &was.source) {
            return Err(format!("it is offered as {}", event.id));
        }
        // A best-effort publish may wait for a reading until the event has come again.
        let is_also = matches!(entry.plan, Plan::Publish(legs) if legs.also & 1 << place != 0);
        if form != entry.form && !(is_also && topic.as_str() != LETTERS_TOPIC) {
            return Err("it is offered in another form than it came in".to_owned());
        }
        if topic.as_str() == LETTERS_TOPIC {
            if event.data != was.message || event.extension("vodreason").is_none() {
                return Err("a letter without the message or the reason".to_owned());
            }
            return match (event.extension("vodconnector"), entry.plan) {
                (None, Plan::Letter) => Ok(For::Letter(WHOLE)),
                (Some(refused), Plan::Publish(legs)) => (0..CONNECTORS_MAX)
                    .find(|c| name(*c) == refused && legs.to & 1 << c != 0)
                    .map(For::Letter)
                    .ok_or_else(|| format!("a letter of {refused}")),
                (of, plan) => Err(format!("a letter of {of:?} where the plan is {plan:?}")),
            };
        }
        let route = self.schedule.route(of / KIND_COUNT, kind.slot);
        let expected = match route {
            Some(route) if route.one_topic => ONE_TOPIC.to_owned(),
            _ => format!("vod.{}", EVENT_TYPES.get(kind.slot).unwrap_or(&"?")),
        };
        if event.data != was.data || topic.as_str() != expected {
            return Err(format!("published on {topic} or with other bytes"));
        }
        match entry.plan {
            Plan::Publish(legs) if legs.to & 1 << place != 0 => Ok(For::Leg(place)),
            Plan::Publish(legs) if legs.also & 1 << place != 0 => Ok(For::Also(place)),
            Plan::Publish(_) | Plan::Drop | Plan::Letter => {
                Err(format!("published to {}, where no route leads", name(place)))
            }
        }
    }

    fn answer(&self, place: usize, of: usize, what: For, state: &mut State) -> Answer {
        let slot = match what {
            For::Letter(_) => SLOTS - 1,
            For::Leg(_) | For::Also(_) => self.pool.at(of).slot,
        };
        let mood = state.moods[place][slot];
        let number = state.entries[of].attempts[place];
        state.entries[of].attempts[place] += 1;
        // Who refuses an event refuses it always.
        let refuses = Rng::with_seed(self.schedule.seed ^ mix(place, of, 0)).u8(..12) == 0;
        let answer = if state.is_calm {
            Answer::Takes(Duration::ZERO)
        } else {
            mood.answer(&mut Rng::with_seed(self.schedule.seed ^ mix(place, of, number + 1)))
        };
        if answer == Answer::Refuses && place == JOURNAL {
            Answer::Outage
        } else if refuses && place != JOURNAL && matches!(answer, Answer::Takes(_)) {
            Answer::Refuses
        } else {
            answer
        }
    }

    /// The mood in which a fake is asked about a topic, and a number to draw by.
    pub(crate) fn check(&self, place: usize, topic: Option<&Topic>) -> (Mood, u64) {
        let mut state = self.lock();
        state.checks += 1;
        let number = state.checks;
        let slot = topic.and_then(slot_of).unwrap_or(0);
        let mood = if state.is_calm { Mood::Fine } else { state.moods[place][slot] };
        (mood, self.schedule.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Notes what a fake tells of a topic; whether it survives what it should.
    pub(crate) fn read(&self, place: usize, topic: &Topic, is_there: bool) -> bool {
        let mut state = self.lock();
        let fit = !state.weak[place];
        let slot = slot_of(topic).unwrap_or(ONE_TOPIC_SLOT);
        state.readings[place][slot] = is_there.then(|| (Instant::now(), fit));
        fit
    }
}

impl State {
    pub(crate) fn wrong(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.tell(|| format!("WRONG: {what}"));
        self.wrong.get_or_insert(what);
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = self.story.as_mut().filter(|story| story.len() < LINES_MAX) {
            story.push(format!("{:>8} ms  {}", self.started.elapsed().as_millis(), line()));
        }
    }
}

// === impl Attempt ===

impl Attempt {
    /// The broker acknowledges.
    pub(crate) fn acknowledged(self) {
        self.over(|entry, what| entry.acknowledged(what));
    }

    /// The broker does not take it.
    pub(crate) fn failed(self, refused: bool) {
        self.over(|entry, what| entry.failed(what, refused));
    }

    fn over(mut self, end: impl FnOnce(&mut Entry, For)) {
        self.is_over = true;
        let Some((of, what)) = self.of else { return };
        let mut state = self.world.lock();
        end(&mut state.entries[of], what);
        let (place, after) = (self.place, self.began.elapsed());
        if !after.is_zero() {
            state.tell(|| format!("{} {what:?} of {} answers", name(place), name_of(of)));
        }
    }
}

impl Drop for Attempt {
    /// The bridge waits no longer, which it may only after `publish_timeout`, or unwinds.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let Some((of, what)) = self.of else { return };
        let mut state = self.world.lock();
        state.entries[of].failed(what, false);
        let after = self.began.elapsed();
        if !std::thread::panicking() && after < crate::weather::PUBLISH_TIMEOUT {
            state.wrong(format!("{}: abandoned after {after:?}", name_of(of)));
        }
    }
}

/// The name of an event in a story.
pub(crate) fn name_of(place: usize) -> String {
    format!("event {} of {}", place % KIND_COUNT, APPLICATIONS[place / KIND_COUNT])
}

fn slot_of(topic: &Topic) -> Option<usize> {
    if topic.as_str() == LETTERS_TOPIC {
        return Some(SLOTS - 1);
    }
    let event_type = topic.as_str().strip_prefix("vod.")?;
    EVENT_TYPES.iter().position(|t| *t == event_type)
}

fn mix(place: usize, of: usize, number: u32) -> u64 {
    let all = (place as u64) << 40 | (of as u64) << 32 | u64::from(number);
    all.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
