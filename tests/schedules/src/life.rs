//! One schedule from its beginning to its end.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use vodbridge_core::seed_jitter;

use crate::bridge::{Bridge, room_of};
use crate::pool::{self, KIND_COUNT, Pool};
use crate::schedule::{Coming, Life, Schedule, Step, Way};
use crate::source::Kept;
use crate::world::World;

/// How long a drain may take once every source has gone: an attempt under way and the reading
/// before it, and a best-effort attempt and the reading before that; none begins after them.
const DRAINS_WITHIN: Duration = Duration::from_secs(2 * (20 + 5) + 1);

/// How long the probers may take to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(1);

/// What a run was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Events that came in.
    pub arrivals: u64,
    /// Publishes that began.
    pub attempts: u64,
    /// Time that passed for the bridge.
    pub simulated: Duration,
}

/// What a run showed to be wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The first thing that was wrong.
    pub wrong: String,
    /// What was to happen.
    pub schedule: Schedule,
    /// What happened, a line an event, if it was asked for.
    pub story: Vec<String>,
}

/// A bridge that runs, and what its sources share.
pub(crate) struct Running {
    pub(crate) world: Arc<World>,
    pub(crate) bridge: Bridge,
    pub(crate) stop: CancellationToken,
    pub(crate) kept: RefCell<Vec<Kept>>,
    pub(crate) arrivals: Cell<u64>,
}

/// Runs the schedule of one seed; `tells` asks for the story of a failure.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn run(seed: u64, tells: bool) -> Result<Numbers, Box<Failure>> {
    thread_local! {
        static POOL: Arc<Pool> = Arc::new(Pool::new());
    }
    let schedule = Arc::new(Schedule::draw(seed));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    seed_jitter(seed);
    let world = {
        let _clock = runtime.enter();
        World::new(Arc::clone(&schedule), POOL.with(Arc::clone), tells)
    };
    let lived = catch_unwind(AssertUnwindSafe(|| runtime.block_on(live(&world))));
    if let Err(panic) = &lived {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        world.wrong(format!("a source panicked: {}", text.unwrap_or("no message")));
    }
    let mut state = world.lock();
    match state.wrong.take() {
        None => Ok(lived.unwrap_or_default()),
        Some(wrong) => {
            let story = state.story.take().unwrap_or_default();
            drop(state);
            Err(Box::new(Failure { wrong, schedule: (*schedule).clone(), story }))
        }
    }
}

/// All lives of one world.
async fn live(world: &Arc<World>) -> Numbers {
    let began = Instant::now();
    let mut kept = Vec::new();
    let mut arrivals = 0;
    let lives = &world.schedule.lives;
    for (n, life) in lives.iter().enumerate() {
        let running = Running {
            world: Arc::clone(world),
            bridge: Bridge::new(world),
            stop: CancellationToken::new(),
            kept: RefCell::default(),
            arrivals: Cell::default(),
        };
        running.live(life, &kept, n + 1 == lives.len()).await;
        arrivals += running.arrivals.get();
        kept = running.kept.take();
        if world.lock().wrong.is_some() {
            break;
        }
    }
    Numbers { arrivals, attempts: world.lock().attempts, simulated: began.elapsed() }
}

impl Running {
    /// From the start to the end of the drain.
    async fn live(&self, life: &Life, kept: &[Kept], is_last: bool) {
        let mut probers = JoinSet::new();
        let probers_stop = CancellationToken::new();
        for target in &self.bridge.targets {
            probers.spawn(Arc::clone(target).probe(probers_stop.clone()));
        }
        self.weather(life, kept).await;
        if is_last {
            self.settle_all().await;
        }
        self.drain("the sources have gone").await;
        if self.is_wrong() {
            return;
        }
        self.room_comes_back().await;
        if self.is_wrong() {
            return;
        }
        probers_stop.cancel();
        let stopped = timeout(STOPS_WITHIN, probers.join_all()).await;
        if stopped.is_err() {
            self.world.wrong("a prober does not stop");
        }
        let mut state = self.world.lock();
        let forgotten: Result<Vec<_>, _> = state.entries.iter_mut().map(|e| e.forget()).collect();
        if let Err(why) = forgotten {
            state.wrong(why);
        }
    }

    /// Lets everything happen in its time, until the last source has gone.
    async fn weather(&self, life: &Life, kept: &[Kept]) {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let sources = FuturesUnordered::new();
        for (ms, coming) in life.steps.iter().filter_map(|(ms, step)| match step {
            Step::Come(coming) => Some((*ms, *coming)),
            Step::Turn { .. } | Step::Weaken { .. } => None,
        }) {
            sources.push(futures_util::future::Either::Left(async move {
                sleep_until(at(ms)).await;
                self.come(coming).await;
            }));
        }
        for kept in kept {
            let resumed = self.keep(kept.coming, Some(kept.progress));
            sources.push(futures_util::future::Either::Right(resumed));
        }
        let turns = async {
            for (ms, step) in &life.steps {
                match *step {
                    Step::Come(_) => continue,
                    Step::Turn { place, slot, mood } => {
                        sleep_until(at(*ms)).await;
                        self.world.turn(place, slot, mood);
                    }
                    Step::Weaken { place, weak } => {
                        sleep_until(at(*ms)).await;
                        self.world.weaken(place, weak);
                    }
                }
                self.world.tell(|| step.to_string());
            }
            sleep_until(at(life.stop_ms)).await;
            self.world.tell(|| "stop".to_owned());
            self.stop.cancel();
        };
        tokio::join!(turns, sources.for_each(async |()| ()));
    }

    /// The weather ends; everything that ever came in, or is kept, settles.
    async fn settle_all(&self) {
        self.world.calm();
        for Kept { coming, progress } in self.kept.take() {
            self.settle(coming, Some(progress)).await;
        }
        for application in 0..self.bridge.applications.len() {
            for kind in 0..KIND_COUNT {
                let place = pool::place(application, kind);
                if self.world.lock().entries[place].came && !self.is_wrong() {
                    let coming =
                        Coming { application, kind, form: 0, way: Way::Callback, patience_ms: 0 };
                    self.settle(coming, None).await;
                }
            }
        }
    }

    /// Waits until every task has ended, which takes a bounded time.
    async fn drain(&self, when: &str) {
        self.bridge.tracker.close();
        if timeout(DRAINS_WITHIN, self.bridge.tracker.wait()).await.is_err() {
            self.world.wrong(format!("{when}, and a task has not ended {DRAINS_WITHIN:?} later"));
        }
        self.bridge.tracker.reopen();
        if self.bridge.in_flight() > 0 {
            self.world.wrong("drained, and an event is in flight");
        }
        if !self.bridge.is_process_room_whole() {
            self.world.wrong("drained, and bytes of the process have not come back");
        }
        self.look();
        if self.world.schedule.is_scraped && self.bridge.unaccounted() != (0, 0) {
            self.world.wrong("drained, and the metrics do not balance");
        }
    }

    /// As many events as there is room for depart at once, and so does one that takes all bytes.
    async fn room_comes_back(&self) {
        let (events, bytes) = room_of(&self.world.schedule);
        for application in 0..self.bridge.applications.len() {
            if !(0..events).all(|n| self.finds_room(application, n, 1)) {
                self.world.wrong("room for events has not come back");
            }
        }
        self.drain("events with room have departed").await;
        for application in 0..self.bridge.applications.len() {
            if !self.finds_room(application, 0, bytes) {
                self.world.wrong("room for bytes has not come back");
            }
        }
        self.drain("an event with all the room has departed").await;
    }

    /// Reads the metrics, where the schedule says so: nothing may be unaccounted for.
    pub(crate) fn look(&self) {
        if !self.world.schedule.is_scraped {
            return;
        }
        let (unaccounted, _) = self.bridge.unaccounted();
        if unaccounted != 0 {
            self.world.wrong(format!("{unaccounted} events are received and in no other number"));
        }
    }

    fn is_wrong(&self) -> bool {
        self.world.lock().wrong.is_some()
    }
}

impl Failure {
    /// What tells the same story again.
    pub fn seed(&self) -> u64 {
        self.schedule.seed
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.wrong)?;
        writeln!(f, "{}", self.schedule)?;
        for line in &self.story {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
