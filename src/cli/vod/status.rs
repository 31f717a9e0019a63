use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use futures_util::future::join_all;
use serde_json::json;
use vodbridge_vod::client::CallError;

use super::super::exit::print;
use super::super::printer::Format;
use super::{Asked, Meant, runtime};
use crate::telemetry::chain::Chain;
use crate::vod::{Look, SWITCHES, look, misfits, without_query};

/// `vodbridge vod status`
#[derive(Debug, Args)]
pub(in crate::cli) struct Status {
    #[command(flatten)]
    meant: Meant,
    /// For people, or one JSON object an application.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Status {
    pub(super) fn run(self) -> ExitCode {
        self.show().unwrap_or_else(|code| code)
    }

    fn show(&self) -> Result<ExitCode, ExitCode> {
        let config = self.meant.config()?;
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let all = self.meant.asked(&config)?;
        let looks = all.iter().map(|asked| look(&asked.client, asked.sub_app_id()));
        let looks = runtime.block_on(join_all(looks));
        let has_failed = looks.iter().any(Result::is_err);
        let printed = print(|out| {
            for (n, (asked, look)) in all.iter().zip(&looks).enumerate() {
                match self.format {
                    Format::Json => writeln!(out, "{}", to_json(asked, look))?,
                    Format::Table => {
                        if n > 0 {
                            writeln!(out)?;
                        }
                        tell(out, asked, look)?;
                    }
                }
            }
            Ok(())
        });
        Ok(if has_failed && printed == ExitCode::SUCCESS { ExitCode::FAILURE } else { printed })
    }
}

fn tell(out: &mut dyn Write, asked: &Asked<'_>, look: &Result<Look, CallError>) -> io::Result<()> {
    match asked.sub_app_id() {
        Some(id) => writeln!(out, "{} ({id})", asked.name)?,
        None => writeln!(out, "{}", asked.name)?,
    }
    let look = match look {
        Ok(look) => look,
        Err(why) => {
            writeln!(out, "  ! {}", Chain(why))?;
            return writeln!(out, "    {}", why.advice());
        }
    };
    let config = &look.config;
    let or_unknown = |text: Option<&str>| text.unwrap_or("not told").to_owned();
    writeln!(out, "  {:22}{}", "mode", or_unknown(config.mode.as_deref()))?;
    let url = match config.notification_url.as_deref() {
        None | Some("") => "none".to_owned(),
        Some(url) => without_query(url),
    };
    writeln!(out, "  {:22}{url}", "callback URL")?;
    for (switch, event_type, _) in SWITCHES {
        writeln!(out, "  {event_type:22}{}", or_unknown(switch(config)))?;
    }
    match look.queue {
        Some(count) => writeln!(out, "  {:22}{count}, some minutes ago", "events that wait")?,
        None => writeln!(out, "  {:22}not told", "events that wait")?,
    }
    if let Some(seconds) = look.clock_seconds_ahead {
        writeln!(out, "  ! this machine's clock is {seconds} s ahead of VOD's: set it (NTP)")?;
    }
    for misfit in misfits(asked.name.as_str(), asked.application, config) {
        writeln!(out, "  ! {}", misfit.what)?;
        writeln!(out, "    {}", misfit.advice)?;
    }
    Ok(())
}

fn to_json(asked: &Asked<'_>, look: &Result<Look, CallError>) -> serde_json::Value {
    let mut out = json!({ "application": asked.name.as_str(), "sub_app_id": asked.sub_app_id() });
    match look {
        Err(why) => {
            out["error"] = json!(Chain(why).to_string());
            out["advice"] = json!(why.advice());
        }
        Ok(look) => {
            let Look { config, queue, clock_seconds_ahead } = look;
            out["mode"] = json!(config.mode);
            out["callback_url"] = json!(config.notification_url.as_deref().map(without_query));
            for (switch, event_type, _) in SWITCHES {
                out["switches"][event_type] = json!(switch(config));
            }
            out["queue_events"] = json!(queue);
            out["clock_seconds_ahead"] = json!(clock_seconds_ahead);
            let all = misfits(asked.name.as_str(), asked.application, config);
            let told = all.iter().map(|m| json!({ "what": m.what, "advice": m.advice }));
            out["misfits"] = told.collect();
        }
    }
    out
}
