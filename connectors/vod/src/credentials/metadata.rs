//! The role of a CVM, from its metadata service (spec 7.3): two GETs, without an envelope.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Client, Url};
use serde::Deserialize;

use super::source::Fetched;
use super::{CredentialsError, http};
use crate::tc3::Credential;

const PATH: [&str; 4] = ["latest", "meta-data", "cam", "security-credentials"];

const WHOM: &str = "the metadata service";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    code: Option<String>,
    tmp_secret_id: Option<String>,
    tmp_secret_key: Option<String>,
    token: Option<String>,
    /// Unix seconds.
    expired_time: Option<u64>,
}

/// Fetches the credential of the role that is bound to this machine.
pub(super) async fn fetch(http: &Client, base: &Url) -> Result<Fetched, CredentialsError> {
    let name = match get(http, base, "").await {
        Err(CredentialsError::Network { .. } | CredentialsError::Hung(_)) => {
            return Err(absent("its metadata service cannot be reached: run on a CVM"));
        }
        Err(CredentialsError::Status { status: 404, .. }) => {
            return Err(absent("no role is bound to this CVM: bind one in the console"));
        }
        other => other?,
    };
    let name = std::str::from_utf8(&name).unwrap_or_default().trim();
    if name.is_empty() || name.contains(['\n', '/', '<']) {
        return Err(CredentialsError::answer(WHOM, "it names no role"));
    }
    let body = get(http, base, name).await?;
    let incomplete = || CredentialsError::answer(WHOM, "it is not a role's credential");
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| incomplete())?;
    match answer.code.as_deref() {
        Some("Success") => {}
        code => {
            let code: String = code.unwrap_or("none").chars().take(100).collect();
            let why = format!("for the role {name} its Code is {code:?}, not \"Success\"");
            return Err(CredentialsError::answer(WHOM, why));
        }
    }
    let full =
        |value: Option<String>| value.filter(|value| !value.is_empty()).ok_or_else(incomplete);
    Ok(Fetched {
        credential: Credential {
            secret_id: full(answer.tmp_secret_id)?,
            secret_key: full(answer.tmp_secret_key)?,
            token: Some(full(answer.token)?),
        },
        ends: Some(answer.expired_time.and_then(at).ok_or_else(incomplete)?),
        from: format!("cvm_role {name}"),
    })
}

fn at(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn absent(why: &str) -> CredentialsError {
    CredentialsError::Absent(format!("cvm_role: {why}"))
}

async fn get(http: &Client, base: &Url, name: &str) -> Result<bytes::Bytes, CredentialsError> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| CredentialsError::answer(WHOM, "its address takes no path"))?
        .pop_if_empty()
        .extend(PATH)
        .push(name);
    match http::call(WHOM, http.get(url)).await? {
        (200, body) => Ok(body),
        (status, _) => Err(CredentialsError::Status { whom: WHOM, status }),
    }
}
