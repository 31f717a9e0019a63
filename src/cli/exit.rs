//! Exit codes, and how failures are printed.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;

use super::check;
use crate::telemetry::chain::Chain;

/// Bad arguments or configuration (`EX_USAGE` of sysexits.h).
pub(super) const USAGE: u8 = 64;

/// Prints what clap has to say; help and version are no failures.
pub fn refuse(error: &clap::Error) -> ExitCode {
    // Where neither stream can be written to, nobody is there to be told.
    error.print().ok();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return ExitCode::SUCCESS;
    }
    let of_check = std::env::args_os().nth(1).is_some_and(|command| command == "check");
    ExitCode::from(if of_check { check::UNKNOWN } else { USAGE })
}

/// Prints a failure with its causes.
pub(super) fn failed(error: &(dyn Error + 'static)) -> ExitCode {
    complain(&Chain(error));
    ExitCode::FAILURE
}

/// Prints one line about what is wrong.
pub(super) fn complain(what: &dyn std::fmt::Display) {
    // Where standard error cannot be written to, nobody is there to be told.
    writeln!(io::stderr().lock(), "vodbridge: {what}").ok();
}

/// Writes to standard output; a reader that has gone away, as `head` does, is no failure.
pub(super) fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failed(&error),
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}
