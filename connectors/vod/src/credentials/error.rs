use std::path::PathBuf;
use std::sync::Arc;

use super::profile::ProfileError;
use crate::api::ApiError;
use crate::reply::NoReply;

/// Why there is no credential. Each says what to do, and none holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A setting that no attempt could mend.
    #[error("{name} cannot be used: {why}")]
    Setting {
        /// Its name in the configuration.
        name: &'static str,
        /// What is wrong and what is expected.
        why: String,
    },
    /// The source is not there at all; a chain goes on to the next.
    #[error("{0}")]
    Absent(String),
    /// No source of the chain is there.
    #[error(
        "no source of the chain has a credential; give one or name the source with `from`: {}",
        each(.0)
    )]
    NoSource(Vec<CredentialsError>),
    /// Some of what belongs together is missing.
    #[error("{0} is missing, though other parts of the credential are there: set it as well")]
    Incomplete(&'static str),
    /// A secret of the configuration cannot be read, or is empty.
    #[error("{name} cannot be read: {why}; check the file or the variable that it names")]
    Lookup {
        /// Its name in the configuration.
        name: &'static str,
        /// What its reader says.
        why: String,
    },
    /// A file is there and cannot be read.
    #[error("{file} cannot be read; check its permissions and that it is a small text file")]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: Arc<std::io::Error>,
    },
    /// A profile file is there and cannot be used.
    #[error("the profile file {file} cannot be used")]
    Profile {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: ProfileError,
    },
    /// A part that no request can carry.
    #[error("{0} is empty or has characters that it cannot have: check where it comes from")]
    Characters(&'static str),
    /// Nobody answered.
    #[error("{whom} cannot be reached; check the network, the proxy and the address")]
    Network {
        /// Who was called.
        whom: &'static str,
        /// Why not.
        source: Arc<reqwest::Error>,
    },
    /// The answer did not come in time.
    #[error("{0} did not answer within 10 s; check the network between here and there")]
    Hung(&'static str),
    /// Somebody else answered, or there is trouble on the way.
    #[error(
        "{whom} answered with HTTP status {status}; check the address, and what stands between"
    )]
    Status {
        /// Who was called.
        whom: &'static str,
        /// The status.
        status: u16,
    },
    /// The answer is not what it should be.
    #[error("what {whom} answered cannot be used: {why}; check that the address is the right one")]
    Answer {
        /// Who was called.
        whom: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// STS refused.
    #[error("{action} failed with {}: {} (request {}); {}", .error.code, .error.message,
        .error.request_id, advice(&.error.code))]
    Sts {
        /// What it was asked.
        action: &'static str,
        /// What it said.
        error: ApiError,
    },
    /// What was fetched has ended already.
    #[error("the credential that came has ended already; check this machine's clock")]
    Ended,
    /// A turn was cut off before its end.
    #[error("fetching the credential was cut off; it is tried again by itself")]
    Interrupted,
}

// === impl CredentialsError ===

impl CredentialsError {
    pub(super) fn answer(whom: &'static str, why: impl Into<String>) -> Self {
        Self::Answer { whom, why: why.into() }
    }

    pub(super) fn no_reply(why: &NoReply) -> Self {
        Self::answer("STS", why.to_string())
    }

    /// The error and what caused it, on one line.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.extend([": ", &error.to_string()]);
            cause = error.source();
        }
        text
    }
}

fn each(errors: &[CredentialsError]) -> String {
    errors.iter().map(CredentialsError::chain).collect::<Vec<_>>().join("; ")
}

/// What to do about a code of STS; codes are stable, messages are not (spec 7.4).
fn advice(code: &str) -> &'static str {
    let class = code.split('.').next().unwrap_or(code);
    match (code, class) {
        ("AuthFailure.SignatureExpire", _) => "set this machine's clock right",
        ("AuthFailure.UnauthorizedOperation", _) | (_, "UnauthorizedOperation") => {
            "allow sts:AssumeRole to the caller, and the caller in the role's trust policy"
        }
        (_, "AuthFailure") => "check the SecretId, the SecretKey and the token",
        (
            _,
            "InvalidParameter" | "InvalidParameterValue" | "ResourceNotFound" | "MissingParameter",
        ) => "check the role's ARN, the session's name and its duration",
        (_, "RequestLimitExceeded" | "InternalError") => "it is tried again by itself",
        _ => "the vendor's support can look the request up",
    }
}
