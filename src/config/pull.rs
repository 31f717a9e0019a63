//! How an application's events are pulled from VOD's queue, and with which credentials.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration;
use super::report::Report;
use super::secret::Secret;
use super::tree::Path;

/// How events are pulled from VOD's queue: its reliable callbacks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pull {
    /// VOD's API: `https://vod.intl.tencentcloudapi.com` for the international site.
    pub endpoint: String,
    /// The region that requests name. Default: none, which VOD does without.
    pub region: Option<String>,
    /// Who calls.
    pub credentials: Credentials,
    /// The proxy to VOD, `http://proxy:3128` or with `user:password@` before the host. Default:
    /// what HTTPS_PROXY and NO_PROXY say.
    #[serde(skip_serializing)]
    pub proxy: Option<Secret>,
    /// A PEM file with the certificate authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Long polls at a time, at most; there are as many as the queue fills. At most 64.
    pub workers_max: NonZeroUsize,
    /// Calls a second of each action and credential, at most. VOD allows 100 by default.
    pub calls_per_second: NonZeroU32,
    /// How long VOD hides an event that was pulled.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub handle_life: Duration,
    /// How long before that an event is given up: it is confirmed before, or not at all. Every
    /// connector's publish_timeout is less than what is left.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Text")]
    pub margin: Duration,
}

/// Who calls VOD's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// Where the credential comes from.
    pub from: CredentialsFrom,
    /// The SecretId, with `from: static`.
    pub secret_id: Option<String>,
    /// The SecretKey, with `from: static`.
    #[serde(skip_serializing)]
    pub secret_key: Option<Secret>,
    /// The token of a temporary credential, with `from: static`. Default: none.
    #[serde(skip_serializing)]
    pub token: Option<Secret>,
    /// The section of the profile file, with `from: profile`. Default: `default`.
    pub profile: Option<String>,
    /// The profile file, with `from: profile`. Default: `~/.tencentcloud/credentials`, then
    /// `/etc/tencentcloud/credentials`.
    pub profile_file: Option<PathBuf>,
    /// A role that is assumed with the credential. Default: none.
    pub role_arn: Option<String>,
    /// What sessions of a role are called: of `role_arn`, of the profile's `role_arn`, of the
    /// pod's. Default: `vodbridge`.
    pub role_session_name: Option<String>,
    /// How long such a session lasts, at most 12h. Default: 2h.
    #[serde(with = "duration::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<duration::Text>")]
    pub role_duration: Option<Duration>,
    /// Where roles are assumed. Default: `https://sts.tencentcloudapi.com`.
    pub sts_endpoint: Option<String>,
    /// Where a CVM finds its role. Default: `http://metadata.tencentyun.com`.
    pub metadata_endpoint: Option<String>,
}

/// Where a credential comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CredentialsFrom {
    /// TENCENTCLOUD_SECRET_ID, TENCENTCLOUD_SECRET_KEY and, if there is one, TENCENTCLOUD_TOKEN.
    Environment,
    /// A profile file, as the vendor's SDKs have it.
    Profile,
    /// The role of the CVM that vodbridge runs on.
    CvmRole,
    /// The pod identity of TKE.
    TkeOidc,
    /// `secret_id` and `secret_key`.
    Static,
    /// The first of environment, profile, cvm_role and tke_oidc that there is.
    #[default]
    Chain,
}

const WORKERS_MAX: usize = 64;
const CALLS_PER_SECOND_MAX: u32 = 10_000;
const ROLE_DURATION_MAX: Duration = Duration::from_secs(43_200);

impl Default for Pull {
    fn default() -> Self {
        Self {
            endpoint: "https://vod.tencentcloudapi.com".to_owned(),
            region: None,
            credentials: Credentials::default(),
            proxy: None,
            ca_file: None,
            workers_max: NonZeroUsize::new(8).expect("not zero"),
            calls_per_second: NonZeroU32::new(100).expect("not zero"),
            handle_life: Duration::from_secs(30),
            margin: Duration::from_secs(5),
        }
    }
}

// === checks ===

impl Pull {
    pub(super) fn check(&mut self, at: &Path, report: &mut Report<'_>) {
        report.expect(
            is_base(&self.endpoint),
            &at.join("endpoint"),
            format!(
                "{}expected an address such as https://vod.tencentcloudapi.com",
                found(&self.endpoint)
            ),
        );
        let proxy_at = at.join("proxy");
        if let Some(proxy) = &mut self.proxy {
            match proxy.resolve(report.variables).map(|()| proxy.to_connector().read_text()) {
                Ok(Ok(url)) if ["http://", "https://"].iter().any(|s| url.starts_with(s)) => {}
                Ok(_) => report.problem(&proxy_at, "expected an address such as http://proxy:3128"),
                Err(error) => report.problem(&proxy_at, error.to_string()),
            }
        }
        if let Some(region) = &self.region {
            report.expect(
                !region.is_empty()
                    && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
                &at.join("region"),
                format!("found {region:?}, expected a region such as ap-guangzhou"),
            );
        }
        if let Some(file) = &self.ca_file
            && let Err(error) = std::fs::File::open(file)
        {
            let message = format!("the file {} cannot be read: {error}", file.display());
            report.problem(&at.join("ca_file"), message);
        }
        report.expect(
            self.workers_max.get() <= WORKERS_MAX,
            &at.join("workers_max"),
            format!("found {}, expected at most {WORKERS_MAX}", self.workers_max),
        );
        report.expect(
            self.calls_per_second.get() <= CALLS_PER_SECOND_MAX,
            &at.join("calls_per_second"),
            format!("found {}, expected at most {CALLS_PER_SECOND_MAX}", self.calls_per_second),
        );
        duration::check(self.handle_life, duration::HOUR, &at.join("handle_life"), report);
        report.expect(
            !self.margin.is_zero() && self.margin < self.handle_life,
            &at.join("margin"),
            format!(
                "found {}, expected more than 0s and less than handle_life ({})",
                humantime::format_duration(self.margin),
                humantime::format_duration(self.handle_life),
            ),
        );
        self.credentials.check(&at.join("credentials"), report);
    }

    /// How long an event may take from its pull to its confirmation.
    pub fn settles_within(&self) -> Duration {
        self.handle_life.saturating_sub(self.margin)
    }
}

impl Credentials {
    fn check(&mut self, at: &Path, report: &mut Report<'_>) {
        let is_static = self.from == CredentialsFrom::Static;
        let statics = [
            ("secret_id", self.secret_id.is_some(), true),
            ("secret_key", self.secret_key.is_some(), true),
            ("token", self.token.is_some(), false),
        ];
        for (key, is_there, is_needed) in statics {
            if is_static && is_needed && !is_there {
                report.problem(at, format!("from: static needs {key}"));
            } else if !is_static && is_there {
                report.problem(&at.join(key), "expected only with from: static");
            }
        }
        let profiles =
            [("profile", self.profile.is_some()), ("profile_file", self.profile_file.is_some())];
        for (key, is_there) in profiles {
            if is_there && self.from != CredentialsFrom::Profile {
                report.problem(&at.join(key), "expected only with from: profile");
            }
        }
        for (secret, key) in [(&mut self.secret_key, "secret_key"), (&mut self.token, "token")] {
            if let Some(secret) = secret
                && let Err(error) = secret.resolve(report.variables)
            {
                report.problem(&at.join(key), error.to_string());
            }
        }
        if let Some(duration) = self.role_duration {
            duration::check(duration, ROLE_DURATION_MAX, &at.join("role_duration"), report);
        }
        let addresses =
            [("sts_endpoint", &self.sts_endpoint), ("metadata_endpoint", &self.metadata_endpoint)];
        for (key, address) in addresses {
            if let Some(address) = address {
                report.expect(
                    is_base(address),
                    &at.join(key),
                    format!("{}expected an address such as https://host", found(address)),
                );
            }
        }
    }
}

/// What was found, unless it may hold a password.
fn found(address: &str) -> String {
    if address.contains('@') { String::new() } else { format!("found {address:?}, ") }
}

/// `http://host` or `https://host:port`, and nothing behind it.
fn is_base(address: &str) -> bool {
    let rest = ["http://", "https://"].iter().find_map(|scheme| address.strip_prefix(scheme));
    rest.is_some_and(|rest| {
        let host = rest.strip_suffix('/').unwrap_or(rest);
        !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b))
    })
}
