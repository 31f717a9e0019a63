//! Logs: for people on a terminal, JSON for programs.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Sends logs to standard error from here on. What comes from `quiet` targets is there if
/// `log.level` names them, what comes from `silent` ones never is.
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
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // A log that cannot be written must not end what it is about.
        .log_internal_errors(false)
        .with_writer(io::stderr)
        .with_ansi(is_terminal);
    let json = match log.format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    if json {
        builder.json().flatten_event(true).init();
    } else {
        builder.with_target(false).init();
    }
    Ok(())
}
