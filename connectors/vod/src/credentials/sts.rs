//! STS: a credential for a role, against another credential or against the token of a pod
//! (spec 7.3, version 2018-08-13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};

use super::source::Fetched;
use super::{CredentialsError, Session, http};
use crate::reply::Reply;
use crate::tc3::{self, Credential};

const VERSION: &str = "2018-08-13";
const REGION: &str = "ap-guangzhou";
const JSON: &str = "application/json";

/// Where STS is.
pub(super) struct Sts {
    pub(super) http: Client,
    pub(super) endpoint: Url,
}

/// A role, and what its session is to be like.
pub(super) struct Role<'a> {
    pub(super) arn: &'a str,
    pub(super) session: &'a Session,
}

/// Who a pod is, by its cluster.
pub(super) struct Pod {
    pub(super) region: String,
    pub(super) provider_id: String,
    pub(super) token: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_identity_token: Option<&'a str>,
    role_arn: &'a str,
    role_session_name: &'a str,
    duration_seconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    credentials: Keys,
    /// Unix seconds.
    expired_time: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    token: String,
    tmp_secret_id: String,
    tmp_secret_key: String,
}

// === impl Sts ===

impl Sts {
    /// Assumes a role with a credential.
    pub(super) async fn assume(
        &self,
        role: &Role<'_>,
        base: &Fetched,
        now: SystemTime,
    ) -> Result<Fetched, CredentialsError> {
        let body = body(role, None);
        let from = format!("role {} by {}", role.arn, base.from);
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let host = self.host();
        let authorization = tc3::Request {
            service: "sts",
            host: &host,
            content_type: JSON,
            timestamp,
            body: &body,
        }
        .authorization(&base.credential);
        let token = base.credential.token.as_deref();
        self.call("AssumeRole", REGION, authorization, token, timestamp, body, from).await
    }

    /// Assumes a role as a pod. The call is not signed.
    pub(super) async fn assume_as_pod(
        &self,
        role: &Role<'_>,
        pod: &Pod,
        now: SystemTime,
    ) -> Result<Fetched, CredentialsError> {
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (action, skip) = ("AssumeRoleWithWebIdentity", "SKIP".to_owned());
        let from = format!("tke_oidc {}", role.arn);
        self.call(action, &pod.region, skip, None, timestamp, body(role, Some(pod)), from).await
    }

    #[allow(clippy::too_many_arguments, reason = "each is a header, and two callers fill them")]
    async fn call(
        &self,
        action: &'static str,
        region: &str,
        authorization: String,
        token: Option<&str>,
        timestamp: u64,
        body: Vec<u8>,
        from: String,
    ) -> Result<Fetched, CredentialsError> {
        let mut request = self
            .http
            .post(self.endpoint.clone())
            .header(CONTENT_TYPE, JSON)
            .header(AUTHORIZATION, authorization)
            .header("X-TC-Action", action)
            .header("X-TC-Version", VERSION)
            .header("X-TC-Region", region)
            .header("X-TC-Timestamp", timestamp)
            .header("X-TC-Language", "en-US");
        if let Some(token) = token {
            let mut token = HeaderValue::from_str(token)
                .map_err(|_| CredentialsError::Characters("the token"))?;
            token.set_sensitive(true);
            request = request.header("X-TC-Token", token);
        }
        let (status, body) = http::call("STS", request.body(body)).await?;
        if status != 200 {
            return Err(CredentialsError::Status { whom: "STS", status });
        }
        let reply = Reply::split(&body).map_err(|why| CredentialsError::no_reply(&why))?;
        if let Some(error) = reply.error {
            return Err(CredentialsError::Sts { action, error });
        }
        let incomplete = || CredentialsError::answer("STS", "it holds no whole credential");
        // serde's message may show a value of the reply.
        let Answer { credentials, expired_time } = reply.read().map_err(|_| incomplete())?;
        let ends = UNIX_EPOCH.checked_add(Duration::from_secs(expired_time));
        Ok(Fetched {
            credential: Credential {
                secret_id: credentials.tmp_secret_id,
                secret_key: credentials.tmp_secret_key,
                token: Some(credentials.token),
            },
            ends: Some(ends.ok_or_else(incomplete)?),
            from,
        })
    }

    /// The header `Host`, as it is sent and signed.
    fn host(&self) -> String {
        let host = self.endpoint.host_str().unwrap_or_default();
        match self.endpoint.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

fn body(role: &Role<'_>, pod: Option<&Pod>) -> Vec<u8> {
    let body = Body {
        provider_id: pod.map(|pod| &*pod.provider_id),
        web_identity_token: pod.map(|pod| &*pod.token),
        role_arn: role.arn,
        role_session_name: &role.session.name,
        duration_seconds: role.session.duration.as_secs(),
    };
    serde_json::to_vec(&body).expect("a request has texts and numbers only")
}
