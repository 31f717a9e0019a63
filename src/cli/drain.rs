use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use futures_util::stream;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};
use vodbridge_core::Timestamp;

use super::ConfigFile;
use super::exit::failed;
use super::run::{self, signals};
use crate::app::Drain;
use crate::config::Config;
use crate::telemetry::chain::Chain;

/// How often it is said how many are left.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// `vodbridge drain`: for a journal whose bridge will not come back, such as the volume of a
/// replica that was scaled away. Nothing comes in meanwhile; a running bridge sends on by itself.
///
/// Exit codes: 0 nothing is left; 1 something is, or there is no journal, or it cannot be opened.
#[derive(Debug, Args)]
pub(super) struct DrainSpool {
    #[command(flatten)]
    file: ConfigFile,
    /// Give up after this time, such as 10m. What is left stays in the journal.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    within: Option<Duration>,
}

impl DrainSpool {
    pub(super) fn run(self) -> ExitCode {
        let Self { file, within } = self;
        run::with_runtime(&file, async |config| drain(config, within).await)
    }
}

async fn drain(config: &Config, within: Option<Duration>) -> ExitCode {
    let signals = match signals() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    let clock: crate::ingest::callback::Clock = Arc::new(|| Timestamp::from(SystemTime::now()));
    let drain = match Drain::build(config, &clock) {
        Ok(drain) => drain,
        Err(why) => {
            error!(error = %Chain(&why), "the journal cannot be drained");
            return ExitCode::FAILURE;
        }
    };
    let found = drain.left();
    info!(found, "sending on what waits in the spool");
    let time_is_up = stream::once(async move {
        match within {
            Some(within) => sleep(within).await,
            None => std::future::pending().await,
        }
    });
    let mut said = Instant::now();
    let progress = |left| {
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            info!(left, "sending on");
        }
    };
    let ends = stream::select(signals, time_is_up);
    let left = drain.run(ends, progress).await;
    if left > 0 {
        warn!(found, left, "ended; what is left stays in the journal");
        return ExitCode::FAILURE;
    }
    info!(found, "nothing is left");
    ExitCode::SUCCESS
}
