//! One fetch from where the settings say, with the role on top.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use reqwest::{Client, Url};

use super::profile::{self, Profile};
use super::sts::{Pod, Role, Sts};
use super::{CredentialsError, Env, Lookup, Origin, Settings, http, metadata};
use crate::tc3::Credential;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The longest session of a role, in seconds.
const DURATION_MAX: u64 = 43_200;

/// What a fetch brought.
pub(super) struct Fetched {
    pub(super) credential: Credential,
    /// None: it does not end.
    pub(super) ends: Option<SystemTime>,
    pub(super) from: String,
}

pub(super) struct Source {
    settings: Settings,
    metadata: (Client, Url),
    sts: Sts,
    /// The origin of the chain that was there: a file that is missing for a moment must not turn
    /// the bridge into somebody else.
    chosen: OnceLock<Origin>,
}

// === impl Source ===

impl Source {
    pub(super) fn new(settings: Settings) -> Result<Self, CredentialsError> {
        if !(1..=DURATION_MAX).contains(&settings.session.duration.as_secs()) {
            return Err(CredentialsError::Setting {
                name: "role_duration",
                why: "expected 1s to 12h".to_owned(),
            });
        }
        let metadata =
            (http::metadata()?, address("metadata_endpoint", &settings.metadata_endpoint)?);
        let sts =
            Sts { http: http::sts()?, endpoint: address("sts_endpoint", &settings.sts_endpoint)? };
        Ok(Self { settings, metadata, sts, chosen: OnceLock::new() })
    }

    /// What it is called in messages before anything was fetched.
    pub(super) fn name(&self) -> &'static str {
        match self.settings.origin {
            Origin::Environment => "environment",
            Origin::Profile { .. } => "profile",
            Origin::CvmRole => "cvm_role",
            Origin::TkeOidc => "tke_oidc",
            Origin::Static { .. } => "static",
            Origin::Chain => "chain",
        }
    }

    pub(super) async fn fetch(&self) -> Result<Fetched, CredentialsError> {
        let (base, role) = match &self.settings.origin {
            Origin::Chain => self.first_there().await?,
            origin @ (Origin::Environment
            | Origin::Profile { .. }
            | Origin::CvmRole
            | Origin::TkeOidc
            | Origin::Static { .. }) => self.from(origin).await?,
        };
        check(&base.credential)?;
        let Some(arn) = self.settings.role_arn.as_ref().or(role.as_ref()) else { return Ok(base) };
        let session = self.sts.assume(&self.role(arn), &base, (self.settings.clock)()).await?;
        check(&session.credential)?;
        Ok(session)
    }

    fn role<'a>(&'a self, arn: &'a str) -> Role<'a> {
        Role { arn, session: &self.settings.session }
    }

    async fn first_there(&self) -> Result<(Fetched, Option<String>), CredentialsError> {
        if let Some(origin) = self.chosen.get() {
            return self.from(origin).await;
        }
        let profile = Origin::Profile { file: None, name: "default".to_owned() };
        let mut absent = Vec::new();
        for origin in [Origin::Environment, profile, Origin::CvmRole, Origin::TkeOidc] {
            match self.from(&origin).await {
                Err(why @ CredentialsError::Absent(_)) => absent.push(why),
                Err(why) => return Err(why),
                Ok(fetched) => {
                    self.chosen.get_or_init(|| origin);
                    return Ok(fetched);
                }
            }
        }
        Err(CredentialsError::NoSource(absent))
    }

    /// The credential of one origin, and the role that its profile names.
    async fn from(&self, origin: &Origin) -> Result<(Fetched, Option<String>), CredentialsError> {
        let env = &self.settings.env;
        match origin {
            Origin::Environment => Ok((environment(env)?, None)),
            Origin::Profile { file, name } => {
                let (file, profile) = read_profile(env, file.as_deref(), name)?;
                let from = format!("profile {name} of {}", file.display());
                let Profile { secret_id, secret_key, role_arn } = profile;
                let credential = Credential { secret_id, secret_key, token: None };
                Ok((Fetched { credential, ends: None, from }, role_arn))
            }
            Origin::CvmRole => {
                Ok((metadata::fetch(&self.metadata.0, &self.metadata.1).await?, None))
            }
            Origin::TkeOidc => {
                let (arn, pod) = pod(env)?;
                let now = (self.settings.clock)();
                Ok((self.sts.assume_as_pod(&self.role(&arn), &pod, now).await?, None))
            }
            Origin::Static { secret_id, secret_key, token } => {
                let token = token.as_ref().map(|token| look_up("token", token)).transpose()?;
                let secret_key = look_up("secret_key", secret_key)?;
                if secret_id.trim().is_empty() {
                    return Err(CredentialsError::Incomplete("secret_id"));
                }
                let credential =
                    Credential { secret_id: secret_id.trim().to_owned(), secret_key, token };
                Ok((Fetched { credential, ends: None, from: "static".to_owned() }, None))
            }
            Origin::Chain => unreachable!("a chain has no chain in it"),
        }
    }
}

/// Checks that requests can carry it: the SecretId stands in `Authorization` between `=` and `/`,
/// the token in a header of its own.
fn check(credential: &Credential) -> Result<(), CredentialsError> {
    let is_graphic = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let Credential { secret_id, secret_key, token } = credential;
    if !is_graphic(secret_id) || secret_id.contains(['/', ',', '=']) {
        return Err(CredentialsError::Characters("the SecretId"));
    }
    if secret_key.is_empty() {
        return Err(CredentialsError::Characters("the SecretKey"));
    }
    if token.as_deref().is_some_and(|token| !is_graphic(token)) {
        return Err(CredentialsError::Characters("the token"));
    }
    Ok(())
}

fn address(name: &'static str, text: &str) -> Result<Url, CredentialsError> {
    // What was found may hold a password, and is not shown.
    let why = "expected an address such as https://host, without a user and a path".to_owned();
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/")
        .filter(|url| {
            url.query().is_none() && url.username().is_empty() && url.password().is_none()
        })
        .ok_or_else(|| CredentialsError::Setting { name, why })
}

fn environment(env: &Env) -> Result<Fetched, CredentialsError> {
    const ID: &str = "TENCENTCLOUD_SECRET_ID";
    const KEY: &str = "TENCENTCLOUD_SECRET_KEY";
    let (secret_id, secret_key) = match (env.get(ID), env.get(KEY)) {
        (Some(id), Some(key)) => (id, key),
        (Some(_), None) => return Err(CredentialsError::Incomplete(KEY)),
        (None, Some(_)) => return Err(CredentialsError::Incomplete(ID)),
        (None, None) => {
            let why = format!("environment: {ID} and {KEY} are not set: set both");
            return Err(CredentialsError::Absent(why));
        }
    };
    let credential = Credential { secret_id, secret_key, token: env.get("TENCENTCLOUD_TOKEN") };
    Ok(Fetched { credential, ends: None, from: "environment".to_owned() })
}

fn read_profile(
    env: &Env,
    file: Option<&Path>,
    name: &str,
) -> Result<(PathBuf, Profile), CredentialsError> {
    let files = match file {
        Some(file) => vec![file.to_owned()],
        None => {
            let home =
                env.get("HOME").map(|home| Path::new(&home).join(".tencentcloud/credentials"));
            home.into_iter().chain([PathBuf::from("/etc/tencentcloud/credentials")]).collect()
        }
    };
    for file in &files {
        if let Some(text) = read(file)? {
            let profile = profile::parse(&text, name)
                .map_err(|source| CredentialsError::Profile { file: file.clone(), source })?;
            return Ok((file.clone(), profile));
        }
    }
    let files = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
    let why =
        format!("profile: there is no {}: write it, or name profile_file", files.join(" nor "));
    Err(CredentialsError::Absent(why))
}

/// The role of the pod, and who the pod is.
fn pod(env: &Env) -> Result<(String, Pod), CredentialsError> {
    const NAMES: [&str; 4] =
        ["TKE_REGION", "TKE_PROVIDER_ID", "TKE_WEB_IDENTITY_TOKEN_FILE", "TKE_ROLE_ARN"];
    if NAMES.iter().all(|name| env.get(name).is_none()) {
        let why = "tke_oidc: TKE_ROLE_ARN and its like are not set: give the pod's service account \
                   a role";
        return Err(CredentialsError::Absent(why.to_owned()));
    }
    let needed = |name| env.get(name).ok_or(CredentialsError::Incomplete(name));
    let [region, provider_id, file, role_arn] = NAMES;
    let (region, provider_id) = (needed(region)?, needed(provider_id)?);
    if !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(CredentialsError::Characters("TKE_REGION"));
    }
    let (file, role_arn) = (PathBuf::from(needed(file)?), needed(role_arn)?);
    let token = read(&file)?.map(|token| token.trim().to_owned()).unwrap_or_default();
    if token.is_empty() {
        let source = Arc::new(std::io::Error::other("it is missing or empty"));
        return Err(CredentialsError::File { file, source });
    }
    Ok((role_arn, Pod { region, provider_id, token }))
}

fn look_up(name: &'static str, lookup: &Lookup) -> Result<String, CredentialsError> {
    let value = lookup().map_err(|why| CredentialsError::Lookup { name, why })?;
    match value.trim() {
        "" => Err(CredentialsError::Lookup { name, why: "it is empty".to_owned() }),
        value => Ok(value.to_owned()),
    }
}

/// The text of a small file; none when there is no such file.
fn read(file: &Path) -> Result<Option<String>, CredentialsError> {
    use std::io::{Error, ErrorKind};

    let read = || {
        let mut text = String::new();
        std::fs::File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(Error::other("it is longer than 64 KiB"));
        }
        Ok(text)
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        // A HOME such as /dev/null is like one without the file.
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(why) => Err(CredentialsError::File { file: file.to_owned(), source: Arc::new(why) }),
    }
}
