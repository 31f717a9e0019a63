use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use vodbridge_vod::api::{Action, EventConfig, ModifyEventConfig};

use super::super::ask::confirmed;
use super::super::exit::{self, complain, print};
use super::{Asked, Meant, runtime};
use crate::telemetry::chain::Chain;
use crate::vod::{look, misfits, without_query};

/// `vodbridge vod configure`
#[derive(Debug, Args)]
pub(in crate::cli) struct Configure {
    #[command(flatten)]
    meant: Meant,
    /// How events come: `push`, callbacks to the URL; `pull`, kept in the queue.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// The callback URL; an empty text takes it away.
    #[arg(long)]
    url: Option<String>,
    /// Whether NewFileUpload is sent.
    #[arg(long, value_enum)]
    uploads: Option<Switch>,
    /// Whether FileDeleted is sent.
    #[arg(long, value_enum)]
    deletions: Option<Switch>,
    /// Whether PersistenceComplete is sent.
    #[arg(long, value_enum)]
    persistence: Option<Switch>,
    /// A file with the key that VOD is to sign callbacks with: letters and digits, at most 32.
    #[arg(long, value_name = "FILE")]
    sign_key_file: Option<PathBuf>,
    /// Changes it without asking.
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Push,
    Pull,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// One line of the difference.
struct Difference {
    what: &'static str,
    from: String,
    to: String,
}

impl Configure {
    pub(super) fn run(self) -> ExitCode {
        self.configure().unwrap_or_else(|code| code)
    }

    fn configure(&self) -> Result<ExitCode, ExitCode> {
        let config = self.meant.config()?;
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let all = self.meant.asked(&config)?;
        let [asked] = &all[..] else {
            let names: Vec<_> = all.iter().map(|asked| asked.name.as_str()).collect();
            complain(&format_args!("say --application, one of: {}", names.join(", ")));
            return Err(ExitCode::from(exit::USAGE));
        };
        let refused = |why: vodbridge_vod::client::CallError| {
            complain(&format_args!("{}\n{}", Chain(&why), why.advice()));
            ExitCode::FAILURE
        };
        let wanted = self.wanted()?;
        let sign_key = self.sign_key()?;
        let now = runtime.block_on(look(&asked.client, asked.sub_app_id())).map_err(refused)?;
        let differences = differences(&now.config, &wanted, sign_key.is_some());
        if differences.is_empty() {
            return Ok(print(|out| writeln!(out, "{}: nothing is to be changed", asked.name)));
        }
        let will_be = merged(now.config.clone(), &wanted);
        let misfits = misfits(asked.name.as_str(), asked.application, &will_be);
        print(|out| {
            show(out, asked, &differences)?;
            if wanted.mode.is_some() && now.queue.is_some_and(|count| count > 0) {
                let count = now.queue.unwrap_or_default();
                writeln!(
                    out,
                    "! {count} events wait in the queue: drain it before the mode changes"
                )?;
            }
            misfits.iter().try_for_each(|misfit| writeln!(out, "! then {}", misfit.what))
        });
        if !self.yes && !confirmed("Change it?")? {
            return Ok(print(|out| writeln!(out, "nothing was changed")));
        }
        let request =
            ModifyEventConfig { sub_app_id: asked.sub_app_id(), config: wanted, sign_key };
        let changing = asked.client.call(Action::ModifyEventConfig, &request);
        runtime.block_on(changing).map_err(refused)?;
        Ok(print(|out| writeln!(out, "changed; it takes about ten minutes to work")))
    }

    /// What is to be, as far as it was said.
    fn wanted(&self) -> Result<EventConfig, ExitCode> {
        let switch = |switch: Option<Switch>| {
            switch.map(|switch| match switch {
                Switch::On => "ON".to_owned(),
                Switch::Off => "OFF".to_owned(),
            })
        };
        let wanted = EventConfig {
            mode: self.mode.map(|mode| match mode {
                Mode::Push => "PUSH".to_owned(),
                Mode::Pull => "PULL".to_owned(),
            }),
            notification_url: self.url.clone(),
            upload_media_complete_event_switch: switch(self.uploads),
            delete_media_complete_event_switch: switch(self.deletions),
            persistence_complete_event_switch: switch(self.persistence),
        };
        if wanted == EventConfig::default() && self.sign_key_file.is_none() {
            complain(
                &"say what is to be changed: --mode, --url, --uploads, --deletions, \
                 --persistence or --sign-key-file",
            );
            return Err(ExitCode::from(exit::USAGE));
        }
        let is_url = |url: &String| {
            url.is_empty() || ["http://", "https://"].iter().any(|s| url.starts_with(s))
        };
        if wanted.notification_url.as_ref().is_some_and(|url| !is_url(url)) {
            complain(&"--url: expected an address such as https://your.host/vod/default");
            return Err(ExitCode::from(exit::USAGE));
        }
        Ok(wanted)
    }

    fn sign_key(&self) -> Result<Option<String>, ExitCode> {
        let Some(file) = &self.sign_key_file else { return Ok(None) };
        let key = std::fs::read_to_string(file).map_err(|why| {
            complain(&format_args!("{}: {why}", file.display()));
            ExitCode::from(exit::USAGE)
        })?;
        let key = key.trim_end_matches(['\r', '\n']);
        let is_key =
            (1..=32).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_key {
            complain(&format_args!(
                "{}: a sign key is made of letters and digits, at most 32",
                file.display()
            ));
            return Err(ExitCode::from(exit::USAGE));
        }
        Ok(Some(key.to_owned()))
    }
}

/// What is now, with what is wanted in its place.
fn merged(now: EventConfig, wanted: &EventConfig) -> EventConfig {
    let wanted = wanted.clone();
    EventConfig {
        mode: wanted.mode.or(now.mode),
        notification_url: wanted.notification_url.or(now.notification_url),
        upload_media_complete_event_switch: wanted
            .upload_media_complete_event_switch
            .or(now.upload_media_complete_event_switch),
        delete_media_complete_event_switch: wanted
            .delete_media_complete_event_switch
            .or(now.delete_media_complete_event_switch),
        persistence_complete_event_switch: wanted
            .persistence_complete_event_switch
            .or(now.persistence_complete_event_switch),
    }
}

fn differences(now: &EventConfig, wanted: &EventConfig, has_sign_key: bool) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut compare = |what, now: &Option<String>, wanted: &Option<String>| {
        let now = now.as_deref().unwrap_or_default();
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != now) {
            let told = |text: &str| match text {
                "" => "none".to_owned(),
                text => without_query(text),
            };
            all.push(Difference { what, from: told(now), to: told(wanted) });
        }
    };
    compare("mode", &now.mode, &wanted.mode);
    compare("callback URL", &now.notification_url, &wanted.notification_url);
    compare(
        "NewFileUpload",
        &now.upload_media_complete_event_switch,
        &wanted.upload_media_complete_event_switch,
    );
    compare(
        "FileDeleted",
        &now.delete_media_complete_event_switch,
        &wanted.delete_media_complete_event_switch,
    );
    compare(
        "PersistenceComplete",
        &now.persistence_complete_event_switch,
        &wanted.persistence_complete_event_switch,
    );
    if has_sign_key {
        // VOD never tells the one that it has.
        all.push(Difference {
            what: "sign key",
            from: "?".to_owned(),
            to: "[redacted]".to_owned(),
        });
    }
    all
}

fn show(out: &mut dyn Write, asked: &Asked<'_>, differences: &[Difference]) -> io::Result<()> {
    writeln!(out, "{}", asked.name)?;
    for Difference { what, from, to } in differences {
        writeln!(out, "  {what:22}{from} -> {to}")?;
    }
    writeln!(
        out,
        "A change takes about ten minutes to work. There is one mode and one URL for the \
         application:\nwhoever else takes its callbacks or pulls its events (another environment, \
         another program)\nis cut off, and what waits in the queue should be drained before the \
         mode changes."
    )
}
