//! What answers at the address is no RabbitMQ, or none that may be believed.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use vodbridge_conformance::{event, publish_all, topic};
use vodbridge_core::{Connector as _, PublishError, Tls};
use vodbridge_rabbitmq::{Config, Connector};

use crate::certificates::{Certificates, Signed};
use crate::logins::refused;
use crate::support::{config, install_crypto};

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_listens_the_address_is_told() {
    let port = brokers::Port::take();
    let why = refused(config(&format!("amqp://{}", port.address()), "nobody")).await;
    assert!(why.message.contains(&port.address()), "{why}");
    assert!(why.source.is_some(), "the system's own words are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_never_answers_is_given_up_with_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    let publish_timeout = Duration::from_secs(2);
    let connector = Connector::new(Config { publish_timeout, ..config(&url, "silent") }).unwrap();
    let began = Instant::now();
    let events: Vec<_> = (0..50).map(|n| event(&format!("silent-{n}"), 10)).collect();
    let (mut stream, _) = listener.accept().await.unwrap();
    for answer in publish_all(&connector, &events, &topic()).await {
        assert!(matches!(answer, Err(PublishError::Unavailable(_))), "{answer:?}");
    }
    assert!(began.elapsed() < publish_timeout + Duration::from_millis(500));
    connector.check(&[]).await.expect_err("nothing was ever said");
    // The end of the stream: the client library would keep it open for ever.
    let mut header = Vec::new();
    timeout(Duration::from_secs(20), stream.read_to_end(&mut header)).await.unwrap().unwrap();
    assert_eq!(header, b"AMQP\x00\x00\x09\x01");
    let why = timeout(Duration::from_secs(20), async {
        loop {
            let why = connector.check(&[]).await.expect_err("nothing was ever said");
            if why.message.contains("does not answer within") {
                break why;
            }
        }
    });
    assert!(why.await.unwrap().advice.is_some());
    connector.close().await;
}

/// Less than the handshake may take, so that it is not its own limit that ends it.
const LET_GO_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_ends_with_the_connector_closed_or_dropped() {
    for is_closed in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("amqp://{}", listener.local_addr().unwrap());
        let connector = Connector::new(config(&url, "handshake")).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut header = [0; 8];
        stream.read_exact(&mut header).await.unwrap();
        if is_closed {
            timeout(LET_GO_WITHIN, connector.close()).await.unwrap();
        } else {
            drop(connector);
        }
        let end = timeout(LET_GO_WITHIN, stream.read_to_end(&mut Vec::new())).await;
        end.expect("the socket is cut").ok();
        let again = timeout(Duration::from_millis(500), listener.accept()).await;
        again.expect_err("nobody connects any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connector_looks_for_its_broker_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    let connector = Connector::new(config(&url, "dropped")).unwrap();
    for _ in 0..2 {
        drop(listener.accept().await.unwrap());
    }
    drop(connector);
    let mut attempts = 0;
    let counting = async {
        while listener.accept().await.is_ok() {
            attempts += 1;
        }
    };
    // Time for several attempts: the waits between them begin with 50 ms.
    timeout(Duration::from_secs(2), counting).await.expect_err("it listens on");
    assert!(attempts <= 1, "{attempts}: one may have been under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_something_else_is_no_rabbitmq() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqp://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    let why = refused(config(&url, "http")).await;
    assert!(why.message.contains("cannot connect to amqp://"), "{why:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_cannot_be_believed_are_told_apart() {
    install_crypto();
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    for (signed, words) in [
        (ours.sign("elsewhere.example", false), "not valid for name"),
        (ours.sign("localhost", true), "expired"),
        (theirs.sign("localhost", false), "UnknownIssuer"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_tls(listener, signed));
        let url = format!("amqps://localhost:{port}");
        let why = refused(Config { tls: Some(ours.tls(None)), ..config(&url, "tls") }).await;
        let whole = format!("{why}: {}", why.source.as_ref().unwrap());
        assert!(whole.contains(words), "{whole}");
        assert!(why.advice.unwrap().contains("tls.ca_file"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (file, words) in [(folder.path().join("gone.pem"), "cannot be read"), (empty, "holds no")] {
        let tls = Some(Tls { ca_file: Some(file.clone()), identity: None });
        let why = refused(Config { tls, ..config("amqps://localhost:1", "files") }).await;
        assert!(why.message.contains(words), "{why}");
        assert!(why.message.contains(file.to_str().unwrap()), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_no_broker_could_repair_are_errors_at_once() {
    let good = config("amqp://localhost:1", "settings");
    for wrong in [
        Config { urls: Vec::new(), ..good.clone() },
        Config { urls: vec!["rabbit:5672".to_owned()], ..good.clone() },
        Config { urls: vec!["amqp://guest:hunter2@rabbit".to_owned()], ..good.clone() },
        Config { exchange: "x".repeat(256), ..good.clone() },
    ] {
        let why = Connector::new(wrong).unwrap_err().to_string();
        assert!(!why.contains("hunter2"), "{why}");
    }
}

/// A server that gets as far as a handshake goes.
async fn serve_tls(listener: TcpListener, signed: Signed) {
    let Signed { certificate, key } = signed;
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    while let Ok((stream, _)) = listener.accept().await {
        let mut stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        let handshake = move || while tls.complete_io(&mut stream).is_ok_and(|n| n != (0, 0)) {};
        tokio::task::spawn_blocking(handshake).await.unwrap();
    }
}
