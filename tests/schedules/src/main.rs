//! `make schedules`: runs random schedules, or one by its seed.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Parser;
use mimalloc::MiMalloc;
use schedules::{Campaign, Ended, Numbers, Progress, campaign, run};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Runs the core of the bridge through random schedules in simulated time.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many schedules to run
    #[arg(long, default_value_t = 1_000_000)]
    count: u64,
    /// How long to run them at most
    #[arg(long)]
    seconds: Option<u64>,
    /// What their seeds are made of; drawn and printed if it is not given
    #[arg(long)]
    base: Option<u64>,
    /// Threads, one a core if it is not given
    #[arg(long)]
    threads: Option<usize>,
    /// Runs the one schedule of this seed and tells its story
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = io::stdout().lock();
    let said = match arguments.seed {
        Some(seed) => one(&mut out, seed),
        None => many(&mut out, &arguments),
    };
    // Who closed the pipe has seen enough.
    said.unwrap_or(ExitCode::FAILURE)
}

fn one(out: &mut impl Write, seed: u64) -> io::Result<ExitCode> {
    match run(seed, true) {
        Ok(numbers) => {
            writeln!(out, "{}nothing is wrong: {numbers:?}", schedules::Schedule::draw(seed))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            write!(out, "{failure}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn many(out: &mut impl Write, arguments: &Arguments) -> io::Result<ExitCode> {
    let base = arguments.base.unwrap_or_else(|| RandomState::new().hash_one(()));
    let cores = || available_parallelism().map_or(1, usize::from);
    let threads = arguments.threads.unwrap_or_else(cores);
    let time = arguments.seconds.map(Duration::from_secs);
    let count = arguments.count;
    writeln!(out, "{count} schedules on {threads} threads, --base {base}")?;
    let Ended { progress, numbers, failure } =
        campaign(Campaign { base, count, time, threads }, |progress| {
            // A progress line that nobody reads is no reason to stop.
            let line = format!("{} schedules, {:.0} a second", progress.schedules, rate(progress));
            write!(io::stderr().lock(), "\r{line}   ").ok();
        });
    writeln!(io::stderr().lock())?;
    let Numbers { arrivals, attempts, simulated } = numbers;
    writeln!(
        out,
        "{} schedules in {:.1} s, {:.0} a second: {arrivals} arrivals, {attempts} publishes, {:.1} \
         days of simulated time",
        progress.schedules,
        progress.elapsed.as_secs_f64(),
        rate(progress),
        simulated.as_secs_f64() / 86_400.0
    )?;
    let Some(failure) = failure else {
        writeln!(out, "nothing is wrong")?;
        return Ok(ExitCode::SUCCESS);
    };
    write!(out, "\n{failure}")?;
    writeln!(out, "\nagain: cargo run --release -p schedules -- --seed {}", failure.seed())?;
    Ok(ExitCode::FAILURE)
}

fn rate(progress: Progress) -> f64 {
    progress.schedules as f64 / progress.elapsed.as_secs_f64().max(0.001)
}
