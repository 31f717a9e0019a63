//! Every answer that a caller can get, as one table.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use crate::http::Response;

/// How long a caller should wait before it tries again, in seconds.
const RETRY_AFTER_SECS: &str = "5";

/// What a callback is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Every leg has the event.
    Delivered(Id),
    /// The dead letters have the event.
    Rejected(Id),
    /// The event was stored before; nothing was published.
    Duplicate(Id),
    /// Not acknowledged in time, and whether the event is kept: then it is sent on by itself.
    NotAcknowledged {
        /// It is in the spool.
        kept: bool,
    },
    /// No room for the event, or for its body.
    Overloaded,
    /// Not a path of any application.
    UnknownPath,
    /// Not POST.
    WrongMethod,
    /// A missing or wrong token.
    WrongToken,
    /// A missing or wrong signature; the text says what is wrong with it.
    WrongSignature(String),
    /// More bytes than `body_max`.
    TooLarge(String),
    /// The body did not end in time.
    Slow(String),
    /// Encoded in a way that is not known.
    UnknownEncoding,
    /// The body broke off, or is not encoded as it says.
    Broken(String),
    /// No event; the text says why.
    NoEvent(String),
}

/// The id of an event.
pub type Id = smol_str::SmolStr;

impl Answer {
    /// The status code.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Delivered(_) | Self::Rejected(_) | Self::Duplicate(_) => StatusCode::OK,
            Self::NotAcknowledged { .. } | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongToken | Self::WrongSignature(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Broken(_) | Self::NoEvent(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether VOD may take it as an answer, so that it need not send the event again.
    pub fn is_confirmation(&self) -> bool {
        self.status() == StatusCode::OK
    }

    /// What happened, in one word, for traces.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::Rejected(_) => "rejected",
            Self::Duplicate(_) => "duplicate",
            Self::NotAcknowledged { kept: false } => "not_acknowledged",
            Self::NotAcknowledged { kept: true } => "kept",
            Self::Overloaded => "overloaded",
            Self::UnknownPath => "unknown_path",
            Self::WrongMethod => "wrong_method",
            Self::WrongToken => "wrong_token",
            Self::WrongSignature(_) => "wrong_signature",
            Self::TooLarge(_) => "too_large",
            Self::Slow(_) => "slow",
            Self::UnknownEncoding => "unknown_encoding",
            Self::Broken(_) => "broken",
            Self::NoEvent(_) => "no_event",
        }
    }

    fn text(&self) -> (&'static str, &str) {
        match self {
            Self::Delivered(id) => ("delivered", id),
            Self::Rejected(id) => ("rejected", id),
            Self::Duplicate(id) => ("duplicate", id),
            Self::NotAcknowledged { kept: false } => ("error", "not acknowledged in time"),
            Self::NotAcknowledged { kept: true } => ("error", "not acknowledged yet"),
            Self::Overloaded => ("error", "no room at the moment"),
            Self::UnknownPath => ("error", "no application has this path"),
            Self::WrongMethod => ("error", "callbacks are sent by POST"),
            Self::WrongToken => ("error", "the token is missing or wrong"),
            Self::UnknownEncoding => ("error", "Content-Encoding may be gzip or identity"),
            Self::WrongSignature(why)
            | Self::TooLarge(why)
            | Self::Slow(why)
            | Self::Broken(why)
            | Self::NoEvent(why) => ("error", why),
        }
    }

    fn body(&self) -> String {
        let (key, text) = self.text();
        let mut body = String::with_capacity(64 + text.len());
        body.push('{');
        if self.is_confirmation() {
            // VOD's own examples of receivers answer `{"code": 0}`.
            write!(body, r#""code":0,"outcome":"{key}","id":"#)
        } else if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            let kept = matches!(self, Self::NotAcknowledged { kept: true });
            write!(body, r#""kept":{kept},"{key}":"#)
        } else {
            write!(body, r#""{key}":"#)
        }
        .expect("writing to a String cannot fail");
        body.push_str(&serde_json::to_string(text).expect("a string is valid JSON"));
        body.push_str("}\n");
        body
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let mut response = Self::new(Full::new(Bytes::from(answer.body())));
        *response.status_mut() = answer.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECS));
        }
        if answer == Answer::WrongMethod {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_json_and_only_what_is_stored_is_confirmed() {
        let why = || "because \"of\"\n".to_owned();
        for (answer, status) in [
            (Answer::Delivered("a".into()), 200),
            (Answer::Rejected("a".into()), 200),
            (Answer::Duplicate("a".into()), 200),
            (Answer::NotAcknowledged { kept: false }, 503),
            (Answer::NotAcknowledged { kept: true }, 503),
            (Answer::Overloaded, 503),
            (Answer::UnknownPath, 404),
            (Answer::WrongMethod, 405),
            (Answer::WrongToken, 401),
            (Answer::WrongSignature(why()), 401),
            (Answer::TooLarge(why()), 413),
            (Answer::Slow(why()), 408),
            (Answer::UnknownEncoding, 415),
            (Answer::Broken(why()), 400),
            (Answer::NoEvent(why()), 400),
        ] {
            assert_eq!(answer.status(), status, "{answer:?}");
            let body: serde_json::Value = serde_json::from_str(&answer.body()).unwrap();
            assert_eq!(body.get("code").is_some(), status == 200, "{answer:?}");
            assert_eq!(body.get("kept").is_some(), status == 503, "{answer:?}");
        }
    }
}
