//! Files of certificates that are exchanged while a connector lives.

use std::fs;
use std::path::Path;

use brokers::kafka::{Certificates, Flaw, Kafka, Setup};
use vodbridge_core::{Connector as _, Identity, Secret, Tls};
use vodbridge_kafka::{Connector, Sasl};

use crate::support::{config, eventually, publish, unavailable};

const USER: &str = "vodbridge";
const PASSWORD: &str = "correct-horse";

/// Puts files where the connector looks for its own.
fn put(folder: &Path, authority: &Certificates, client: &Certificates) {
    let (certificate, key) = client.client_files();
    fs::copy(authority.ca_file(), folder.join("ca.pem")).unwrap();
    fs::copy(key, folder.join("client.key")).unwrap();
    fs::copy(certificate, folder.join("client.pem")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_no_broker_takes_are_read_again_until_one_does() {
    let (good, stranger) = (Certificates::make(Flaw::None), Certificates::make(Flaw::None));
    let setup = Setup {
        users: vec![(USER, PASSWORD)],
        certificates: Some(good.clone()),
        properties: vec![("listener.name.sasl_ssl.ssl.client.auth", "required".to_owned())],
        ..Setup::default()
    };
    let kafka = Kafka::with(1, setup).await;
    // Whom we believe, and whom they believe.
    for (topic, authority, client) in [("vod.a", &stranger, &good), ("vod.b", &good, &stranger)] {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), authority, client);
        let mut config = config(kafka.secure_addresses());
        config.sasl =
            Some(Sasl::Plain { user: USER.to_owned(), password: Secret::fixed(PASSWORD) });
        config.tls = Some(Tls {
            ca_file: Some(folder.path().join("ca.pem")),
            identity: Some(Identity {
                cert_file: folder.path().join("client.pem"),
                key_file: folder.path().join("client.key"),
            }),
        });
        let connector = Connector::new(config).unwrap();
        unavailable(publish(&connector, "before", topic).await);
        put(folder.path(), &good, &good);
        eventually(async || publish(&connector, "after", topic).await, |answer| answer.is_ok())
            .await
            .unwrap();
        connector.close().await;
    }
}
