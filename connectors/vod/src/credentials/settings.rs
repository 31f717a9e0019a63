use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The wall clock.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Reads one secret anew, or says why it cannot be read. It may read a small file. What it says
/// must not hold the secret.
pub type Lookup = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Where a credential comes from.
#[derive(Clone)]
pub enum Origin {
    /// `TENCENTCLOUD_SECRET_ID`, `TENCENTCLOUD_SECRET_KEY`, and `TENCENTCLOUD_TOKEN` if there is
    /// one, which the vendor's SDKs do not read.
    Environment,
    /// A section of a profile file. Its `role_arn` is assumed.
    Profile {
        /// None: `~/.tencentcloud/credentials`, then `/etc/tencentcloud/credentials`.
        file: Option<PathBuf>,
        /// The section: `default`.
        name: String,
    },
    /// The role of the CVM that this runs on.
    CvmRole,
    /// The pod identity of TKE: `TKE_REGION`, `TKE_PROVIDER_ID`, `TKE_WEB_IDENTITY_TOKEN_FILE`,
    /// `TKE_ROLE_ARN`.
    TkeOidc,
    /// What is given here, looked up again about once a second.
    Static {
        /// Names the key.
        secret_id: String,
        /// The key.
        secret_key: Lookup,
        /// Of a temporary credential.
        token: Option<Lookup>,
    },
    /// The first of environment, profile, CVM role and TKE that is there. One that is there and
    /// cannot be used is told, not passed over; the one that was taken is kept to until the end.
    Chain,
}

/// What the session of a role is like, wherever the role is named.
#[derive(Clone, Debug)]
pub struct Session {
    /// What it is called in the vendor's audit.
    pub name: String,
    /// How long it lasts: 1 s to 12 h, in whole seconds.
    pub duration: Duration,
}

/// The variables of the environment, as they are handed in.
#[derive(Clone)]
pub struct Env(Arc<Variables>);

type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What credentials are made of.
#[derive(Clone)]
pub struct Settings {
    /// Where the credential comes from.
    pub origin: Origin,
    /// A role that is assumed with it, such as `qcs::cam::uin/100000000001:roleName/vod`. Stands
    /// before a `role_arn` of the profile.
    pub role_arn: Option<String>,
    /// Of that role, of the profile's and of the pod's.
    pub session: Session,
    /// `https://sts.tencentcloudapi.com`.
    pub sts_endpoint: String,
    /// `http://metadata.tencentyun.com`.
    pub metadata_endpoint: String,
    /// The environment.
    pub env: Env,
    /// What time it is.
    pub clock: Clock,
}

// === impl Session ===

impl Default for Session {
    /// Lasts 2 h, as with the SDK.
    fn default() -> Self {
        Self { name: "vodbridge".to_owned(), duration: Duration::from_secs(7200) }
    }
}

// === impl Env ===

impl Env {
    /// Variables that are looked up by their names.
    pub fn new(look_up: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(look_up))
    }

    /// One variable, without the blanks around it. One that is blank is like one that is not set.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }
}

// === impl Settings ===

impl Settings {
    /// The vendor's addresses, no role, the system's clock.
    pub fn new(origin: Origin, env: Env) -> Self {
        Self {
            origin,
            role_arn: None,
            session: Session::default(),
            sts_endpoint: "https://sts.tencentcloudapi.com".to_owned(),
            metadata_endpoint: "http://metadata.tencentyun.com".to_owned(),
            env,
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}

/// Without the secrets.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::Profile { file, name } => {
                f.debug_struct("Profile").field("file", file).field("name", name).finish()
            }
            Self::CvmRole => f.write_str("CvmRole"),
            Self::TkeOidc => f.write_str("TkeOidc"),
            Self::Static { secret_id, .. } => {
                f.debug_struct("Static").field("secret_id", secret_id).finish_non_exhaustive()
            }
            Self::Chain => f.write_str("Chain"),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("origin", &self.origin)
            .field("role_arn", &self.role_arn)
            .field("session", &self.session)
            .field("sts_endpoint", &self.sts_endpoint)
            .field("metadata_endpoint", &self.metadata_endpoint)
            .finish_non_exhaustive()
    }
}
