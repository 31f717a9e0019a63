//! Certificates, good and bad.

use brokers::{Nats, NatsCertificates, NatsSettings};
use vodbridge_core::Connector as _;
use vodbridge_core::{Cause, Identity, Tls};
use vodbridge_nats::Config;

use crate::support::{check, config, connector, publish, unavailable};

async fn server(certificates: &NatsCertificates, name: &str, extra: &str) -> Nats {
    let extra = certificates.block(name, extra);
    Nats::start(NatsSettings { extra, ..NatsSettings::default() }).await
}

fn with(nats: &Nats, certificates: &NatsCertificates) -> Config {
    let tls = Tls { ca_file: Some(certificates.file("ca.pem")), identity: None };
    Config { tls: Some(tls), ..config(vec![nats.url()]) }
}

fn identity(certificates: &NatsCertificates) -> Identity {
    Identity {
        cert_file: certificates.file("client.pem"),
        key_file: certificates.file("client.key"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_by_our_authority_is_spoken_also_first_and_both_ways() {
    let certificates = NatsCertificates::make();
    let nats = server(&certificates, "server", "").await;
    let plain = connector(with(&nats, &certificates));
    publish(&plain, "tls").await.unwrap();
    plain.close().await;

    let nats = server(&certificates, "server", "handshake_first: true").await;
    let first = connector(Config { tls_first: true, ..with(&nats, &certificates) });
    publish(&first, "first").await.unwrap();
    first.close().await;

    let nats = server(&certificates, "server", "verify: true").await;
    let mut both = with(&nats, &certificates);
    let without = connector(both.clone());
    let (text, advice) = unavailable(publish(&without, "mutual").await, Cause::Outage);
    assert!(!advice.is_empty(), "{text}");
    without.close().await;
    both.tls.as_mut().unwrap().identity = Some(identity(&certificates));
    let both = connector(both);
    publish(&both, "mutual").await.unwrap();
    both.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_is_told_by_what_is_bad_about_it() {
    let certificates = NatsCertificates::make();
    for (name, word) in [("stranger", "not valid for name"), ("expired", "expired")] {
        let nats = server(&certificates, name, "").await;
        let connector = connector(with(&nats, &certificates));
        let (text, advice) = unavailable(publish(&connector, name).await, Cause::Outage);
        assert!(text.contains("no TLS") && text.contains(word), "{text}");
        assert!(advice.contains("certificate"), "{advice}");
        check(&connector).await.unwrap_err();
        connector.close().await;
    }
    // Signed by an authority that is none of ours; and by ours where the system's are asked.
    let nats = server(&certificates, "server", "").await;
    let others = NatsCertificates::make();
    for tls in [Tls { ca_file: Some(others.file("ca.pem")), identity: None }, Tls::default()] {
        let connector = connector(Config { tls: Some(tls), ..config(vec![nats.url()]) });
        let (text, _) = unavailable(publish(&connector, "unknown").await, Cause::Outage);
        assert!(text.contains("invalid peer certificate"), "{text}");
        connector.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_read_are_named() {
    let certificates = NatsCertificates::make();
    let nats = server(&certificates, "server", "").await;
    let good = with(&nats, &certificates);
    let (nothing, no_pem) = (certificates.file("nothing.pem"), certificates.file("no.pem"));
    std::fs::write(&no_pem, "hunter2").unwrap();
    let identity = identity(&certificates);
    let tls = |ca_file, identity| Tls { ca_file: Some(ca_file), identity };
    let ca = certificates.file("ca.pem");
    for (tls, word) in [
        (tls(nothing.clone(), None), "`ca_file`"),
        (tls(no_pem.clone(), None), "no certificate is in it"),
        (tls(ca.clone(), Some(Identity { cert_file: nothing, ..identity.clone() })), "`cert_file`"),
        (tls(ca, Some(Identity { key_file: no_pem, ..identity })), "no private key is in it"),
    ] {
        let connector = connector(Config { tls: Some(tls), ..good.clone() });
        let (text, advice) = unavailable(publish(&connector, "file").await, Cause::Outage);
        assert!(text.contains(word), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!advice.is_empty());
        connector.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_not_spoken_to_in_the_clear() {
    let certificates = NatsCertificates::make();
    let nats = Nats::start(NatsSettings::default()).await;
    for tls_first in [false, true] {
        let connector = connector(Config { tls_first, ..with(&nats, &certificates) });
        unavailable(publish(&connector, "clear").await, Cause::Outage);
        connector.close().await;
    }
}
