//! The program: arguments, and the exit code of what they ask for.

use std::process::ExitCode;

use clap::Parser;
use vodbridge::cli::Arguments;

// Gives memory back after a burst of large bodies, where the C library's allocator keeps it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => arguments.run(),
        Err(error) => vodbridge::cli::refuse(&error),
    }
}
