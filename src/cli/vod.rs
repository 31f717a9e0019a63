//! `vodbridge vod`: what VOD is set to do with events, looked at and changed.

mod configure;
mod status;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tokio::runtime;

use super::ConfigFile;
use super::exit::{self, complain, failed};
use crate::config::{Application, Config, Name};
use crate::vod::Accounts;
use vodbridge_vod::client::Client;

/// `vodbridge vod`
#[derive(Debug, Args)]
pub(super) struct Vod {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what VOD is set to do with each application's events, how many wait, and what does not
    /// fit the configuration. Changes nothing.
    Status(status::Status),
    /// Change mode, callback URL, switches or sign key of one application in VOD.
    ///
    /// Shows the difference first and asks. A change takes about ten minutes to work, and cuts off
    /// whoever else gets the events of this application.
    Configure(configure::Configure),
}

/// Which applications are meant, and where they are asked about.
#[derive(Debug, Args)]
struct Meant {
    #[command(flatten)]
    file: ConfigFile,
    /// Only this application; needed by `configure` where there are several.
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// VOD's API. Default: where the application pulls from, else https://vod.tencentcloudapi.com.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

/// An application, and a way to ask VOD about it.
struct Asked<'a> {
    name: &'a Name,
    application: &'a Application,
    client: Client,
}

// === impl Vod ===

impl Vod {
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            Command::Status(status) => status.run(),
            Command::Configure(configure) => configure.run(),
        }
    }
}

impl Asked<'_> {
    fn sub_app_id(&self) -> Option<u64> {
        self.application.sub_app_id.map(std::num::NonZeroU64::get)
    }
}

// === impl Meant ===

impl Meant {
    /// Reads the configuration; failures are printed.
    fn config(&self) -> Result<Config, ExitCode> {
        self.file.load().map(|loaded| loaded.config).map_err(|errors| {
            complain(&errors);
            ExitCode::from(exit::USAGE)
        })
    }

    /// A way to ask about each. One that only takes callbacks is asked about with the credential
    /// that is found. Called within a runtime.
    fn asked<'a>(&self, config: &'a Config) -> Result<Vec<Asked<'a>>, ExitCode> {
        let mut accounts = Accounts::default();
        let mut all = Vec::new();
        for (name, application) in &config.applications {
            if self.application.as_deref().is_some_and(|only| only != name.as_str()) {
                continue;
            }
            let mut pull = application.pull.clone().unwrap_or_default();
            if let Some(endpoint) = &self.endpoint {
                pull.endpoint.clone_from(endpoint);
            }
            let client = accounts.client(name, &pull).map_err(|why| failed(&why))?;
            all.push(Asked { name, application, client });
        }
        if all.is_empty() {
            let names: Vec<_> = config.applications.keys().map(Name::as_str).collect();
            complain(&format_args!(
                "there is no such application; there are: {}",
                names.join(", ")
            ));
            return Err(ExitCode::from(exit::USAGE));
        }
        Ok(all)
    }
}

fn runtime() -> Result<runtime::Runtime, ExitCode> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(|why| failed(&why))
}
