//! Three servers.

use std::time::Duration;

use async_nats::jetstream::stream::StorageType;
use brokers::{NatsCluster, NatsSettings};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use vodbridge_core::Connector as _;
use vodbridge_core::Survives::{No, Yes};
use vodbridge_core::{Provenance, PublishError};
use vodbridge_nats::{Accept, Config};

use crate::support::{check, config, connector, jetstream, publish, read, stream, until_taken};

/// Bounds every wait for a state of the cluster.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// One cluster for all of it: what three replicas survive, and that they do.
#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_survive_what_they_say_they_do() {
    let mut cluster = NatsCluster::start(NatsSettings::default()).await;
    // One address is enough: the server names the others.
    let mut three = config(vec![cluster.urls()[0].clone()]);
    three.stream.replicas = 3;
    three.monitoring_url = Some(cluster.server(0).monitoring_url());
    let connector = connector(three.clone());
    until_taken(&connector, "first").await;
    let durability = until_node(&connector, true).await;
    assert_eq!(durability, [Yes, Yes, Yes, No]);

    let mut acknowledged = 1;
    // The one that we are connected to goes, with whatever it led.
    cluster.server(0).kill();
    until_taken(&connector, "second").await;
    acknowledged += 1;
    let answers = join_all((0..500).map(|n| {
        let id = format!("degraded-{n}");
        let connector = &connector;
        async move { publish(connector, &id).await }
    }))
    .await;
    acknowledged += answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(acknowledged > 400, "only {acknowledged} were taken by two servers of three");

    // Without a majority nothing is acknowledged.
    cluster.server(1).kill();
    let impatient = Config {
        publish_timeout: Duration::from_secs(3),
        servers: vec![cluster.urls()[2].clone()],
        ..three
    };
    let minority = crate::support::connector(impatient);
    let answers = join_all((0..20).map(|n| {
        let id = format!("minority-{n}");
        let connector = &minority;
        async move { publish(connector, &id).await }
    }))
    .await;
    for answer in answers {
        assert!(matches!(answer, Err(PublishError::Unavailable(_))), "{answer:?}");
    }
    minority.close().await;

    cluster.server(0).restart().await;
    cluster.server(1).restart().await;
    until_taken(&connector, "last").await;
    acknowledged += 1;
    let operator = jetstream(&cluster.urls()[0]).await;
    let stored = read(&operator, "VOD").await.len();
    assert!(stored >= acknowledged, "{acknowledged} acknowledged, {stored} there");
    connector.close().await;

    memory_with_replicas(&cluster).await;
}

async fn memory_with_replicas(cluster: &NatsCluster) {
    let operator = jetstream(&cluster.urls()[0]).await;
    let mut memory = stream("MEMORY", &["vod.>"]);
    memory.storage = StorageType::Memory;
    memory.num_replicas = 3;
    // A server that loses its last stream is for a moment unable to make another.
    let mut bystander = stream("BYSTANDER", &["bystander.>"]);
    bystander.num_replicas = 3;
    operator.create_stream(bystander).await.expect("a stream can be made");
    operator.delete_stream("VOD").await.expect("a stream can be deleted");
    operator.create_stream(memory).await.expect("a stream can be made");
    let mut config = config(cluster.urls());
    config.stream.name = "MEMORY".to_owned();
    config.accept = vec![Accept::MemoryStorage];
    let connector = connector(config);
    until_taken(&connector, "remembered").await;
    assert_eq!(until_node(&connector, true).await, [Yes, Yes, Yes, No]);
    let all = check(&connector).await.expect("it is well").all;
    assert_eq!(all.provenance, Provenance::Broker);
    connector.close().await;
}

/// The answers once the loss of a node is (or is not) survived: replicas take a moment to be
/// current.
async fn until_node(
    connector: &vodbridge_nats::Connector,
    survives: bool,
) -> [vodbridge_core::Survives; 4] {
    let settled = async {
        loop {
            if let Ok(durability) = check(connector).await
                && (durability.node.survives == Yes) == survives
            {
                return durability.answers().map(|(_, answer)| answer.survives);
            }
            // There is no event to await: the cluster's state is asked for again.
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SETTLED_WITHIN, settled).await.expect("replicas become current")
}
