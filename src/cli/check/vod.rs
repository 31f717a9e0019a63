//! What VOD says: whether the credential is good, and whether its settings fit.

use std::num::NonZeroU64;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Map;
use tokio::runtime;
use tokio::time::timeout;

use super::finding::{Findings, Severity};
use crate::config::{Application, Config, Name};
use crate::telemetry::chain::Chain;
use crate::vod::{Accounts, look, misfits};
use vodbridge_vod::client::Client;

/// How long one application may take.
const LOOK_WITHIN: Duration = Duration::from_secs(45);

/// Asks about every application whose events are pulled; the others have no credential.
pub(super) fn look_at(config: &Config, findings: &mut Findings) {
    let pulled: Vec<_> = config.applications.iter().filter(|(_, a)| a.pull.is_some()).collect();
    if pulled.is_empty() {
        return;
    }
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return findings.add(Severity::Critical, "vod", why),
    };
    let _inside = runtime.enter();
    let mut accounts = Accounts::default();
    let mut asked = Vec::new();
    for (name, application) in pulled {
        let Some(pull) = &application.pull else { continue };
        match accounts.client(name, pull) {
            Ok(client) => asked.push(one(name, application, client)),
            Err(why) => findings.add(Severity::Critical, &what(name), Chain(&why)),
        }
    }
    for found in runtime.block_on(join_all(asked)) {
        findings.append(found);
    }
}

async fn one(name: &Name, application: &Application, client: Client) -> Findings {
    let what = what(name);
    let mut findings = Findings::default();
    let sub_app_id = application.sub_app_id.map(NonZeroU64::get);
    let found = match timeout(LOOK_WITHIN, look(&client, sub_app_id)).await {
        Ok(Ok(found)) => found,
        Ok(Err(why)) => {
            let advice = Some(why.advice().into_owned());
            findings.advise(Severity::Critical, &what, Chain(&why), advice, Map::new());
            return findings;
        }
        Err(_) => {
            let within = humantime::format_duration(LOOK_WITHIN);
            findings.add(Severity::Critical, &what, format!("no answer within {within}"));
            return findings;
        }
    };
    let mode = found.config.mode.as_deref().unwrap_or("an unknown");
    let queue = found.queue.map_or_else(String::new, |count| format!("; {count} events wait"));
    findings.add(Severity::Good, &what, format!("answers; {mode} mode{queue}"));
    if let Some(seconds) = found.clock_seconds_ahead {
        let how = format!("this machine's clock is {seconds} s ahead of VOD's");
        let advice = Some("set it (NTP)".to_owned());
        findings.advise(Severity::Warning, &what, how, advice, Map::new());
    }
    for misfit in misfits(name.as_str(), application, &found.config) {
        let severity = if misfit.is_silent { Severity::Critical } else { Severity::Warning };
        findings.advise(severity, &what, misfit.what, Some(misfit.advice), Map::new());
    }
    findings
}

fn what(name: &Name) -> String {
    format!("application {name}, VOD")
}
