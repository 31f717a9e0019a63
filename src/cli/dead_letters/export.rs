use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::chosen::Chosen;
use super::super::exit::{complain, failed, print};
use super::super::printer::json_line;
use super::ended;
use crate::records::Of;

/// `vodbridge dead-letters export`
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    chosen: Chosen,
    /// The file, which must not be there yet. Default: standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

// === impl Export ===

impl Export {
    pub(super) fn run(self) -> ExitCode {
        let mut reader = match self.chosen.rows.journal() {
            Ok(reader) => reader,
            Err(code) => return code,
        };
        let mut count = 0_usize;
        let mut write = |out: &mut dyn Write| {
            self.chosen.each_page(&mut reader, Of::DeadLetters, |records| {
                count += records.len();
                records.iter().try_for_each(|record| json_line(out, record))
            })
        };
        let Some(path) = &self.output else { return print(|out| write(out)) };
        let file = match File::create_new(path) {
            Ok(file) => file,
            Err(error) => {
                return failed(&io::Error::new(
                    error.kind(),
                    format!("{}: {error}", path.display()),
                ));
            }
        };
        let mut out = BufWriter::new(file);
        // A copy that people remove letters on the strength of is on the disk.
        let written = write(&mut out).and_then(|()| out.flush());
        let written = written.and_then(|()| out.get_ref().sync_all());
        if written.is_ok() {
            complain(&format_args!("{count} dead letters written to {}", path.display()));
        }
        ended(written, ExitCode::SUCCESS)
    }
}
