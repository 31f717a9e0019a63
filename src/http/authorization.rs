use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap};
use subtle::{Choice, ConstantTimeEq};

/// The token of RFC 6750, section 2.1.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Whether a text is one of the secrets, in a time that tells nothing of where they differ.
pub fn is_one_of(secrets: &[Bytes], offered: &[u8]) -> bool {
    let equal = secrets.iter().map(|secret| secret.ct_eq(offered));
    equal.fold(Choice::from(0), |any, one| any | one).into()
}
