//! Users, tokens, keys, permissions.

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brokers::{Nats, NatsSettings};
use nkeys::KeyPair;
use serde_json::json;
use vodbridge_core::Connector as _;
use vodbridge_core::{Cause, Provision, Secret};
use vodbridge_nats::{Auth, Config};

use crate::support::{
    check, config, connector, jetstream_with, publish, read, stream, told, unavailable, until_taken,
};

async fn server(extra: String) -> Nats {
    Nats::start(NatsSettings { extra, ..NatsSettings::default() }).await
}

fn user(name: &str, password: &'static str) -> Auth {
    Auth::User { user: name.to_owned(), password: Secret::fixed(password) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_us_in_and_a_wrong_one_is_told_without_showing_it() {
    let nats = server("authorization { token: s3cr3t }".to_owned()).await;
    let with = |token: &'static str| Config {
        auth: Auth::Token(Secret::fixed(token)),
        ..config(vec![nats.url()])
    };
    let good = connector(with("s3cr3t"));
    publish(&good, "token").await.unwrap();
    good.close().await;
    let bad = connector(with("hunter2"));
    let (text, advice) = unavailable(publish(&bad, "token").await, Cause::Outage);
    assert!(text.contains("does not let us in"), "{text}");
    assert!(!advice.is_empty());
    let all = format!("{text} {advice} {bad:?} {:?}", check(&bad).await);
    assert!(!all.contains("hunter2"), "{all}");
    bad.close().await;
    let nobody = connector(config(vec![nats.url()]));
    unavailable(publish(&nobody, "token").await, Cause::Outage);
    nobody.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey_lets_us_in_and_what_is_none_does_not() {
    let key = KeyPair::new_user();
    let seed = key.seed().unwrap();
    let nats =
        server(format!("authorization {{ users: [ {{ nkey: {} }} ] }}", key.public_key())).await;
    let nkey =
        |seed: String| Config { auth: Auth::Nkey(Secret::fixed(seed)), ..config(vec![nats.url()]) };
    let good = connector(nkey(format!("{seed}\n")));
    publish(&good, "nkey").await.unwrap();
    good.close().await;
    let other = KeyPair::new_user().seed().unwrap();
    for wrong in [other, "no seed at all".to_owned()] {
        let bad = connector(nkey(wrong.clone()));
        let (text, _) = unavailable(publish(&bad, "nkey").await, Cause::Outage);
        assert!(text.contains("does not let us in"), "{text}");
        assert!(!text.contains(&wrong), "{text}");
        bad.close().await;
    }

    // A file that is no credentials file, and none at all.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridge.creds");
    for contents in [None, Some("hunter2")] {
        if let Some(contents) = contents {
            fs::write(&path, contents).unwrap();
        }
        let auth = Auth::Credentials(path.clone());
        let bad = connector(Config { auth, ..config(vec![nats.url()]) });
        let (text, advice) = unavailable(publish(&bad, "creds").await, Cause::Outage);
        assert!(text.contains("bridge.creds cannot be read"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!advice.is_empty());
        bad.close().await;
    }
}

/// The server says it beside the answer, which never comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_told_at_once_and_by_its_name() {
    let users = r#"authorization { users: [
        { user: operator, password: o }
        { user: reader, password: r, permissions: { publish: ["$JS.API.>"] } }
        { user: blind, password: b, permissions: { publish: ["vod.>"] } }
        { user: deaf, password: d, permissions: { subscribe: ["nothing"] } }
    ] }"#;
    let nats = server(users.to_owned()).await;
    let options = async_nats::ConnectOptions::with_user_and_password("operator".into(), "o".into());
    let operator = jetstream_with(&nats.url(), options).await;
    operator.create_stream(stream("VOD", &["vod.>"])).await.unwrap();
    for (name, password, word) in [
        ("reader", "r", "vod.NewFileUpload"),
        ("blind", "b", "$JS.API.STREAM.INFO.VOD"),
        ("deaf", "d", "_INBOX.>"),
    ] {
        let connector = connector(Config {
            auth: user(name, password),
            topology: Provision::Verify,
            publish_timeout: Duration::from_secs(60),
            ..config(vec![nats.url()])
        });
        // Far below the 60 s of publish_timeout, or `publish` in here fails.
        let (text, advice) = unavailable(publish(&connector, name).await, Cause::Topology);
        assert!(advice.contains(word), "{name}: {text}: {advice}");
        if name != "reader" {
            let why = check(&connector).await.unwrap_err();
            assert!(told(&why).1.contains(word), "{name}: {why:?}");
        }
        connector.close().await;
    }
    assert_eq!(read(&operator, "VOD").await.len(), 0);
}

/// A server that trusts an operator: who we are is a JWT with the seed of its key, in one file.
#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file_lets_us_in() {
    let [operator, user] = [KeyPair::new_operator(), KeyPair::new_user()];
    let [account, system] = [KeyPair::new_account(), KeyPair::new_account()];
    let everything = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1, "disk_storage": -1, "mem_storage": -1, "streams": -1,
        "consumer": -1,
    });
    let trusted = jwt(&operator, &operator, json!({ "type": "operator", "version": 2 }));
    let vod = json!({ "type": "account", "version": 2, "limits": everything });
    let vod = jwt(&operator, &account, vod);
    // The server's own account; events do not go there.
    let own = jwt(&operator, &system, json!({ "type": "account", "version": 2 }));
    let bridge = json!({ "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 });
    let bridge = jwt(&account, &user, bridge);
    let nats = server(format!(
        "operator: {trusted}\nresolver: MEMORY\nsystem_account: {system}\n\
         resolver_preload: {{ {system}: {own}, {}: {vod} }}",
        account.public_key(),
        system = system.public_key(),
    ))
    .await;
    let seed = user.seed().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bridge.creds");
    let connector =
        connector(Config { auth: Auth::Credentials(path.clone()), ..config(vec![nats.url()]) });
    unavailable(publish(&connector, "creds").await, Cause::Outage);
    // It is read again at the next attempt.
    fs::write(
        &path,
        format!(
            "-----BEGIN NATS USER JWT-----\n{bridge}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        ),
    )
    .unwrap();
    until_taken(&connector, "creds").await;
    connector.close().await;
}

/// A JWT of NATS: `issuer` says so about `subject`.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: serde_json::Value) -> String {
    let claims = json!({
        "jti": "test", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
        "sub": subject.public_key(), "nats": nats,
    });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let head = encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let text = format!("{head}.{}", encode(claims.to_string().as_bytes()));
    let signature = issuer.sign(text.as_bytes()).expect("a pair with its seed signs");
    format!("{text}.{}", encode(&signature))
}
