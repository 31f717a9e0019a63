use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use super::exit::{self, complain, print};

/// Asks a question that `y` says yes to; an error, which is printed with the way out, where there
/// is nobody to ask.
pub(super) fn confirmed(question: &str) -> Result<bool, ExitCode> {
    let input = io::stdin();
    if !input.is_terminal() {
        complain(&format_args!("{question} Nobody can be asked here: say --yes"));
        return Err(ExitCode::from(exit::USAGE));
    }
    print(|out| write!(out, "{question} [y/N] "));
    let mut answer = String::new();
    // An answer that cannot be read is none.
    input.lock().read_line(&mut answer).ok();
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
