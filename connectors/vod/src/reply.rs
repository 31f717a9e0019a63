//! The envelope of the API's replies: `{"Response":{...,"RequestId":"..."}}`, with an `Error` in
//! it where the call failed; the HTTP status is 200 in both cases (spec 7.4).
//!
//! The reply is split by its bytes and not parsed, so that one event that is no JSON, or not
//! UTF-8, holds back none of its neighbours: each is judged by itself afterwards.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::api::ApiError;
use crate::scanner::{Broken, Scanner};

/// A reply, split.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// What the call failed with.
    pub error: Option<ApiError>,
    /// Names the call towards the vendor's support; not always a UUID.
    pub request_id: String,
    /// The elements of `EventSet`: the reply's own bytes, not a copy.
    pub events: Vec<Bytes>,
    /// The whole object `Response`.
    response: Bytes,
}

/// Why a body is no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// The structure around the events breaks off or is broken.
    #[error("the reply is no JSON object, or is cut off: byte {at} of {len} is not as expected")]
    Broken {
        /// Where.
        at: usize,
        /// The bytes there are.
        len: usize,
    },
    /// There is no object `Response` in it.
    #[error("the reply has no Response")]
    NoResponse,
    /// A member is not what it should be.
    #[error("the reply's {0} is not what it should be")]
    Member(&'static str),
}

// === impl Reply ===

impl Reply {
    /// Splits a body.
    ///
    /// # Errors
    ///
    /// See [`NoReply`]. What stands inside of events is not judged, but that its brackets and
    /// quotes are closed.
    pub fn split(body: &Bytes) -> Result<Self, NoReply> {
        let broken = |Broken { at }| NoReply::Broken { at, len: body.len() };
        let mut whole = Scanner::new(body, 0);
        let mut response = None;
        whole
            .object(|name, value| {
                if name == b"Response" {
                    response = Some(value);
                }
            })
            .map_err(broken)?;
        whole.end().map_err(broken)?;
        let response = response.ok_or(NoReply::NoResponse)?;
        if body.get(response.start) != Some(&b'{') {
            return Err(NoReply::NoResponse);
        }
        let (mut error, mut request_id, mut event_set) = (None, None, None);
        Scanner::new(body, response.start)
            .object(|name, value| match name {
                b"Error" => error = Some(value),
                b"RequestId" => request_id = Some(value),
                b"EventSet" => event_set = Some(value),
                _ => {}
            })
            .map_err(broken)?;
        let is_null = |value: &std::ops::Range<usize>| &body[value.clone()] == b"null";
        let request_id: String = request_id
            .and_then(|value| serde_json::from_slice(&body[value]).ok())
            .unwrap_or_default();
        let error = match error.filter(|value| !is_null(value)) {
            None => None,
            Some(value) => {
                let text = String::from_utf8_lossy(&body[value]);
                let error: ApiError =
                    serde_json::from_str(&text).map_err(|_| NoReply::Member("Error"))?;
                Some(ApiError { request_id: request_id.clone(), ..error })
            }
        };
        let mut events = Vec::new();
        if let Some(value) = event_set.filter(|value| !is_null(value)) {
            if body[value.start] != b'[' {
                return Err(NoReply::Member("EventSet"));
            }
            Scanner::new(body, value.start)
                .array(|element| events.push(body.slice(element)))
                .map_err(broken)?;
        }
        Ok(Self { error, request_id, events, response: body.slice(response) })
    }

    /// Reads what else the reply holds.
    ///
    /// # Errors
    ///
    /// When it is not what it should be.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(body: &str) -> Result<Reply, NoReply> {
        Reply::split(&Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn events_are_the_bytes_that_came() {
        let reply = split(
            r#" {"Response" : {"New":{"EventSet":[1]},"EventSet": [ {"a":"]}\"\\"} ,{"b":[{}]}, null,5 ],"RequestId":"r"}} "#,
        )
        .unwrap();
        assert_eq!(reply.events, [&br#"{"a":"]}\"\\"}"#[..], br#"{"b":[{}]}"#, b"null", b"5"]);
        assert_eq!((reply.error, reply.request_id.as_str()), (None, "r"));
    }

    #[test]
    fn a_broken_event_holds_back_no_other() {
        let body = b"{\"Response\":{\"EventSet\":[{\"a\":\xff},{\"b\":01},{\"c\":1}]}}";
        let reply = Reply::split(&Bytes::from_static(body)).unwrap();
        assert_eq!(reply.events, [&b"{\"a\":\xff}"[..], b"{\"b\":01}", b"{\"c\":1}"]);
    }

    #[test]
    fn no_event_set_is_an_empty_one() {
        for body in [
            r#"{"Response":{"RequestId":"r"}}"#,
            r#"{"Response":{"EventSet":null}}"#,
            r#"{"Response":{"EventSet":[ ]}}"#,
            r#"{"Response":{}}"#,
        ] {
            assert_eq!(split(body).unwrap().events.len(), 0, "{body}");
        }
    }

    #[test]
    fn an_error_is_told_with_its_request() {
        let body = include_str!("../samples/api/PullEvents.empty.response.json");
        let error = split(body).unwrap().error.unwrap();
        assert_eq!(error.code, "ResourceNotFound");
        assert_eq!(error.request_id, "335bdaa3-db0e-46ce-9946-51941d9cb0f5");
        assert_eq!(split(r#"{"Response":{"Error":null}}"#).unwrap().error, None);
    }

    #[test]
    fn what_is_no_reply_is_told_with_its_place() {
        for (body, why) in [
            ("", NoReply::Broken { at: 0, len: 0 }),
            ("<html>", NoReply::Broken { at: 0, len: 6 }),
            ("[]", NoReply::Broken { at: 0, len: 2 }),
            ("{}", NoReply::NoResponse),
            (r#"{"Response":null}"#, NoReply::NoResponse),
            (r#"{"Response":{"EventSet":[{"a":"b"#, NoReply::Broken { at: 32, len: 32 }),
            (r#"{"Response":{}} {"#, NoReply::Broken { at: 16, len: 17 }),
            (r#"{"Response":{"EventSet":{}}}"#, NoReply::Member("EventSet")),
            (r#"{"Response":{"EventSet":[{},]}}"#, NoReply::Broken { at: 28, len: 31 }),
            (r#"{"Response":{"EventSet":[{} {}]}}"#, NoReply::Broken { at: 28, len: 33 }),
            (r#"{"Response":{"Error":5}}"#, NoReply::Member("Error")),
        ] {
            assert_eq!(split(body).unwrap_err(), why, "{body}");
        }
    }

    #[test]
    fn whatever_is_cut_off_is_no_reply() {
        let body = r#"{"Response":{"EventSet":[{"a":"b\"]"},{"c":[1,2]}],"RequestId":"r"}}"#;
        for len in 0..body.len() {
            assert!(split(&body[..len]).is_err(), "{}", &body[..len]);
        }
    }
}
