use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use prove::fault::Fault;
use prove::matrix::{Broker, Cell, Mode, Selection};
use prove::record::{LeftOut, Line};
use prove::run::{Plan, program_beside, run};
use tokio::signal::unix::{SignalKind, signal};

use super::progress::{Progress, Total};
use super::{WRONG_USE, complain};

/// Drivers, proxy and brokers' tools, some of which block for a second.
const THREADS: usize = 4;

/// `prove run`
#[derive(Debug, Args)]
pub(super) struct Run {
    /// Go on for so long: the cells one after the other, then all of them again with other seeds.
    /// Without this, --events and --runs each cell is run once.
    #[arg(long, value_name = "N", conflicts_with_all = ["events", "runs"])]
    minutes: Option<u64>,
    /// Go on until so many events have been issued.
    #[arg(long, value_name = "N", conflicts_with = "runs")]
    events: Option<u64>,
    /// So many runs.
    #[arg(long, value_name = "N")]
    runs: Option<u64>,
    /// The seed of the first run; each further one has the next. Default: the time.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Only this fault; may be given several times. `prove faults` lists them.
    #[arg(long = "fault", value_name = "F", hide_possible_values = true)]
    faults: Vec<Fault>,
    /// Only this broker; may be given several times. Default: all but rabbitmq3.
    #[arg(long = "broker", value_name = "B")]
    brokers: Vec<Broker>,
    /// Only this mode; may be given several times.
    #[arg(long = "mode", value_name = "M")]
    modes: Vec<Mode>,
    /// Append a line of JSON for each run to this file.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// How long events flow in a run, at least.
    #[arg(long, value_name = "N", default_value_t = 8)]
    seconds: u64,
    /// Events a second.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    /// The program. Default: the vodbridge that lies beside this one.
    #[arg(long, value_name = "PATH")]
    bridge: Option<PathBuf>,
}

// === impl Run ===

impl Run {
    pub(super) fn run(self) -> ExitCode {
        let Some(program) = self.bridge.clone().or_else(program_beside) else {
            complain(
                "there is no vodbridge beside this program: build it, or name it with --bridge",
            );
            return ExitCode::from(WRONG_USE);
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .enable_all()
            .build()
            .expect("the system gives a process its first event queue");
        // What breaks a run off stands in its record; here a line is enough.
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            complain(&format!("broke off at {place}"));
        }));
        // Leaving the runtime ends whatever a run has started.
        runtime.block_on(async {
            let stopped = stopped();
            tokio::select! {
                code = self.all(program) => code,
                () = stopped => {
                    complain("ended by a signal");
                    ExitCode::FAILURE
                }
            }
        })
    }

    async fn all(&self, program: PathBuf) -> ExitCode {
        let (cells, left_out) = self.cells();
        for cell in left_out {
            if let Err(code) = self.append(&Line::LeftOut(cell)) {
                return code;
            }
        }
        if cells.is_empty() {
            complain("none of these cells can be run; `prove faults` says why");
            return ExitCode::from(WRONG_USE);
        }
        let plan = Plan { program, commit: commit(), seconds: self.seconds, rate: self.rate };
        let seed = self.seed.unwrap_or_else(|| {
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
        });
        let mut progress = Progress::new(self.total(cells.len() as u64));
        let mut failed = 0_u64;
        for (seed, cell) in (seed..).zip(cells.iter().copied().cycle()) {
            if !progress.goes_on() {
                break;
            }
            progress.begins(cell, seed);
            let (record, printed) = run(cell, seed, &plan).await;
            progress.ended(cell, &record, &printed);
            failed += u64::from(!record.is_well());
            if let Err(code) = self.append(&Line::Run(Box::new(record))) {
                return code;
            }
        }
        // A reader that has gone is no failure.
        writeln!(io::stderr().lock(), "{failed} runs failed").ok();
        if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// The cells to run, and those that cannot be.
    fn cells(&self) -> (Vec<Cell>, Vec<LeftOut>) {
        let selection = Selection {
            faults: self.faults.clone(),
            brokers: self.brokers.clone(),
            modes: self.modes.clone(),
        };
        let (mut cells, mut left_out) = (Vec::new(), Vec::new());
        for cell in selection.cells() {
            let Cell { fault, broker, mode } = cell;
            match fault.without(broker, mode) {
                None => cells.push(cell),
                Some(reason) => {
                    left_out.push(LeftOut { fault, broker, mode, left_out: reason.to_owned() });
                }
            }
        }
        (cells, left_out)
    }

    fn total(&self, cells: u64) -> Total {
        match (self.minutes, self.events, self.runs) {
            (Some(minutes), _, _) => Total::Time(Duration::from_secs(60 * minutes)),
            (None, Some(events), _) => Total::Events(events),
            (None, None, Some(runs)) => Total::Runs(runs),
            (None, None, None) => Total::Runs(cells),
        }
    }

    fn append(&self, line: &Line) -> Result<(), ExitCode> {
        let Some(file) = &self.results else { return Ok(()) };
        line.append(file).map_err(|error| {
            complain(&format!("{} cannot be written: {error}", file.display()));
            ExitCode::FAILURE
        })
    }
}

/// The commit of the working tree, and whether something was changed.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")))
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    // The results and their document change while they are made.
    let elsewhere = [":(top)", ":(top,exclude)docs/reliability*"];
    let is_clean = git(&[&["status", "--porcelain", "--"][..], &elsewhere].concat())
        .is_some_and(|changes| changes.is_empty());
    if is_clean { commit } else { format!("{commit}-dirty") }
}

/// Resolves at SIGINT or SIGTERM.
async fn stopped() {
    let (int, term) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut int), Ok(mut term)) = (int, term) else { return std::future::pending().await };
    tokio::select! {
        _ = int.recv() => {}
        _ = term.recv() => {}
    }
}
