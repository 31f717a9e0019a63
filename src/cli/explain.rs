use super::ConfigFile;
use clap::Args;
use std::process::ExitCode;
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    file: ConfigFile,
}
impl Explain {
    pub(super) fn run(self) -> ExitCode {
        drop(self.file.load());
        ExitCode::SUCCESS
    }
}
