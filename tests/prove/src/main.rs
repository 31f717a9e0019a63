//! `prove`: what is lost when things fail.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::Arguments::try_parse() {
        Ok(arguments) => arguments.run(),
        Err(told) => {
            // Where it cannot be printed, nobody is there to read it.
            told.print().ok();
            if told.use_stderr() { ExitCode::from(cli::WRONG_USE) } else { ExitCode::SUCCESS }
        }
    }
}
