//! Certificates, tokens and passwords exchanged while callbacks are under way: none fails, and none
//! that was answered 200 is lost.

/// An authority of our own.
mod authority;

/// Callbacks without end.
mod load;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_nats::jetstream;
use brokers::{Nats, NatsSettings, RabbitMq, RabbitMqOptions, RabbitMqVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::CertificateDer;
use vodsim::callback;

use crate::brokers::{project, python};
use crate::listener::shake_hands;
use crate::program::{Home, PATH, PATIENCE, Program, raw};
use authority::Authority;
use load::Load;

/// How often the bridge looks at files, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < give_up, "{what}: not in time");
        thread::yield_now();
    }
}

/// The head and the body of a callback.
fn request(path: &str, number: u64) -> Vec<u8> {
    let body = callback::body(number);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

fn post(to: SocketAddr, path: &str, number: u64) -> Result<u16, String> {
    raw(to, &request(path, number)).map(|reply| reply.status).ok_or_else(|| "no answer".to_owned())
}

/// The same over TLS on a connection of its own; the certificate that was shown, too.
async fn post_over_tls(
    to: SocketAddr,
    trusted: &CertificateDer<'static>,
    number: u64,
) -> std::io::Result<(u16, CertificateDer<'static>)> {
    let mut stream = shake_hands(to, trusted, b"http/1.1").await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    stream.write_all(&request(PATH, number)).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, shown))
}

/// When a certificate ends, and whether what its file holds can be used.
fn standing(program: &Program, used_by: &str) -> (f64, f64) {
    let metric = |name| program.metric(name, &format!("used_by=\"{used_by}\""));
    (
        metric("vodbridge_certificate_expiry_timestamp_seconds"),
        metric("vodbridge_certificate_usable"),
    )
}

#[test]
fn the_listeners_certificate_is_exchanged_and_a_broken_one_fails_no_request() {
    let authority = Authority::new();
    let (old, new) = (authority.sign("localhost", 2090), authority.sign("localhost", 2091));
    old.write(&authority, "tls");
    let file = |name| authority.file(name);
    let home = Home::new(&format!(
        "HTTP , tls: {{ cert_file: {:?}, key_file: {:?} }}\n",
        file("tls.pem"),
        file("tls.key")
    ));
    let mut program = home.start();
    let (to, trusted) = (program.callbacks, authority.der());
    let runtime = Arc::new(Runtime::new().unwrap());
    let one = {
        let runtime = Arc::clone(&runtime);
        move |number| {
            runtime.block_on(post_over_tls(to, &trusted, number)).map_err(|e| e.to_string())
        }
    };
    let listener = |program: &Program| standing(program, "http.tls.cert_file");
    let load = Load::start({
        let one = one.clone();
        move |number| one(number).map(|(status, _)| status)
    });
    load.go_on();
    assert_eq!(listener(&program), (old.ends, 1.0));
    let shown = |number| one(number).unwrap().1;
    assert_eq!(shown(1_000_000), old.der);

    // Half of the new one, then the new one whole, whose key is not there yet.
    let half = &new.certificate[..new.certificate.len() / 2];
    fs::write(file("tls.pem"), half).unwrap();
    until("the half one was read", || program.saw_line("a certificate cannot be used"));
    assert_eq!(listener(&program), (old.ends, 0.0));
    load.go_on();
    fs::write(file("tls.pem"), &new.certificate).unwrap();
    until("the one without its key was read", || program.saw_line("a certificate cannot be used"));
    // Some more looks at it, which find nothing new to say.
    let looked = Instant::now();
    while looked.elapsed() < 3 * LOOK_EVERY {
        load.go_on();
    }
    assert_eq!(listener(&program), (old.ends, 0.0));
    assert_eq!(shown(1_000_001), old.der);

    fs::write(file("tls.key"), &new.key).unwrap();
    until("the new one is served", || shown(1_000_002) == new.der);
    assert_eq!(listener(&program), (new.ends, 1.0));
    load.go_on();
    let sent = load.end();
    assert_eq!(program.unaccounted(), 0.0);
    let delivered = program.metric("vodbridge_settled_total", "delivered");
    assert!(delivered >= sent as f64, "{delivered} of {sent}");
    program.signal(rustix::process::Signal::TERM);
    let (_, log) = program.end();
    let told = |text: &'static str| {
        log.iter().filter(move |line| line["message"].as_str().unwrap().contains(text))
    };
    let faults: Vec<_> = told("a certificate cannot be used").map(|line| &line["error"]).collect();
    assert_eq!(faults.len(), 2, "each fault once: {faults:#?}");
    assert_eq!(told("a certificate was exchanged").count(), 1);
    assert!(!format!("{log:?}").contains("PRIVATE KEY"));
}

#[test]
fn a_token_is_exchanged_by_way_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let (current, previous) = (folder.path().join("current"), folder.path().join("previous"));
    fs::write(&current, "the-old-one").unwrap();
    fs::write(&previous, "the-old-one").unwrap();
    let home = Home::new(&format!(
        "applications: {{ default: {{ callback: {{ \
         token: [{{ file: {current:?} }}, {{ file: {previous:?} }}] }} }} }}\n"
    ));
    let program = home.start();
    let to = program.callbacks;
    let with = |token: &str, first: u64| {
        let path = format!("{PATH}?token={token}");
        move |number| post(to, &path, first + number)
    };
    let old = Load::start(with("the-old-one", 0));
    old.go_on();
    assert_eq!(with("the-new-one", 0)(0), Ok(401));
    fs::write(&current, "the-new-one").unwrap();
    until("the new one is right", || with("the-new-one", 9_000_000)(0) == Ok(200));
    let new = Load::start(with("the-new-one", 1_000_000));
    new.go_on();
    old.go_on();
    // VOD has the new address now.
    let sent = old.end();
    fs::write(&previous, "the-new-one").unwrap();
    until("the old one is wrong", || with("the-old-one", 9_000_001)(0) == Ok(401));
    new.go_on();
    let sent = sent + new.end();
    assert!(program.metric("vodbridge_settled_total", "delivered") >= sent as f64);
    assert_eq!(program.unaccounted(), 0.0);
}

/// Events that a stream holds; its duplicates are none.
fn held(runtime: &Runtime, options: async_nats::ConnectOptions, url: &str) -> u64 {
    runtime.block_on(async {
        let client = options.connect(url).await.unwrap();
        let stream = jetstream::new(client).get_stream("VOD").await.unwrap();
        stream.cached_info().state.messages
    })
}

/// The topology is made, and events are taken.
fn taken(program: &Program) {
    until("events are taken", || post(program.callbacks, PATH, 9_000_000) == Ok(200));
}

/// The server ended the connection: whoever comes back needs what is valid now.
fn sent_away(program: &Program) {
    until("NATS sent us away", || program.saw_line("the connection to the NATS server ended"));
}

#[test]
fn the_password_for_nats_is_exchanged_whichever_side_is_first() {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let login = |password: &str| NatsSettings {
        extra: format!("authorization {{ user: bridge, password: \"{password}\" }}"),
        ..NatsSettings::default()
    };
    let nats = runtime.block_on(Nats::start(login("first")));
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "first").unwrap();
    let home = Home::new(&format!(
        "connectors: {{ edge: {{ type: nats, servers: [{:?}], user: bridge, \
         password: {{ file: {password:?} }} }} }}\n",
        nats.url()
    ));
    let program = home.start();
    taken(&program);
    let to = program.callbacks;
    let load = Load::start(move |number| post(to, PATH, number));
    load.go_on();
    // The server sends away whoever is logged in with the old one.
    fs::write(&password, "second").unwrap();
    load.go_on();
    nats.configure(&login("second"));
    nats.reload();
    sent_away(&program);
    load.go_on();
    nats.configure(&login("third"));
    nats.reload();
    fs::write(&password, "third").unwrap();
    sent_away(&program);
    load.go_on();
    let sent = load.end();
    let options =
        async_nats::ConnectOptions::with_user_and_password("bridge".into(), "third".into());
    assert_eq!(held(&runtime, options, &nats.url()), sent + 1, "all, each once");
    assert_eq!(program.unaccounted(), 0.0);
}

#[test]
fn a_client_certificate_for_nats_is_exchanged_and_a_broken_one_fails_no_request() {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let authority = Authority::new();
    let file = |name: &str| authority.file(name);
    authority.sign("localhost", 2090).write(&authority, "server");
    let (old, new) = (authority.sign("first.bridge", 2090), authority.sign("second.bridge", 2091));
    old.write(&authority, "client");
    // Whoever shows a certificate is the user of its name.
    let users = |users: &str| NatsSettings {
        extra: format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify_and_map: true }}\n\
             authorization {{ users: [{users}] }}",
            file("server.pem"),
            file("server.key"),
            file("ca.pem"),
        ),
        ..NatsSettings::default()
    };
    let both = "{ user: \"first.bridge\" }, { user: \"second.bridge\" }";
    let nats = runtime.block_on(Nats::start(users(both)));
    let home = Home::new(&format!(
        "connectors: {{ edge: {{ type: nats, servers: [{:?}], tls: {{ ca_file: {:?}, \
         cert_file: {:?}, key_file: {:?} }} }} }}\n",
        nats.url(),
        file("ca.pem"),
        file("client.pem"),
        file("client.key"),
    ));
    let program = home.start();
    taken(&program);
    let to = program.callbacks;
    let load = Load::start(move |number| post(to, PATH, number));
    load.go_on();
    let client = || standing(&program, "connectors.edge.tls.cert_file");
    assert_eq!(client(), (old.ends, 1.0));
    fs::write(file("client.pem"), &new.certificate[..100]).unwrap();
    until("the broken one was seen", || client() == (old.ends, 0.0));
    load.go_on();
    new.write(&authority, "client");
    until("the new one was seen", || client() == (new.ends, 1.0));
    // Who shows the old one is sent away, and cannot come back.
    nats.configure(&users("{ user: \"second.bridge\" }"));
    nats.reload();
    sent_away(&program);
    load.go_on();
    let sent = load.end();
    let options = async_nats::ConnectOptions::new()
        .add_root_certificates(file("ca.pem"))
        .add_client_certificate(file("client.pem"), file("client.key"))
        .require_tls(true);
    assert_eq!(held(&runtime, options, &nats.url()), sent + 1, "all, each once");
    assert_eq!(program.unaccounted(), 0.0);
}

#[test]
fn the_password_for_rabbitmq_is_exchanged() {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let rabbitmq = runtime.block_on(RabbitMq::start(RabbitMqOptions::new(RabbitMqVersion::V3)));
    rabbitmq.ctl(&["add_user", "bridge", "first"]);
    rabbitmq.ctl(&["set_permissions", "bridge", ".*", ".*", ".*"]);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    fs::write(&password, "first\n").unwrap();
    let home = Home::new(&format!(
        "connectors: {{ rabbit: {{ type: rabbitmq, urls: [{:?}], user: bridge, \
         password: {{ file: {password:?} }} }} }}\n",
        rabbitmq.url()
    ));
    let program = home.start();
    taken(&program);
    let to = program.callbacks;
    let load = Load::start(move |number| post(to, PATH, number));
    load.go_on();
    fs::write(&password, "second\n").unwrap();
    rabbitmq.ctl(&["change_password", "bridge", "second"]);
    load.go_on();
    // Whoever comes back has to log in again.
    rabbitmq.ctl(&["close_all_connections", "rotated"]);
    until("RabbitMQ sent us away", || program.saw_line("the connection to RabbitMQ is lost"));
    load.go_on();
    let sent = load.end();
    let address = rabbitmq.url().replace("amqp://", "amqp://guest:guest@");
    let read = python()
        .arg(project("tests/subscribers/read.py"))
        .args(["rabbitmq", &address, "all"])
        .output()
        .unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let text = String::from_utf8(read.stdout).unwrap();
    let files: std::collections::BTreeSet<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|message| message["attributes"]["vodfileid"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = (0..sent).filter(|n| !files.contains(&callback::file_id(*n))).collect();
    assert_eq!(lost, [0; 0], "answered 200 and not there, of {sent}");
    assert_eq!(program.unaccounted(), 0.0);
}
