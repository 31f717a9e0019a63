//! The program itself: a child process on ports and with a journal that outlive it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use brokers::{Port, Process};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::callbacks::PATH;
use crate::http;
use crate::matrix::Mode;
use crate::stage::clock::Clock;

/// How long a start may take on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// How long a stop may take: `grace`, and some time for a busy machine.
const ENDS_WITHIN: Duration = Duration::from_secs(45);

/// How long a page of its own may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Between two looks at something that nobody announces.
const PAUSE: Duration = Duration::from_millis(20);

/// What is asked of the bridge in a run.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The program.
    pub program: &'a Path,
    /// How events come in.
    pub mode: Mode,
    /// VOD's API, for pulling.
    pub vod: Option<String>,
    /// The keys of the one connector.
    pub connector: String,
    /// Where the journal lies; `None`: beside the configuration.
    pub journal: Option<PathBuf>,
    /// What its clock is read through.
    pub clock: Option<Clock>,
}

/// One bridge, running or not.
#[derive(Debug)]
pub struct Bridge {
    program: PathBuf,
    journal: PathBuf,
    clock: Option<Clock>,
    callbacks: Port,
    admin: Port,
    process: Option<Process>,
    descriptors: Option<Rlimit>,
    /// Outlives the process.
    folder: TempDir,
}

/// Where the events of a bridge are, by its own metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Account {
    /// Received and recovered.
    pub begun: f64,
    /// Settled.
    pub settled: f64,
    /// In flight.
    pub in_flight: f64,
    /// Waiting.
    pub waiting: f64,
}

// === impl Bridge ===

impl Bridge {
    /// Configures one and does not start it.
    pub fn new(wanted: &Wanted<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let journal = wanted.journal.clone().unwrap_or_else(|| folder.path().join("journal"));
        let bridge = Self {
            program: wanted.program.to_owned(),
            journal,
            clock: wanted.clock.clone(),
            callbacks: Port::take(),
            admin: Port::take(),
            process: None,
            descriptors: None,
            folder,
        };
        fs::write(bridge.config(), bridge.yaml(wanted)).expect("the folder can be written");
        bridge
    }

    /// Starts it, and returns once it listens.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(self.config());
        if let Some(clock) = &self.clock {
            command.envs(clock.environment());
        }
        let process = self.process.insert(Process::start(&mut command));
        process.says("/livez", STARTS_WITHIN).await;
    }

    /// Kills it (signal 9); returns once it is gone.
    pub fn kill(&mut self) {
        self.process = None;
        self.descriptors = None;
    }

    /// Asks it to end, and waits.
    ///
    /// # Errors
    ///
    /// When it does not end in time, or not with exit code 0.
    pub async fn stop(&mut self) -> Result<(), String> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.ask_to_end();
        let ending = async {
            loop {
                if let Some(status) = process.ended() {
                    return status;
                }
                sleep(PAUSE).await;
            }
        };
        match timeout(ENDS_WITHIN, ending).await.as_ref().map(ExitStatus::success) {
            Ok(true) => Ok(()),
            Ok(false) => Err("a stop did not end with exit code 0".to_owned()),
            Err(_) => Err(format!("a stop did not end within {ENDS_WITHIN:?}")),
        }
    }

    /// Where callbacks go.
    pub fn callbacks(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.callbacks.number()))
    }

    /// Where it tells about itself.
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.admin.number()))
    }

    /// The folder of its journal.
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// What it printed last.
    pub fn printed(&self) -> String {
        self.process.as_ref().map(Process::printed).unwrap_or_default()
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let ready = timeout(ANSWERS_WITHIN, http::get(self.admin(), "/readyz")).await;
        matches!(ready, Ok(Ok(answer)) if answer.status == 200)
    }

    /// Where its events are, by `/metrics` alone; nothing if it does not answer.
    pub async fn account(&self) -> Option<Account> {
        let page = timeout(ANSWERS_WITHIN, http::get(self.admin(), "/metrics")).await.ok()?.ok()?;
        let sum = |name: &str| sum(&page.body, name);
        Some(Account {
            begun: sum("vodbridge_received_total") + sum("vodbridge_recovered_total"),
            settled: sum("vodbridge_settled_total"),
            in_flight: sum("vodbridge_in_flight"),
            waiting: sum("vodbridge_waiting"),
        })
    }

    /// Lets it open no further descriptor than it has open, until [`Self::raise_descriptors`].
    ///
    /// # Panics
    ///
    /// If the system does not permit it.
    pub fn lower_descriptors(&mut self) {
        let Some(pid) = self.pid() else { return };
        let folder = format!("/proc/{}/fd", pid.as_raw_nonzero());
        let open = fs::read_dir(folder).expect("a process has descriptors").count() as u64;
        let none = Rlimit { current: Some(open), maximum: None };
        let was = rustix::process::getrlimit(Resource::Nofile);
        let none = Rlimit { maximum: was.maximum, ..none };
        let before =
            prlimit(Some(pid), Resource::Nofile, none).expect("limits of a child are ours");
        self.descriptors.get_or_insert(before);
    }

    /// Lets it open as many as before.
    ///
    /// # Panics
    ///
    /// If the system does not permit it.
    pub fn raise_descriptors(&mut self) {
        let (Some(pid), Some(before)) = (self.pid(), self.descriptors.take()) else { return };
        prlimit(Some(pid), Resource::Nofile, before).expect("limits of a child are ours");
    }

    /// The memory that is resident, in KiB; nothing if it does not run.
    pub fn resident_kib(&self) -> Option<u64> {
        let status = format!("/proc/{}/status", self.process.as_ref()?.id());
        let status = fs::read_to_string(status).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.process.as_ref()?.id()).ok()?)
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("vodbridge.yaml")
    }

    fn yaml(&self, wanted: &Wanted<'_>) -> String {
        let source = match wanted.mode {
            Mode::Ahead => format!("callback: {{ path: {PATH}, spool: ahead }}"),
            Mode::Off => format!("callback: {{ path: {PATH}, spool: off }}"),
            Mode::Pull => format!(
                "pull: {{ endpoint: {:?}, handle_life: 5s, margin: 1s, calls_per_second: 1000, \
                 credentials: {{ from: static, secret_id: AKIDexample, secret_key: example }} }}",
                wanted.vod.as_deref().unwrap_or_default()
            ),
        };
        format!(
            "http: {{ listen: {:?} }}\nadmin: {{ listen: {:?} }}\nlog: {{ format: json }}\n\
             journal: {{ path: {:?} }}\napplications: {{ movies: {{ {source} }} }}\n\
             connectors: {{ broker: {{ {} }} }}\n",
            self.callbacks.address(),
            self.admin.address(),
            self.journal,
            wanted.connector,
        )
    }
}

// === impl Account ===

impl Account {
    /// Whether nothing is in flight or waiting.
    pub fn is_at_rest(&self) -> bool {
        self.in_flight == 0.0 && self.waiting == 0.0
    }

    /// Received and recovered, less settled, in flight and waiting: never unequal to zero at rest.
    pub fn unaccounted(&self) -> f64 {
        self.begun - self.settled - self.in_flight - self.waiting
    }
}

/// The sum of all series of a metric.
fn sum(page: &str, name: &str) -> f64 {
    let series = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_it = rest.starts_with(['{', ' ']);
        is_it.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    series.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_own_series_alone() {
        let page = "# HELP a b\na{x=\"1\"} 2\na{x=\"2\"} 3\na_total 7\nab{x=\"1\"} 9\n";
        assert_eq!(sum(page, "a"), 5.0);
        assert_eq!(sum(page, "a_total"), 7.0);
        assert_eq!(sum(page, "c"), 0.0);
    }

    #[test]
    fn what_is_in_flight_or_waiting_is_accounted_for() {
        let account = Account { begun: 10.0, settled: 7.0, in_flight: 2.0, waiting: 1.0 };
        assert_eq!((account.unaccounted(), account.is_at_rest()), (0.0, false));
        let forgotten = Account { begun: 10.0, settled: 9.0, ..Account::default() };
        assert_eq!((forgotten.unaccounted(), forgotten.is_at_rest()), (1.0, true));
    }
}
