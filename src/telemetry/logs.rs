//! Logs: for people on a terminal, JSON for programs.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::config::{Log, LogFormat};

/// What libraries say in detail is what goes over their wire: bodies, tokens, passwords.
const LIBRARIES_MAX: Level = Level::DEBUG;

/// Sends logs to standard error from here on. What comes from `quiet` targets is there if
/// `log.level` names them, what comes from `silent` ones never is, and of what is not vodbridge's
/// own nothing is more detailed than `debug`.
///
/// # Errors
///
/// When `log.level` is no filter.
pub fn init(
    log: &Log,
    quiet: &[&str],
    silent: &[&str],
) -> Result<(), tracing_subscriber::filter::ParseError> {
    let quiet: String = quiet.iter().map(|target| format!("{target}=off,")).collect();
    let mut filter = EnvFilter::builder().parse(format!("{quiet}{}", log.level))?;
    for target in silent {
        filter = filter.add_directive(format!("{target}=off").parse()?);
    }
    let is_terminal = io::stderr().is_terminal();
    // A log that cannot be written must not end what it is about.
    let layer =
        fmt::layer().log_internal_errors(false).with_writer(io::stderr).with_ansi(is_terminal);
    let json = match log.format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let filter = filter.and(filter_fn(may_be_told));
    if json {
        registry().with(layer.json().flatten_event(true).with_filter(filter)).init();
    } else {
        registry().with(layer.with_target(false).with_filter(filter)).init();
    }
    Ok(())
}

fn may_be_told(what: &Metadata<'_>) -> bool {
    what.target().starts_with("vodbridge") || *what.level() <= LIBRARIES_MAX
}
