use std::io;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::Args;
use futures_util::{Stream, stream};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use vodbridge_core::Timestamp;

use super::ConfigFile;
use super::exit::{self, complain, failed};
use crate::app::App;
use crate::config::{Config, Loaded};
use crate::registry;
use crate::telemetry::chain::Chain;
use crate::telemetry::logs;

/// How long threads that are stuck in a system call are waited for at the end.
const THREADS_GRACE: Duration = Duration::from_secs(1);

/// `vodbridge run`
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    file: ConfigFile,
}

impl Run {
    pub(super) fn run(self) -> ExitCode {
        with_runtime(&self.file, serve)
    }
}

/// Reads the configuration, begins to log and runs until `work` has ended; failures are told.
pub(super) fn with_runtime(
    file: &ConfigFile,
    work: impl AsyncFnOnce(&Config) -> ExitCode,
) -> ExitCode {
    let Loaded { config, warnings } = match file.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            complain(&errors);
            return ExitCode::from(exit::USAGE);
        }
    };
    if let Err(error) = logs::init(&config.log, registry::QUIET, registry::SILENT) {
        return failed(&error);
    }
    for warning in warnings {
        warn!(%warning, "the configuration");
    }
    let runtime = match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(work(&config));
    runtime.shutdown_timeout(THREADS_GRACE);
    code
}

async fn serve(config: &Config) -> ExitCode {
    // Heard from the first moment on, so that a stop during start-up is one.
    let signals = match signals() {
        Ok(signals) => signals,
        Err(error) => return failed(&error),
    };
    let clock = Arc::new(|| Timestamp::from(SystemTime::now()));
    let app = match App::build(config, clock).await {
        Ok(app) => app,
        Err(why) => {
            error!(error = %Chain(&why), "the bridge does not start");
            return ExitCode::FAILURE;
        }
    };
    let drained = app.run(pin!(signals)).await;
    if drained.owed > 0 {
        error!(owed = drained.owed, "ended with events that are owed an answer");
        return ExitCode::FAILURE;
    }
    if drained.failed {
        // What it was is in the log already.
        return ExitCode::FAILURE;
    }
    info!("ended in order");
    ExitCode::SUCCESS
}

/// SIGTERM and SIGINT.
pub(super) fn signals() -> io::Result<impl Stream<Item = ()>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(stream::poll_fn(move |cx| match term.poll_recv(cx) {
        std::task::Poll::Pending => int.poll_recv(cx),
        ready => ready,
    }))
}
