use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use prove::matrix::{Broker, Mode};
use prove::run::program_beside;
use prove::soak::{Minute, WARM_UP, growth, soak};

use super::{WRONG_USE, complain};

/// How flat is flat.
const FLAT: f64 = 0.05;

/// `prove soak`
#[derive(Debug, Args)]
pub(super) struct Soak {
    /// How long.
    #[arg(long, value_name = "N", default_value_t = 30)]
    minutes: usize,
    /// Events a second.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rate: u32,
    /// Where they go.
    #[arg(long, value_name = "B", default_value = "nats")]
    broker: Broker,
    /// How they come in.
    #[arg(long, value_name = "M", default_value = "ahead")]
    mode: Mode,
    /// The program. Default: the vodbridge that lies beside this one.
    #[arg(long, value_name = "PATH")]
    bridge: Option<PathBuf>,
}

// === impl Soak ===

impl Soak {
    pub(super) fn run(self) -> ExitCode {
        let Some(program) = self.bridge.clone().or_else(program_beside) else {
            complain(
                "there is no vodbridge beside this program: build it, or name it with --bridge",
            );
            return ExitCode::from(WRONG_USE);
        };
        let runtime = tokio::runtime::Runtime::new()
            .expect("the system gives a process its first event queue");
        say("minute   resident MiB, most   at its end   waiting, most      settled");
        let tell = |number: usize, minute: Minute| {
            say(&format!(
                "{number:>6} {:>20.1} {:>12.1} {:>15} {:>12}",
                mib(minute.most_kib),
                mib(minute.last_kib),
                minute.waiting,
                minute.settled
            ));
        };
        let soaking = soak(self.broker, self.mode, self.rate, self.minutes, &program, tell);
        match runtime.block_on(soaking) {
            Ok(minutes) => {
                let growth = growth(&minutes);
                let is_flat = growth <= FLAT;
                say(&format!(
                    "{} minutes at {}/s with an outage each: after {WARM_UP} minutes memory changed \
                     by {:+.1} %: {}",
                    self.minutes,
                    self.rate,
                    growth * 100.0,
                    if is_flat { "flat" } else { "it grows" },
                ));
                if is_flat { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(why) => {
                complain(&why);
                ExitCode::FAILURE
            }
        }
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn say(line: &str) {
    // Who does not read it has the exit code.
    writeln!(io::stdout().lock(), "{line}").ok();
}
