//! The signature of requests to the API, TC3-HMAC-SHA256 (spec 7.1; document 213/30654): made by
//! who calls, and verified by who is called.
//!
//! What is signed are the bytes of the body as they are sent, the headers that `SignedHeaders`
//! names and the time. The token of a temporary credential is sent beside it and not signed.

use std::fmt;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What the header `Authorization` begins with.
pub const ALGORITHM: &str = "TC3-HMAC-SHA256";

/// How far the clocks of both sides may differ.
pub const SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// The headers that are signed.
const SIGNED_HEADERS: &str = "content-type;host";

/// What stands in for a body that its sender does not sign.
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Whom a request is made for.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Names the key; no secret.
    pub secret_id: String,
    /// What requests are signed with.
    pub secret_key: String,
    /// Of a temporary credential: the header `X-TC-Token`.
    pub token: Option<String>,
}

/// A request that is to be signed: a POST to `/` without a query.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `vod`, `sts`: the first label of the endpoint's host.
    pub service: &'a str,
    /// The header `Host` exactly as it is sent.
    pub host: &'a str,
    /// The header `Content-Type` exactly as it is sent.
    pub content_type: &'a str,
    /// The header `X-TC-Timestamp`, in Unix seconds.
    pub timestamp: u64,
    /// The body exactly as it is sent.
    pub body: &'a [u8],
}

/// A request that came in, as far as its signature goes.
pub struct Received<'a> {
    /// The header `Authorization`.
    pub authorization: &'a str,
    /// The header `X-TC-Timestamp`, in Unix seconds.
    pub timestamp: u64,
    /// What time it is, in Unix seconds.
    pub now: u64,
    /// The query of its address, without the question mark.
    pub query: &'a str,
    /// The value of a header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// What `Authorization` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Names the key.
    pub secret_id: &'a str,
    date: &'a str,
    /// The service that the request is for.
    pub service: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Why a signature does not hold. The texts are the codes of the API's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Tc3Error {
    /// The header `Authorization` is not of this form.
    #[error("AuthFailure.InvalidAuthorization")]
    Malformed,
    /// The clocks differ by more than [`SKEW_MAX`].
    #[error("AuthFailure.SignatureExpire")]
    Expired,
    /// It was made with another key, or for another request.
    #[error("AuthFailure.SignatureFailure")]
    Mismatch,
}

// === impl Request ===

impl Request<'_> {
    /// The header `Authorization` of this request.
    pub fn authorization(&self, credential: &Credential) -> String {
        let date = date(self.timestamp);
        let headers = format!("content-type:{}\nhost:{}\n", self.content_type.trim(), self.host);
        let signing = Signing {
            date: &date,
            service: self.service,
            timestamp: self.timestamp,
            query: "",
            headers: &headers,
            signed_headers: SIGNED_HEADERS,
            body: self.body,
        };
        let signature = hex(&signing.sign(&credential.secret_key));
        format!(
            "{ALGORITHM} Credential={}/{date}/{}/tc3_request, SignedHeaders={SIGNED_HEADERS}, \
             Signature={signature}",
            credential.secret_id, self.service
        )
    }
}

// === impl Authorization ===

impl<'a> Authorization<'a> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// [`Tc3Error::Malformed`].
    pub fn parse(header: &'a str) -> Result<Self, Tc3Error> {
        let malformed = Tc3Error::Malformed;
        let rest = header.strip_prefix(ALGORITHM).ok_or(malformed)?;
        let field = |name: &str| {
            rest.split(',').find_map(|part| part.trim().strip_prefix(name)).ok_or(malformed)
        };
        let mut scope = field("Credential=")?.split('/');
        let mut part = || scope.next().filter(|part| !part.is_empty()).ok_or(malformed);
        let (secret_id, date, service, end) = (part()?, part()?, part()?, part()?);
        if end != "tc3_request" || scope.next().is_some() {
            return Err(malformed);
        }
        let (signed_headers, signature) = (field("SignedHeaders=")?, field("Signature=")?);
        Ok(Self { secret_id, date, service, signed_headers, signature })
    }

    /// Checks that the request was signed with this key, not long ago.
    ///
    /// # Errors
    ///
    /// See [`Tc3Error`].
    pub fn verify(&self, received: &Received<'_>, secret_key: &str) -> Result<(), Tc3Error> {
        if received.timestamp.abs_diff(received.now) > SKEW_MAX.as_secs() {
            return Err(Tc3Error::Expired);
        }
        // Both must be covered, or a request could be sent elsewhere or read otherwise.
        let names = || self.signed_headers.split(';');
        if date(received.timestamp) != self.date
            || !names().any(|name| name == "host")
            || !names().any(|name| name == "content-type")
        {
            return Err(Tc3Error::Mismatch);
        }
        let mut headers = String::new();
        for name in names() {
            let value = (received.header)(name).ok_or(Tc3Error::Mismatch)?.trim();
            // As the vendor's signers have them; any other header is lowered (213/30654).
            let is_as_sent = matches!(name, "host" | "content-type");
            let value = if is_as_sent { value.to_owned() } else { value.to_lowercase() };
            headers.extend([name, ":", &value, "\n"]);
        }
        let is_unsigned =
            (received.header)("x-tc-content-sha256").is_some_and(|v| v == UNSIGNED_PAYLOAD);
        let signing = Signing {
            date: self.date,
            service: self.service,
            timestamp: received.timestamp,
            query: received.query,
            headers: &headers,
            signed_headers: self.signed_headers,
            body: if is_unsigned { UNSIGNED_PAYLOAD.as_bytes() } else { received.body },
        };
        let expected = hex(&signing.sign(secret_key));
        if bool::from(expected.as_bytes().ct_eq(self.signature.as_bytes())) {
            Ok(())
        } else {
            Err(Tc3Error::Mismatch)
        }
    }
}

/// Everything that a signature depends on, but the key.
struct Signing<'a> {
    date: &'a str,
    service: &'a str,
    timestamp: u64,
    query: &'a str,
    /// `name:value`, a line each.
    headers: &'a str,
    signed_headers: &'a str,
    body: &'a [u8],
}

// === impl Signing ===

impl Signing<'_> {
    fn canonical_request(&self) -> String {
        let body = hex(&Sha256::digest(self.body));
        let Self { query, headers, signed_headers, .. } = self;
        format!("POST\n/\n{query}\n{headers}\n{signed_headers}\n{body}")
    }

    fn string_to_sign(&self) -> String {
        let request = hex(&Sha256::digest(self.canonical_request()));
        let Self { date, service, timestamp, .. } = self;
        format!("{ALGORITHM}\n{timestamp}\n{date}/{service}/tc3_request\n{request}")
    }

    fn sign(&self, secret_key: &str) -> [u8; 32] {
        let key = hmac(format!("TC3{secret_key}").as_bytes(), self.date);
        let key = hmac(&hmac(&key, self.service), "tc3_request");
        hmac(&key, &self.string_to_sign())
    }
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is one");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;

    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(hex, "{byte:02x}").expect("a String takes everything");
    }
    hex
}

/// The UTC date of a time in Unix seconds: `2026-01-01`.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": `civil_from_days`.
fn date(timestamp: u64) -> String {
    const DAYS_BEFORE_1970: u64 = 719_468; // since 0000-03-01
    const DAYS_OF_400_YEARS: u64 = 146_097;
    let days = timestamp / 86_400 + DAYS_BEFORE_1970;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day_of_month:02}")
}

/// The name of the key alone.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("secret_id", &self.secret_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("timestamp", &self.timestamp).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const VECTORS: &str = include_str!("../samples/tc3-vectors.json");

    fn text<'a>(value: &'a Value, name: &str) -> &'a str {
        value[name].as_str().unwrap()
    }

    fn vectors(check: impl Fn(&Value, &Credential, &Request<'_>)) {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let mut checked = 0;
        for vector in vectors["tc3"].as_array().unwrap() {
            let inputs = &vector["inputs"];
            // Only POST to / with a signed body is what this signs.
            if inputs["unsigned_payload"] == true || inputs["method"] != "POST" {
                continue;
            }
            let credential = Credential {
                secret_id: text(inputs, "secret_id").into(),
                secret_key: text(inputs, "secret_key").into(),
                token: inputs["token"].as_str().map(str::to_owned),
            };
            let request = Request {
                service: text(inputs, "service"),
                host: text(inputs, "host"),
                content_type: text(inputs, "content_type"),
                timestamp: inputs["timestamp"].as_u64().unwrap(),
                body: text(inputs, "payload").as_bytes(),
            };
            check(vector, &credential, &request);
            checked += 1;
        }
        assert!(checked >= 5, "{checked} vectors");
    }

    #[test]
    fn every_vector_of_the_vendors_signer_is_signed_alike() {
        vectors(|vector, credential, request| {
            let name = text(vector, "name");
            assert_eq!(request.authorization(credential), text(vector, "authorization"), "{name}");
        });
    }

    #[test]
    fn what_was_signed_is_verified_and_nothing_else() {
        vectors(|vector, credential, request| {
            let authorization = request.authorization(credential);
            let parsed = Authorization::parse(&authorization).unwrap();
            assert_eq!(parsed.secret_id, credential.secret_id);
            let header = |name: &str| match name {
                "host" => Some(request.host),
                "content-type" => Some(request.content_type),
                _ => None,
            };
            let received = |now: u64| Received {
                authorization: &authorization,
                timestamp: request.timestamp,
                now,
                query: "",
                header: &header,
                body: request.body,
            };
            let now = request.timestamp;
            let name = text(vector, "name");
            assert_eq!(parsed.verify(&received(now), &credential.secret_key), Ok(()), "{name}");
            assert_eq!(parsed.verify(&received(now), "other"), Err(Tc3Error::Mismatch));
            let other = Received { body: b"{ }", ..received(now) };
            assert_eq!(parsed.verify(&other, &credential.secret_key), Err(Tc3Error::Mismatch));
            for now in [now - 301, now + 301] {
                let late = parsed.verify(&received(now), &credential.secret_key);
                assert_eq!(late, Err(Tc3Error::Expired));
            }
        });
    }

    #[test]
    fn what_is_no_authorization_is_told() {
        for header in [
            "",
            "Basic dXNlcg==",
            "TC3-HMAC-SHA256",
            "TC3-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=0",
            "TC3-HMAC-SHA256 Credential=a/b/c/tc3_request/d, SignedHeaders=host, Signature=0",
            "TC3-HMAC-SHA256 Credential=a/b/c/tc3_request, SignedHeaders=host",
        ] {
            assert_eq!(Authorization::parse(header), Err(Tc3Error::Malformed), "{header}");
        }
    }

    #[test]
    fn dates_are_those_of_utc() {
        for (timestamp, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_767_225_599, "2025-12-31"),
            (1_767_225_600, "2026-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(timestamp), expected);
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let credential = Credential {
            secret_id: "AKID".into(),
            secret_key: "hunter2".into(),
            token: Some("hunter3".into()),
        };
        assert!(!format!("{credential:?}").contains("hunter"));
    }
}
