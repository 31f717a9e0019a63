//! What STREAM.INFO and the monitoring address say, row by row of what one machine can set up.

use brokers::{Nats, NatsSettings, Port};
use vodbridge_core::Connector as _;
use vodbridge_core::Survives::{self, No, Unknown, Yes};
use vodbridge_core::{Durability, Provenance};
use vodbridge_nats::Config;

use crate::support::{check, config, connector, jetstream, publish, stream};

fn survives(durability: &Durability) -> [Survives; 4] {
    durability.answers().map(|(_, answer)| answer.survives)
}

async fn durability(config: Config) -> Durability {
    let connector = connector(config);
    publish(&connector, "asked").await.expect("it is well");
    let durability = check(&connector).await.expect("it is well");
    connector.close().await;
    durability
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_survives_a_kill_and_a_power_cut_only_if_it_is_flushed() {
    let nats = Nats::start(NatsSettings::default()).await;
    let monitored =
        Config { monitoring_url: Some(nats.monitoring_url()), ..config(vec![nats.url()]) };
    let default = durability(monitored.clone()).await;
    assert_eq!(survives(&default), [Yes, No, No, No]);
    assert_eq!(default.process.provenance, Provenance::Broker);
    assert_eq!(default.machine.provenance, Provenance::Monitoring);
    let remedy = default.machine.remedy.unwrap();
    assert!(remedy.contains("sync_interval: always"), "{remedy}");
    assert!(default.node.remedy.unwrap().contains("--replicas 3"));

    // Nobody tells: two minutes are assumed.
    let assumed = durability(config(vec![nats.url()])).await;
    assert_eq!(survives(&assumed), [Yes, No, No, No]);
    assert_eq!(assumed.machine.provenance, Provenance::Assumed);

    // It would be told, and cannot be read: neither fine nor missing.
    let port = Port::take();
    let url = format!("http://{}", port.address());
    let denied = durability(Config { monitoring_url: Some(url), ..monitored }).await;
    assert_eq!(survives(&denied), [Yes, Unknown, No, Unknown]);
    assert_eq!(denied.machine.provenance, Provenance::NotVisible);

    let always = Nats::start(NatsSettings { sync_always: true, ..NatsSettings::default() }).await;
    let monitoring_url = Some(always.monitoring_url());
    let flushed = durability(Config { monitoring_url, ..config(vec![always.url()]) }).await;
    assert_eq!(survives(&flushed), [Yes, Yes, No, Yes]);
    assert_eq!(flushed.machine.provenance, Provenance::Monitoring);
    assert_eq!(flushed.all.provenance, Provenance::Monitoring);
}

/// The convention of the documentation, believed and marked as such.
#[tokio::test(flavor = "multi_thread")]
async fn a_placement_tag_raises_what_is_assumed() {
    let extra = "server_tags: [\"sync:always\"]".to_owned();
    let settings = NatsSettings { sync_always: true, extra };
    let nats = Nats::start(settings).await;
    let mut tagged = stream("VOD", &["vod.>"]);
    tagged.placement = Some(async_nats::jetstream::stream::Placement {
        cluster: None,
        tags: vec!["sync:always".to_owned()],
    });
    jetstream(&nats.url()).await.create_stream(tagged).await.unwrap();
    let durability = durability(config(vec![nats.url()])).await;
    assert_eq!(survives(&durability), [Yes, Yes, No, Yes]);
    assert_eq!(durability.all.provenance, Provenance::Assumed);
}
