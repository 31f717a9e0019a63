//! Who may see payloads and change something: whoever brings the token.
//!
//! A browser adds cookies and passwords to requests of its own accord, also to those that another
//! site makes it send; an `Authorization: Bearer` header only a script can add, and a script of
//! another origin must first ask by `OPTIONS`, which is not answered here. So the token by itself
//! keeps forged requests out. Requests that say that they come from elsewhere are refused all the
//! same: nothing here is meant for other sites.

use hyper::StatusCode;
use hyper::header::{
    AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, WWW_AUTHENTICATE,
};
use hyper::http::Uri;

use super::answer::Refusal;
use crate::config::SecretCell;
use crate::http::{bearer, is_one_of};

/// What a request may see and do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// State and what is known about events. No token is configured, so nobody can do more.
    Closed,
    /// The same; with the token it would be more.
    Open,
    /// Payloads as well, and it may change something.
    Granted,
}

pub(super) const NOT_CONFIGURED: &str = "no token is configured, so payloads are not shown and nothing can be sent again or removed \
     here; write admin: { token: { file: /run/secrets/admin-token } } into the configuration, or \
     use vodbridge events and vodbridge dead-letters";
pub(super) const NEEDED: &str = "this needs the token of admin.token as Authorization: Bearer";
const WRONG: &str = "this is not the token of admin.token";
const ELSEWHERE: &str = "requests of other sites are not answered";

// === impl Access ===

impl Access {
    /// What a request with these headers may do; a wrong token is an error, also where none is
    /// needed.
    pub(super) fn judge(token: Option<&SecretCell>, headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(token) = token else { return Ok(Self::Closed) };
        match bearer(headers) {
            None if headers.contains_key(AUTHORIZATION) => Err(unauthorized(WRONG)),
            None => Ok(Self::Open),
            Some(offered) if is_one_of(&token.current(), offered.as_bytes()) => Ok(Self::Granted),
            Some(_) => Err(unauthorized(WRONG)),
        }
    }

    /// Nothing if it may see and change everything, else the answer.
    pub(super) fn demand(self) -> Result<(), Refusal> {
        match self {
            Self::Granted => Ok(()),
            Self::Open => Err(unauthorized(NEEDED)),
            Self::Closed => Err(Refusal::new(StatusCode::FORBIDDEN, NOT_CONFIGURED)),
        }
    }

    /// Why payloads are withheld, if they are.
    pub(super) fn withheld(self) -> Option<&'static str> {
        match self {
            Self::Granted => None,
            Self::Open => Some(NEEDED),
            Self::Closed => Some(NOT_CONFIGURED),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Granted => "granted",
        }
    }
}

/// Refuses what a browser says that another site sent.
///
/// Where a browser tells (`Sec-Fetch-Site`, only on HTTPS and on this machine) its word is taken,
/// because a proxy may have changed `Host`; else `Origin` must be the host that was asked.
pub(super) fn refuse_other_sites(uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let refused = || Err(Refusal::new(StatusCode::FORBIDDEN, ELSEWHERE));
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return if site == "same-origin" || site == "none" { Ok(()) } else { refused() };
    }
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let host = host.or_else(|| uri.authority().map(|a| a.as_str().as_bytes()));
    let origin = origin.as_bytes();
    let authority = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
    match (authority, host) {
        (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => refused(),
    }
}

fn unauthorized(why: &'static str) -> Refusal {
    let challenge = "Bearer realm=\"vodbridge\"";
    Refusal::new(StatusCode::UNAUTHORIZED, why).with(WWW_AUTHENTICATE, challenge)
}
