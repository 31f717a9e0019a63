use super::ConfigFile;
use clap::Args;
use std::process::ExitCode;
pub(super) const UNKNOWN: u8 = 3;
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    file: ConfigFile,
}
impl Check {
    pub(super) fn run(self) -> ExitCode {
        drop(self.file.load());
        ExitCode::SUCCESS
    }
}
