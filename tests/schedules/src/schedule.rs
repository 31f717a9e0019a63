//! What happens in one run, drawn from one seed.

use std::fmt;

use fastrand::Rng;

use crate::pool::{APPLICATIONS, EVENT_TYPES, FORM_COUNT, KIND_COUNT, UNRECOGNIZED};
use crate::weather::Mood;

/// The most connectors; after them come the letter box and the journal.
pub(crate) const CONNECTORS_MAX: usize = 3;
/// The place of the letter box, where it is no connector.
pub(crate) const LETTER_BOX: usize = CONNECTORS_MAX;
/// The place of the journal.
pub(crate) const JOURNAL: usize = CONNECTORS_MAX + 1;
/// How many fakes there are.
pub(crate) const PLACES: usize = CONNECTORS_MAX + 2;
/// Event types and dead letters have a mood each.
pub(crate) const SLOTS: usize = EVENT_TYPES.len() + 1;

/// The longest that a source waits before it goes away, milliseconds.
const PATIENCE_MS: u64 = 60_000;

/// Everything that one seed decides, but the answers to single attempts: those are drawn from the
/// seed and the attempt's number when it is made.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub(crate) seed: u64,
    pub(crate) applications: usize,
    pub(crate) connectors: usize,
    /// Connectors whose acknowledgements must survive the loss of a machine.
    pub(crate) demanding: [bool; CONNECTORS_MAX],
    pub(crate) routes: Vec<Routed>,
    pub(crate) letters: LettersAt,
    pub(crate) room_events: usize,
    pub(crate) room_bytes: u32,
    pub(crate) process_bytes: usize,
    /// Seconds for which an event is remembered, and how many.
    pub(crate) window_secs: u64,
    pub(crate) entries_max: usize,
    /// The mood of every topic at the beginning.
    pub(crate) moods: [[Mood; SLOTS]; PLACES],
    /// Lives of the bridge; the fakes outlive them.
    pub(crate) lives: Vec<Life>,
    /// Whether the metrics are read at every step, which takes long.
    pub(crate) is_scraped: bool,
}

/// One route: the types it takes, as a set of slots, from all applications or one.
#[derive(Clone, Debug)]
pub(crate) struct Routed {
    pub(crate) types: Option<[bool; EVENT_TYPES.len()]>,
    pub(crate) application: Option<usize>,
    pub(crate) then: Option<Legs>,
    /// One topic for everything.
    pub(crate) one_topic: bool,
}

/// The connectors of a route, as sets of places; none is in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Legs {
    pub(crate) to: u8,
    pub(crate) also: u8,
}

/// Where dead letters go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LettersAt {
    /// The journal, which refuses nothing.
    Journal,
    /// A fake of their own, and the journal takes what it refuses.
    Box,
    /// A connector, and the journal takes what it refuses.
    Connector(usize),
}

/// From a start to a stop.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    /// In the order of their times.
    pub(crate) steps: Vec<(u64, Step)>,
    /// When the stop is asked for, milliseconds from the start.
    pub(crate) stop_ms: u64,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// An event comes in.
    Come(Coming),
    /// The mood of a topic turns, or of all topics.
    Turn { place: usize, slot: Option<usize>, mood: Mood },
    /// A connector's acknowledgements survive less from now on, or as much as they should.
    Weaken { place: usize, weak: bool },
}

/// One event that comes in, for the first time or again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coming {
    pub(crate) application: usize,
    pub(crate) kind: usize,
    pub(crate) form: usize,
    pub(crate) way: Way,
    /// How long its source waits, for room and for the outcome.
    pub(crate) patience_ms: u64,
}

/// What kind of source an event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Waits, and sends again whatever it has no answer for.
    Callback,
    /// Waits until its handle is near its end.
    Pull,
    /// Keeps the event until it is settled, and resumes it with what was done.
    Kept,
}

// === impl Schedule ===

impl Schedule {
    /// Draws everything.
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let applications = rng.usize(1..=APPLICATIONS.len());
        let connectors = rng.usize(1..=CONNECTORS_MAX);
        let lives = if rng.u8(..4) == 0 { 2 } else { 1 };
        // Few different things happen, so that they happen again.
        let kinds: [usize; 3] = std::array::from_fn(|_| rng.usize(..KIND_COUNT));
        let kinds = &kinds[..rng.usize(1..=kinds.len())];
        let is_forgetful = rng.u8(..5) == 0;
        Self {
            seed,
            applications,
            connectors,
            demanding: std::array::from_fn(|_| rng.u8(..6) == 0),
            routes: (0..rng.usize(1..=3)).map(|_| Routed::draw(rng, connectors)).collect(),
            letters: match rng.u8(..3) {
                0 => LettersAt::Journal,
                1 => LettersAt::Box,
                _ => LettersAt::Connector(rng.usize(..connectors)),
            },
            room_events: rng.usize(1..=6),
            room_bytes: if rng.bool() { rng.u32(100..400) } else { 64 << 10 },
            process_bytes: if rng.bool() { rng.usize(200..1_000) } else { 64 << 10 },
            window_secs: if is_forgetful { rng.u64(0..30) } else { 24 * 3600 },
            entries_max: if is_forgetful { rng.usize(1..4) } else { 1_000 },
            moods: std::array::from_fn(|_| {
                let mood = Mood::draw(rng);
                std::array::from_fn(|_| if rng.bool() { mood } else { Mood::draw(rng) })
            }),
            lives: (0..lives).map(|_| Life::draw(rng, applications, connectors, kinds)).collect(),
            is_scraped: rng.u8(..32) == 0,
        }
    }

    /// Whether what was settled is remembered until the end of a life.
    pub(crate) fn remembers(&self) -> bool {
        self.entries_max >= 1_000
    }

    /// The route that an event takes, by the slot of its type.
    pub(crate) fn route(&self, application: usize, slot: usize) -> Option<&Routed> {
        self.routes.iter().find(|route| {
            let takes_type = |types: &[bool; EVENT_TYPES.len()]| types.get(slot) == Some(&true);
            route.application.is_none_or(|a| a == application)
                && route.types.as_ref().is_none_or(takes_type)
        })
    }
}

// === impl Routed ===

impl Routed {
    fn draw(rng: &mut Rng, connectors: usize) -> Self {
        let some = |rng: &mut Rng| rng.u8(..1 << connectors);
        let to = some(rng) | 1 << rng.usize(..connectors);
        let also = if rng.bool() { some(rng) & !to } else { 0 };
        Self {
            types: (rng.u8(..3) == 0).then(|| std::array::from_fn(|_| rng.bool())),
            application: (rng.u8(..5) == 0).then(|| rng.usize(..APPLICATIONS.len())),
            then: (rng.u8(..8) > 0).then_some(Legs { to, also }),
            one_topic: rng.u8(..4) == 0,
        }
    }
}

// === impl Life ===

impl Life {
    fn draw(rng: &mut Rng, applications: usize, connectors: usize, kinds: &[usize]) -> Self {
        let mut at = 0;
        let steps = (0..rng.usize(2..=16)).map(|_| {
            at += match rng.u8(..10) {
                0..=1 => 0,
                2..=5 => rng.u64(..50),
                6..=8 => rng.u64(..2_000),
                _ => rng.u64(..20_000),
            };
            (at, Step::draw(rng, applications, connectors, kinds))
        });
        let steps: Vec<_> = steps.collect();
        Self { steps, stop_ms: at + if rng.bool() { rng.u64(..100) } else { rng.u64(..60_000) } }
    }
}

// === impl Step ===

impl Step {
    fn draw(rng: &mut Rng, applications: usize, connectors: usize, kinds: &[usize]) -> Self {
        match rng.u8(..16) {
            0..=2 => Self::Turn {
                place: rng.usize(..PLACES),
                slot: rng.bool().then(|| rng.usize(..SLOTS)),
                mood: Mood::draw(rng),
            },
            3 => Self::Weaken { place: rng.usize(..connectors), weak: rng.bool() },
            _ => Self::Come(Coming {
                application: rng.usize(..applications),
                kind: kinds[rng.usize(..kinds.len())],
                form: rng.usize(..FORM_COUNT),
                way: match rng.u8(..4) {
                    0..=1 => Way::Callback,
                    2 => Way::Pull,
                    _ => Way::Kept,
                },
                patience_ms: match rng.u8(..8) {
                    0 => 0,
                    1..=2 => rng.u64(..100),
                    3..=4 => rng.u64(..5_000),
                    _ => rng.u64(..PATIENCE_MS),
                },
            }),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, applications, connectors, room_events, room_bytes, .. } = self;
        writeln!(f, "seed {seed}")?;
        writeln!(
            f,
            "{applications} applications, {connectors} connectors (demanding: {:?}), letters at \
             {:?}",
            &self.demanding[..*connectors],
            self.letters
        )?;
        writeln!(
            f,
            "room for {room_events} events and {room_bytes} bytes, {} in the process; {} events \
             are remembered for {} s",
            self.process_bytes, self.entries_max, self.window_secs
        )?;
        for (n, route) in self.routes.iter().enumerate() {
            writeln!(f, "route {n}: {route}")?;
        }
        for (place, moods) in self.moods.iter().enumerate() {
            writeln!(f, "moods of {} by {EVENT_TYPES:?} and letters: {moods:?}", name(place))?;
        }
        for (n, life) in self.lives.iter().enumerate() {
            writeln!(f, "life {n}, stopped at {} ms", life.stop_ms)?;
            for (at, step) in &life.steps {
                writeln!(f, "{at:>8} ms  {step}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Routed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.types {
            None => write!(f, "all types")?,
            Some(types) => {
                let named = EVENT_TYPES.iter().zip(types).filter(|(_, takes)| **takes);
                write!(f, "{:?}", named.map(|(name, _)| name).collect::<Vec<_>>())?;
            }
        }
        if let Some(application) = self.application {
            write!(f, " of {}", APPLICATIONS[application])?;
        }
        match self.then {
            None => write!(f, " -> dropped"),
            Some(Legs { to, also }) => write!(
                f,
                " -> {}{}, best effort {}",
                named(to),
                if self.one_topic { " on one topic" } else { "" },
                named(also)
            ),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Come(Coming { application, kind, form, way, patience_ms }) => write!(
                f,
                "{way:?}: event {kind} of {} in form {form} comes, waits {patience_ms} ms",
                APPLICATIONS[application]
            ),
            Self::Turn { place, slot: None, mood } => {
                write!(f, "{}: everything turns {mood:?}", name(place))
            }
            Self::Turn { place, slot: Some(slot), mood } => {
                let slot = EVENT_TYPES.get(slot).unwrap_or(&"dead letters");
                write!(f, "{}: {slot} turns {mood:?}", name(place))
            }
            Self::Weaken { place, weak } => write!(f, "{}: weak: {weak}", name(place)),
        }
    }
}

/// The name of a fake.
pub(crate) fn name(place: usize) -> &'static str {
    ["c0", "c1", "c2", "letters", "journal"][place]
}

/// The names of a set of connectors.
pub(crate) fn named(set: u8) -> String {
    let named = (0..CONNECTORS_MAX).filter(|c| set & 1 << c != 0).map(name);
    named.collect::<Vec<_>>().join("+")
}

/// Whether a kind's slot is that of what is no event.
pub(crate) fn is_unrecognized(slot: usize) -> bool {
    slot == UNRECOGNIZED
}
