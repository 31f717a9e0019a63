//! The program: arguments, and the exit code of what they ask for.

use std::process::ExitCode;

use clap::Parser;
use vodbridge::cli::Arguments;

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => arguments.run(),
        Err(error) => vodbridge::cli::refuse(&error),
    }
}
