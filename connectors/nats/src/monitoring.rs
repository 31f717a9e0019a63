//! The server's monitoring address, the only place where it tells when it flushes its files.

use std::time::Duration;

use async_nats::jetstream::stream::{ClusterInfo, Info};
use serde::Deserialize;
use vodbridge_core::{BoxError, Provenance, Tls};

use crate::durability::{SYNC_INTERVAL_DEFAULT, Sync};
use crate::login;

/// How long the monitoring address may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// More than any server answers.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What `/varz` says, as far as it matters.
#[derive(Deserialize)]
struct Varz {
    #[serde(default)]
    server_name: String,
    jetstream: Option<JetStream>,
}

/// When one server flushes.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    server: String,
    sync: Sync,
}

#[derive(Deserialize)]
struct JetStream {
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Config {
    /// Nanoseconds; older servers do not have it.
    sync_interval: Option<i64>,
    /// Absent when it is false.
    #[serde(default)]
    sync_always: bool,
}

/// When the servers of a stream flush, as the monitoring address of one of them says, over TLS as
/// events go. An answer that cannot be had is [`Sync::Unknown`], never good news.
pub(crate) async fn sync(url: &str, tls: Option<&Tls>, stream: &Info) -> Sync {
    match read(url, tls).await {
        Ok(said) => said.of(stream.cluster.as_ref()),
        Err(error) => {
            tracing::debug!(%error, "the monitoring address does not tell when the server flushes");
            Sync::Unknown
        }
    }
}

impl Said {
    /// What it says of a stream that lies on these servers: nothing, if it is none of them; and of
    /// the others only that they are probably like it.
    fn of(self, cluster: Option<&ClusterInfo>) -> Sync {
        let Some(cluster) = cluster else { return self.sync };
        let peers = cluster.replicas.iter().map(|peer| &peer.name);
        let servers: Vec<_> = cluster.leader.iter().chain(peers).collect();
        let is_one = servers.iter().any(|server| **server == self.server);
        match self.sync {
            _ if !is_one => Sync::Unknown,
            Sync::Always(_) if servers.len() > 1 => Sync::Always(Provenance::Assumed),
            sync @ (Sync::Always(_) | Sync::Every(..) | Sync::Unknown) => sync,
        }
    }
}

async fn read(url: &str, tls: Option<&Tls>) -> Result<Said, BoxError> {
    let tls = login::client_config(tls.unwrap_or(&Tls::default()))?;
    let client =
        reqwest::Client::builder().timeout(ANSWER_WITHIN).tls_backend_preconfigured(tls).build()?;
    let mut response = client
        .get(format!("{}/varz", url.trim_end_matches('/')))
        .send()
        .await?
        .error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_BYTES_MAX {
            return Err("its answer is longer than any server's".into());
        }
    }
    parse(&body)
}

fn parse(body: &[u8]) -> Result<Said, BoxError> {
    let varz: Varz = serde_json::from_slice(body)?;
    let config = varz
        .jetstream
        .and_then(|jetstream| jetstream.config)
        .ok_or("it says nothing about JetStream")?;
    let server = varz.server_name;
    if config.sync_always {
        return Ok(Said { server, sync: Sync::Always(Provenance::Monitoring) });
    }
    let interval = config
        .sync_interval
        .and_then(|nanos| u64::try_from(nanos).ok())
        .map_or(SYNC_INTERVAL_DEFAULT, Duration::from_nanos);
    Ok(Said { server, sync: Sync::Every(interval, Provenance::Monitoring) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_servers_answer() {
        for (body, sync) in [
            (
                r#"{"jetstream":{"config":{"sync_interval":120000000000}}}"#,
                Sync::Every(SYNC_INTERVAL_DEFAULT, Provenance::Monitoring),
            ),
            (
                r#"{"jetstream":{"config":{"sync_interval":120000000000,"sync_always":true}}}"#,
                Sync::Always(Provenance::Monitoring),
            ),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap().sync, sync);
        }
        for body in ["", "{}", "<html>", r#"{"jetstream":{}}"#] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn one_server_speaks_for_itself_alone() {
        let said = || Said { server: "n1".into(), sync: Sync::Always(Provenance::Monitoring) };
        let cluster = |json| serde_json::from_value::<ClusterInfo>(json).unwrap();
        let peer = |name| json!({ "name": name, "current": true, "active": 0 });
        let alone = cluster(json!({ "leader": "n1" }));
        let elsewhere = cluster(json!({ "leader": "n2" }));
        let three = cluster(json!({ "leader": "n2", "replicas": [peer("n1"), peer("n3")] }));
        assert_eq!(said().of(None), Sync::Always(Provenance::Monitoring));
        assert_eq!(said().of(Some(&alone)), Sync::Always(Provenance::Monitoring));
        assert_eq!(said().of(Some(&elsewhere)), Sync::Unknown);
        assert_eq!(said().of(Some(&three)), Sync::Always(Provenance::Assumed));
    }
}
