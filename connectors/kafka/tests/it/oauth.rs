use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brokers::kafka::{Certificates, Flaw, Kafka, Setup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use vodbridge_core::{Connector as _, Provision, Secret, Tls};
use vodbridge_kafka::{Connector, Sasl, TokenEndpoint};

use crate::support::{config, eventually, make_topic, publish, unavailable};

const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer";

/// The broker believes unsigned tokens (RFC 7515, appendix A.5), as its documentation has it for
/// tests; their time counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_fetched_ahead_of_their_end_and_let_in() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let certificates = Certificates::make(Flaw::None);
    let login =
        format!("{OAUTH}.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"x\";");
    let setup = Setup {
        certificates: Some(certificates.clone()),
        properties: vec![
            ("sasl.enabled.mechanisms", "OAUTHBEARER".to_owned()),
            ("listener.name.sasl_ssl.oauthbearer.sasl.jaas.config", login),
        ],
        ..Setup::default()
    };
    let kafka = Kafka::with(1, setup).await;
    make_topic(&kafka.addresses(), "vod.oauth", 1, &[]).await;
    let endpoint = Endpoint::start().await;
    let mut config = config(kafka.secure_addresses());
    config.topology = Provision::Verify;
    config.tls = Some(Tls { ca_file: Some(certificates.ca_file()), identity: None });
    config.sasl = Some(Sasl::OAuthBearer(TokenEndpoint {
        url: endpoint.url.clone(),
        client_id: "vodbridge".to_owned(),
        client_secret: Secret::fixed("s3cret"),
        scope: Some("kafka".to_owned()),
        extensions: BTreeMap::new(),
    }));

    endpoint.broken.store(1, Ordering::Relaxed);
    let connector = Connector::new(config).unwrap();
    let why = unavailable(publish(&connector, "no token", "vod.oauth").await);
    assert!(why.message.contains("503") && why.advice.is_some(), "{why:?}");
    endpoint.broken.store(0, Ordering::Relaxed);
    eventually(async || publish(&connector, "let in", "vod.oauth").await, |a| a.is_ok())
        .await
        .unwrap();
    // Tokens live for five seconds here: the next ones are fetched in time.
    let fetched = endpoint.given.load(Ordering::Relaxed);
    eventually(async || endpoint.given.load(Ordering::Relaxed), |&now| now > fetched + 1).await;
    publish(&connector, "still in", "vod.oauth").await.unwrap();
    assert_eq!(connector.check(&[]).await.unwrap().len(), 0);
    connector.close().await;
}

/// A token endpoint (RFC 6749, section 4.4) that knows one client.
struct Endpoint {
    url: String,
    given: Arc<AtomicU32>,
    broken: Arc<AtomicU32>,
    _serving: JoinSet<()>,
}

impl Endpoint {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let (given, broken) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let mut serving = JoinSet::new();
        let (count, fails) = (Arc::clone(&given), Arc::clone(&broken));
        serving.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 8192];
                let read = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                // vodbridge:s3cret
                assert!(request.contains("Basic dm9kYnJpZGdlOnMzY3JldA=="), "{request}");
                let (status, body) = if fails.load(Ordering::Relaxed) > 0 {
                    ("503 Service Unavailable", String::new())
                } else {
                    count.fetch_add(1, Ordering::Relaxed);
                    ("200 OK", token())
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                stream.write_all([head, body].concat().as_bytes()).await.unwrap();
            }
        });
        Self { url, given, broken, _serving: serving }
    }
}

fn token() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = format!(r#"{{"sub":"vodbridge","iat":{now},"exp":{}}}"#, now + 5);
    let [header, claims] = [r#"{"alg":"none"}"#, &claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!(r#"{{"access_token":"{header}.{claims}.","token_type":"Bearer","expires_in":5}}"#)
}
