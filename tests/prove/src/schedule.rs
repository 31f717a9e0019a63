//! What is done at which moment of a run: the same seed, the same schedule.

use std::time::Duration;

use brokers::Weather;
use vodsim::Random;

/// One thing that is done to the bridge or to what is around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The broker's process is killed (signal 9).
    KillBroker,
    /// The killed broker is started with the data that it had.
    StartBroker,
    /// The broker stands still (SIGSTOP), its connections open.
    FreezeBroker,
    /// The frozen broker goes on.
    ThawBroker,
    /// What the network between bridge and broker does from now on.
    Weather(Weather),
    /// All connections between bridge and broker are cut.
    Cut,
    /// The broker's side of all connections goes away without the bridge being told.
    Abandon,
    /// What the broker answers is held back, or passed on again.
    HoldReplies(bool),
    /// The bridge is killed (signal 9), and started again at once.
    KillBridge,
    /// The bridge is asked to end (SIGTERM), must end in order, and is started again.
    StopBridge,
    /// One bridge after the other is asked to end and started again.
    RollBridges,
    /// The load rests, a subscriber reads all, and topics, queue or stream are deleted.
    RemoveTopology,
    /// The bridge's user may publish no more.
    TakeRights,
    /// The bridge's user may publish again.
    GiveRights,
    /// The broker is given another password, the secret's file too, and connections are cut.
    RotatePassword,
    /// A file takes all that is left of the disk below the journal.
    FillDisk,
    /// That file is removed.
    FreeDisk,
    /// The bridge may open no further files or sockets; its connections to the broker are cut.
    LowerDescriptors,
    /// It may again.
    RaiseDescriptors,
    /// The bridge's wall clock is put so many seconds ahead of the true time.
    SetClock(i64),
    /// VOD's API fails at random, with this seed, or no more.
    VodFails(Option<u64>),
    /// VOD's clock is put so many seconds ahead of the true time.
    SetVodClock(i64),
}

/// Steps with their times since the load began, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    steps: Vec<(Duration, Step)>,
    random: Random,
    now: Duration,
    end: Duration,
}

// === impl Schedule ===

impl Schedule {
    /// An empty one for a load of so long.
    pub fn new(seed: u64, length: Duration) -> Self {
        Self { steps: Vec::new(), random: Random::new(seed), now: Duration::ZERO, end: length }
    }

    /// The steps, in the order of their times.
    pub fn steps(&self) -> &[(Duration, Step)] {
        &self.steps
    }

    /// Whether there is time left for more.
    pub fn has_time(&self) -> bool {
        self.now < self.end
    }

    /// Lets some time pass, at random between the two, in milliseconds.
    #[must_use]
    pub fn after(mut self, from_ms: u64, to_ms: u64) -> Self {
        self.now += Duration::from_millis(from_ms + self.random.below(to_ms - from_ms + 1));
        self
    }

    /// Then does this.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push((self.now, step));
        self
    }

    /// Goes on like this as long as there is time.
    #[must_use]
    pub fn repeat(mut self, more: impl Fn(Self) -> Self) -> Self {
        while self.has_time() {
            self = more(self);
        }
        self
    }

    /// A number from 0 to below `end`.
    pub fn draw(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }
}
