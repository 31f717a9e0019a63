//! Everything that a run is made of: broker, bridges, VOD, disk and clock, and the hands that carry
//! out the steps of a schedule.

pub mod clock;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use brokers::{SmallDisk, Weather};
use clock::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use vodsim::Faults;

use crate::bridge::{Account, Bridge, Wanted};
use crate::broker::Running;
use crate::fault::Fault;
use crate::load::Load;
use crate::matrix::{Broker, Cell};
use crate::oracle::Found;
use crate::schedule::Step;
use crate::subscriber::{self, Table};

/// The disk below the journal where it is to become full.
const DISK: &str = "64m";

/// How long everything owed may take to settle once all faults have ended.
const RESTS_WITHIN: Duration = Duration::from_secs(90);

/// How long a bridge may take to be ready while others wait for it.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Between two looks at something that nobody announces.
const PAUSE: Duration = Duration::from_millis(50);

/// Faults of VOD's API: nearly one call in five.
const VOD_FAULTS: &str = "internal_error=0.03,throttle=0.01,status_502=0.02,not_json=0.02,\
                          truncated=0.02,cut=0.02,lost_reply=0.03,slow=0.01,lost_confirm=0.1,\
                          duplicate=0.05";

/// A run's world, until it is dropped.
#[derive(Debug)]
pub struct Stage {
    /// VOD.
    pub load: Load,
    /// The bridges, in the order in which they roll.
    pub bridges: Vec<Bridge>,
    /// The broker.
    pub broker: Running,
    /// What subscribers read before it was deleted.
    found: Vec<Found>,
    /// What went wrong beside what the oracle sees.
    pub failures: Vec<String>,
    endpoints: watch::Sender<Vec<SocketAddr>>,
    rate: u32,
    clock: Option<Clock>,
    /// Ends after the bridges: fields are dropped in this order.
    disk: Option<SmallDisk>,
    filler: Option<PathBuf>,
}

// === impl Stage ===

impl Stage {
    /// Starts all of it; nothing flows yet.
    ///
    /// # Panics
    ///
    /// If something does not start.
    pub async fn set(cell: Cell, program: &Path, rate: u32) -> Self {
        let broker = Running::start(cell.broker, cell.fault.needs_login()).await;
        let endpoints = watch::Sender::new(Vec::new());
        let load = Load::new(cell.mode, endpoints.subscribe()).await;
        let disk = (cell.fault == Fault::DiskFull).then(|| SmallDisk::mount(DISK));
        let clock = (cell.fault == Fault::ClockJump).then(Clock::new);
        let wanted = Wanted {
            program,
            mode: cell.mode,
            vod: load.vod().map(vodsim::Vod::url),
            connector: broker.connector(),
            journal: disk.as_ref().map(|disk| disk.path().join("journal")),
            clock: clock.clone(),
        };
        let mut bridges: Vec<_> = (0..cell.fault.bridges()).map(|_| Bridge::new(&wanted)).collect();
        for bridge in &mut bridges {
            bridge.start().await;
        }
        let all = bridges.iter().map(Bridge::callbacks).collect();
        endpoints.send_replace(all);
        Self {
            load,
            bridges,
            broker,
            found: Vec::new(),
            failures: Vec::new(),
            endpoints,
            rate,
            clock,
            disk,
            filler: None,
        }
    }

    /// Does one thing, and returns when it is done.
    ///
    /// # Panics
    ///
    /// If it cannot be done.
    pub async fn carry_out(&mut self, step: Step) {
        match step {
            Step::KillBroker => self.broker.kill(),
            Step::StartBroker => self.broker.restart().await,
            Step::FreezeBroker => self.broker.freeze().await,
            Step::ThawBroker => self.broker.thaw(),
            Step::Weather(weather) => self.broker.proxy().set_weather(weather),
            Step::Cut => self.broker.proxy().cut(),
            Step::Abandon => self.broker.proxy().abandon(),
            Step::HoldReplies(hold) => self.broker.proxy().hold_replies(hold),
            Step::KillBridge => {
                // Taking a process down takes a while, in which its sockets still take bytes.
                let died = Instant::now();
                self.bridges[0].kill();
                self.load.died(self.bridges[0].callbacks(), died).await;
                self.bridges[0].start().await;
            }
            Step::StopBridge => self.restart_in_order(0).await,
            Step::RollBridges => self.roll().await,
            Step::RemoveTopology => self.remove_topology().await,
            Step::TakeRights => self.broker.set_rights(false).await,
            Step::GiveRights => self.broker.set_rights(true).await,
            Step::RotatePassword => self.broker.rotate_password().await,
            Step::FillDisk => self.filler = self.disk.as_ref().map(SmallDisk::fill),
            Step::FreeDisk => {
                if let Some(filler) = self.filler.take() {
                    fs::remove_file(filler).expect("the filler can be removed");
                }
            }
            Step::LowerDescriptors => {
                self.bridges[0].lower_descriptors();
                self.broker.proxy().cut();
            }
            Step::RaiseDescriptors => self.bridges[0].raise_descriptors(),
            Step::SetClock(ahead) => {
                if let Some(clock) = &self.clock {
                    clock.set(ahead);
                }
            }
            Step::VodFails(seed) => self.let_vod_fail(seed),
            Step::SetVodClock(ahead) => {
                if let Some(vod) = self.load.vod() {
                    vod.set_clock_ahead(ahead);
                }
            }
        }
    }

    /// Ends what a schedule may have left behind.
    pub fn end_faults(&mut self) {
        self.broker.proxy().hold_replies(false);
        self.broker.proxy().set_weather(Weather::Clear);
        self.let_vod_fail(None);
    }

    /// Waits until a bridge says that it is ready.
    ///
    /// # Errors
    ///
    /// When it does not say so within a minute.
    pub async fn ready(&self, place: usize) -> Result<(), String> {
        let ready = async {
            while !self.bridges[place].is_ready().await {
                sleep(PAUSE).await;
            }
        };
        let waited = timeout(READY_WITHIN, ready).await;
        waited.map_err(|_| format!("not ready within {READY_WITHIN:?}"))
    }

    /// Waits until nothing is in flight or waiting, and returns where all events went.
    ///
    /// # Errors
    ///
    /// When that takes too long, or the bridges do not tell.
    pub async fn at_rest(&self) -> Result<Account, String> {
        let rests = async {
            loop {
                if let Some(account) = self.account().await
                    && account.is_at_rest()
                {
                    return account;
                }
                sleep(PAUSE).await;
            }
        };
        if let Ok(account) = timeout(RESTS_WITHIN, rests).await {
            return Ok(account);
        }
        let now = self.account().await;
        Err(format!("not at rest within {RESTS_WITHIN:?}: {now:?}"))
    }

    /// All that subscribers have found, the dead letters of every bridge included; called when the
    /// bridges have ended.
    pub async fn found(&mut self) -> Vec<Found> {
        let mut found = std::mem::take(&mut self.found);
        found.extend(self.broker.read(self.bridges[0].journal()).await);
        for (number, bridge) in self.bridges.iter().enumerate() {
            // Each bridge has a journal of its own; the first was read as the broker.
            if number > 0 && self.broker.is_journal() {
                found.extend(subscriber::read_journal(bridge.journal(), Table::Events).await);
            }
            found.extend(subscriber::read_journal(bridge.journal(), Table::DeadLetters).await);
        }
        found
    }

    /// What the bridges printed last.
    pub fn printed(&self) -> String {
        self.bridges.iter().map(Bridge::printed).collect::<Vec<_>>().join("\n")
    }

    async fn account(&self) -> Option<Account> {
        let mut all = Account::default();
        for bridge in &self.bridges {
            let one = bridge.account().await?;
            all.begun += one.begun;
            all.settled += one.settled;
            all.in_flight += one.in_flight;
            all.waiting += one.waiting;
        }
        Some(all)
    }

    async fn restart_in_order(&mut self, place: usize) {
        if let Err(failure) = self.bridges[place].stop().await {
            self.failures.push(failure);
        }
        self.bridges[place].start().await;
    }

    /// As a load balancer sees it: who is asked to end gets no new connections, and who has come
    /// back gets them once it is ready.
    async fn roll(&mut self) {
        for place in 0..self.bridges.len() {
            let address = self.bridges[place].callbacks();
            self.endpoints.send_modify(|endpoints| endpoints.retain(|other| *other != address));
            self.restart_in_order(place).await;
            if let Err(failure) = self.ready(place).await {
                self.failures.push(failure);
            }
            self.endpoints.send_modify(|endpoints| endpoints.push(address));
        }
    }

    /// What lies in a topic goes with it, by the operator's hand; so the load rests until a
    /// subscriber has read everything.
    async fn remove_topology(&mut self) {
        self.load.rest().await;
        let rests = async { self.load.drained().await.and(self.at_rest().await.map(drop)) };
        if let Err(failure) = rests.await {
            self.failures.push(format!("before the topology was removed: {failure}"));
        }
        let found = self.broker.read(self.bridges[0].journal()).await;
        self.found.extend(found);
        self.broker.remove_topology().await;
        self.load.flow(self.rate);
    }

    fn let_vod_fail(&self, seed: Option<u64>) {
        let Some(vod) = self.load.vod() else { return };
        vod.set_faults(match seed {
            Some(seed) => {
                let faults: Faults = VOD_FAULTS.parse().expect("these are faults of vodsim's");
                Faults { seed, ..faults }
            }
            None => Faults::default(),
        });
    }
}

/// Whether a broker's topology is made only with the first event, and so a run begins with one.
pub fn warms_up(broker: Broker) -> bool {
    broker != Broker::Journal
}
