use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use crate::api::ApiError;
use crate::credentials::CredentialsError;
use crate::reaction::Reaction;
use crate::reply::NoReply;

/// Why there can be no client as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum Setup {
    /// The endpoint is no address of an API.
    #[error("the endpoint has {0}, expected one such as https://vod.tencentcloudapi.com")]
    Endpoint(String),
    /// The region cannot stand in a header.
    #[error("the region has characters that no region has")]
    Region,
    /// The proxy is no address of one.
    #[error("the proxy is no address such as http://proxy:3128")]
    Proxy,
    /// The file of certificate authorities cannot be read.
    #[error("the file {} cannot be read", .0.display())]
    Certificates(PathBuf, #[source] io::Error),
    /// There is no certificate in it.
    #[error("the file {} holds no certificate in PEM", .0.display())]
    NoCertificates(PathBuf),
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built: {0}")]
    Http(String),
}

/// Why a call was not answered as it was meant to be.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// VOD answered with an error.
    #[error("VOD says {error}{}", told(*skew))]
    Api {
        /// The error.
        error: ApiError,
        /// What is to be done about it.
        reaction: Reaction,
        /// What a person can do.
        advice: &'static str,
        /// Seconds that this machine's clock is ahead of VOD's, if they are many.
        skew: Option<i64>,
    },
    /// There is no credential to sign with.
    #[error("there is no credential")]
    Credentials(#[source] CredentialsError),
    /// A token that no header can hold.
    #[error("the credential's token has characters that no token has")]
    Token,
    /// A gateway's answer, or of something that is not VOD.
    #[error("the endpoint answers with HTTP status {0}")]
    Status(u16),
    /// No connection, or one that broke.
    #[error("the endpoint cannot be reached")]
    Network(#[source] reqwest::Error),
    /// No answer in time.
    #[error("the endpoint does not answer in time")]
    Hung,
    /// More bytes than any answer has.
    #[error("the reply is larger than {0} bytes")]
    TooLarge(usize),
    /// The process holds as many bytes as it may.
    #[error("there is no room for the reply")]
    NoRoom,
    /// The time until which it was of use to call was over before the call's turn came.
    #[error("the call came too late to its turn")]
    Late,
    /// What came is no reply of the API.
    #[error("the endpoint does not speak VOD's API")]
    NoReply(#[source] NoReply),
}

// === impl CallError ===

impl CallError {
    /// What is to be done.
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::Api { reaction, .. } => *reaction,
            Self::Credentials(_) | Self::Token => Reaction::Operator,
            Self::Status(_)
            | Self::Network(_)
            | Self::Hung
            | Self::Late
            | Self::NoRoom
            | Self::TooLarge(_)
            | Self::NoReply(_) => Reaction::Retry,
        }
    }

    /// What a person can do.
    pub fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::Api { advice, .. } => (*advice).into(),
            Self::Credentials(_) | Self::Token => {
                "set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or name another source \
                 under pull.credentials: profile, cvm_role, tke_oidc or static"
                    .into()
            }
            Self::Status(401 | 403 | 407) => {
                "a proxy or firewall in between refuses it: see pull.proxy".into()
            }
            Self::Status(_) => "see pull.endpoint, and any proxy in between".into(),
            Self::Network(why) if why.is_connect() => {
                "see pull.endpoint, DNS, firewalls, and the certificates: pull.ca_file".into()
            }
            Self::Network(_) | Self::Hung => {
                "see the network to VOD, and any proxy in between".into()
            }
            Self::NoRoom => "brokers are slow, or limits.in_flight_bytes is small".into(),
            Self::Late => "the account's calls are used up: see pull.calls_per_second".into(),
            Self::TooLarge(_) | Self::NoReply(_) => {
                "see pull.endpoint, and whether a proxy answers in its place".into()
            }
        }
    }

    /// A short name for metrics: of VOD's own codes those that the table of reactions names.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Api { error, .. } => metric_code(&error.code),
            Self::Credentials(_) | Self::Token => "credentials",
            Self::Status(_) => "status",
            Self::Network(_) => "network",
            Self::Hung => "timeout",
            Self::Late => "late",
            Self::NoRoom => "no_room",
            Self::TooLarge(_) => "too_large",
            Self::NoReply(_) => "no_reply",
        }
    }
}

/// What comes from outside must not make label values: only what the table of reactions names.
fn metric_code(code: &str) -> &'static str {
    use crate::reaction::RULES;

    let stem = |code: &'static str| code.trim_end_matches(".*");
    let exact = RULES.iter().map(|rule| stem(rule.code)).find(|known| *known == code);
    let class = || {
        let class = code.split('.').next().unwrap_or_default();
        RULES.iter().map(|rule| stem(rule.code)).find(|known| *known == class)
    };
    exact.or_else(class).unwrap_or("other")
}

fn told(skew: Option<i64>) -> String {
    match skew {
        None => String::new(),
        Some(seconds) => {
            let side = if seconds > 0 { "ahead of" } else { "behind" };
            let seconds = seconds.unsigned_abs();
            format!("; this machine's clock is {seconds} s {side} VOD's")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_from_outside_never_become_label_values() {
        for (code, label) in [
            ("AuthFailure.TokenFailure", "AuthFailure.TokenFailure"),
            ("InternalError.DBError", "InternalError"),
            ("AuthFailure.New", "AuthFailure"),
            ("ResourceNotFound", "ResourceNotFound"),
            ("Made.Up", "other"),
            ("", "other"),
        ] {
            assert_eq!(metric_code(code), label, "{code}");
        }
    }

    #[test]
    fn a_wrong_clock_is_told_in_a_sentence() {
        assert_eq!(told(Some(600)), "; this machine's clock is 600 s ahead of VOD's");
        assert_eq!(told(Some(-61)), "; this machine's clock is 61 s behind VOD's");
    }
}
