use brokers::kafka::{Certificates, Flaw, Kafka, Setup};
use vodbridge_core::{Cause, Connector as _, Provenance, Provision, Secret, Tls, Topic};
use vodbridge_kafka::{Config, Connector, Idempotence, Sasl};

use crate::support::{config, eventually, make_topic, publish, unavailable};

const USER: &str = "vodbridge";
const PASSWORD: &str = "correct-horse";

/// What an operator has not permitted is told with the command that permits it; what is denied to
/// be seen is not visible, and neither good nor bad.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_rights_are_told_and_granted_while_running() {
    let certificates = Certificates::make(Flaw::None);
    let setup = Setup {
        users: vec![(USER, PASSWORD)],
        super_users: Some("User:admin"),
        certificates: Some(certificates.clone()),
        ..Setup::default()
    };
    let kafka = Kafka::with(1, setup).await;
    let brokers = kafka.addresses();
    make_topic(&brokers, "vod.locked", 1, &[]).await;
    let config_with = |idempotence, topology| -> Config {
        let mut config = config(kafka.secure_addresses());
        config.sasl =
            Some(Sasl::ScramSha256 { user: USER.to_owned(), password: Secret::fixed(PASSWORD) });
        config.tls = Some(Tls { ca_file: Some(certificates.ca_file()), identity: None });
        (config.idempotence, config.topology) = (idempotence, topology);
        config
    };
    let auto = Connector::new(config_with(Idempotence::Auto, Provision::Verify)).unwrap();
    let topic = Topic::new("vod.locked").unwrap();

    let why = unavailable(publish(&auto, "denied", "vod.locked").await);
    assert_eq!(why.cause, Cause::Topology, "{why:?}");
    assert!(why.advice.as_deref().unwrap().contains("kafka-acls"), "{why:?}");

    let acls = "org.apache.kafka.tools.AclCommand";
    let user = format!("User:{USER}");
    let allow = ["--add", "--allow-principal", &user];
    kafka.tool(acls, &[&allow[..], &["--operation", "Describe", "--topic", "vod.locked"]].concat());
    // Seen, not written to.
    let why = eventually(
        async || unavailable(publish(&auto, "denied", "vod.locked").await),
        |why| why.message.contains("may not write"),
    )
    .await;
    assert_eq!(why.cause, Cause::Topology, "{why:?}");
    // An idempotent producer asks for a right that this user has not either.
    let on = Connector::new(config_with(Idempotence::On, Provision::Verify)).unwrap();
    let why = eventually(
        async || unavailable(publish(&on, "denied", "vod.locked").await),
        |why| why.message.contains("idempotent"),
    )
    .await;
    assert_eq!(why.cause, Cause::Topology, "{why:?}");
    assert!(why.advice.as_deref().unwrap().contains("IdempotentWrite"), "{why:?}");
    on.close().await;

    kafka.tool(acls, &[&allow[..], &["--operation", "Write", "--topic", "vod.locked"]].concat());
    eventually(async || publish(&auto, "granted", "vod.locked").await, |answer| answer.is_ok())
        .await
        .unwrap();
    let durability = auto.check(&[topic]).await.unwrap().remove(0).unwrap();
    assert_eq!(durability.machine.provenance, Provenance::NotVisible);
    assert_eq!(durability.node.provenance, Provenance::Broker);
    auto.close().await;

    // The topic is not there, and this user may not make it.
    kafka.tool(acls, &[&allow[..], &["--operation", "Describe", "--topic", "vod.unmade"]].concat());
    let making = Connector::new(config_with(Idempotence::Auto, Provision::Create)).unwrap();
    let why = eventually(
        async || unavailable(publish(&making, "unmade", "vod.unmade").await),
        |why| why.message.contains("cannot be made"),
    )
    .await;
    assert_eq!(why.cause, Cause::Topology, "{why:?}");
    assert!(why.advice.unwrap().contains("--operation Create"));
    making.close().await;
}
