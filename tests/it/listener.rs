//! The listener from outside: TLS, certificates that are exchanged, the cap on connections.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::program::{Home, PATH, PATIENCE, Program, connect, reply};

const EVENT: &[u8] = br#"{"EventType":"X","XEvent":{"TaskId":"1"}}"#;

/// Writes a certificate for `localhost` and its key, and returns the certificate.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    // The key first: what is read in between does not fit, and the old pair stays in use.
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

fn with_tls(folder: &TempDir) -> Program {
    with_tls_and(folder, "")
}

fn with_tls_and(folder: &TempDir, more: &str) -> Program {
    let path = folder.path().display();
    let tls = format!("tls: {{ cert_file: \"{path}/tls.crt\", key_file: \"{path}/tls.key\" }}");
    Home::new(&format!("HTTP , {tls}{more}\n")).start()
}

/// Shakes hands, trusting one certificate alone.
pub(crate) async fn shake_hands(
    to: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(to).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn tls_speaks_http_2_and_many_requests_share_a_connection() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certify(folder.path());
    let program = with_tls(&folder);
    let stream = shake_hands(program.callbacks, &trusted, b"h2").await.unwrap();
    let (send, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { connection.await.map(|()| StatusCode::OK) });
    for n in 0..50 {
        let mut send = send.clone();
        tasks.spawn(async move {
            let body = format!(r#"{{"EventType":"X","XEvent":{{"TaskId":"{n}"}}}}"#);
            let request = Request::post(format!("https://localhost{PATH}"));
            let request = request.body(Full::new(Bytes::from(body))).unwrap();
            send.send_request(request).await.map(|answer| answer.status())
        });
    }
    drop(send);
    let all = timeout(PATIENCE, tasks.join_all()).await.unwrap();
    assert!(all.into_iter().all(|status| status.unwrap() == StatusCode::OK));
    assert_eq!(program.metric("vodbridge_settled_total", "delivered"), 50.0);
}

/// Its peer answers pings meanwhile, each of which is bytes and none of which is a request.
#[tokio::test]
async fn an_idle_connection_of_http_2_lasts_for_idle_timeout_and_is_told_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certify(folder.path());
    let program = with_tls_and(&folder, ", header_timeout: 200ms, idle_timeout: 2s");
    let stream = shake_hands(program.callbacks, &trusted, b"h2").await.unwrap();
    let (mut send, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let request = Request::post(format!("https://localhost{PATH}"));
    let request = request.body(Full::new(Bytes::from_static(EVENT))).unwrap();
    let answer = timeout(PATIENCE, send.send_request(request)).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let idle = Instant::now();
    // It has an end of its own only after a goodbye.
    timeout(PATIENCE, connections.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    assert!(idle.elapsed() >= Duration::from_millis(1700), "{:?}", idle.elapsed());
}

#[tokio::test]
async fn tls_speaks_http_1_to_who_knows_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certify(folder.path());
    let program = with_tls(&folder);
    let stream = shake_hands(program.callbacks, &trusted, b"http/1.1").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    // In clear on the same port: no answer, and no harm.
    assert!(
        tokio::task::spawn_blocking({
            let to = program.callbacks;
            move || crate::program::raw(to, b"GET / HTTP/1.1\r\n\r\n").is_none()
        })
        .await
        .unwrap()
    );
}

#[tokio::test]
async fn a_certificate_is_exchanged_without_a_restart_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let old = certify(folder.path());
    let program = with_tls(&folder);
    shake_hands(program.callbacks, &old, b"h2").await.unwrap();
    fs::write(folder.path().join("tls.crt"), "no certificate").unwrap();
    let mut deadline = SystemTime::now() + PATIENCE;
    while !program.saw_line("a certificate cannot be used") {
        shake_hands(program.callbacks, &old, b"h2").await.unwrap();
        assert!(SystemTime::now() < deadline, "the broken file was never read");
    }
    shake_hands(program.callbacks, &old, b"h2").await.unwrap();
    let new = certify(folder.path());
    deadline = SystemTime::now() + PATIENCE;
    while shake_hands(program.callbacks, &new, b"h2").await.is_err() {
        assert!(SystemTime::now() < deadline, "the new certificate was never served");
    }
    assert!(shake_hands(program.callbacks, &old, b"h2").await.is_err());
}

#[test]
fn connections_over_the_cap_wait_at_the_door_and_are_served_in_their_turn() {
    let program = Home::new("limits: { connections: 2 }\n").start();
    let request = [
        format!("POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", EVENT.len())
            .as_bytes(),
        EVENT,
    ]
    .concat();
    let mut served: Vec<_> = (0..2).map(|_| connect(program.callbacks)).collect();
    for stream in &mut served {
        stream.write_all(&request).unwrap();
        assert_eq!(reply(stream).unwrap().status, 200);
    }
    let mut waiting = connect(program.callbacks);
    waiting.write_all(&request).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(reply(&mut waiting).is_none(), "a third was served beside two");
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(served.pop());
    assert_eq!(reply(&mut waiting).unwrap().status, 200);
}

#[test]
fn a_token_is_exchanged_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "old-one\n").unwrap();
    let yaml = format!(
        "applications: {{ default: {{ callback: {{ token: {{ file: {token:?} }} }} }} }}\n"
    );
    let program = Home::new(&yaml).start();
    let post = |token: &str| program.post(&format!("{PATH}?token={token}"), EVENT).status;
    assert_eq!((post("old-one"), post("the-new-one")), (200, 401));
    fs::write(&token, "the-new-one\n").unwrap();
    let deadline = SystemTime::now() + PATIENCE;
    while post("the-new-one") != 200 {
        assert!(SystemTime::now() < deadline, "the new token was never read");
        thread::yield_now();
    }
    assert_eq!(post("old-one"), 401);
}
