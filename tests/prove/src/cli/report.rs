use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use prove::record::Line;
use prove::report::document;

use super::complain;

/// `prove report`
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Files that `prove run --results` wrote. Every run in them counts.
    #[arg(required = true, value_name = "RESULTS")]
    results: Vec<PathBuf>,
}

impl Report {
    pub(super) fn run(self) -> ExitCode {
        let mut lines = Vec::new();
        for file in &self.results {
            match Line::read(file) {
                Ok(more) => lines.extend(more),
                Err(error) => {
                    complain(&format!("{}: {error}", file.display()));
                    return ExitCode::FAILURE;
                }
            }
        }
        match io::stdout().lock().write_all(document(&lines).as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}
