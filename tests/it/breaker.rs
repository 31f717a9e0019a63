use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vodbridge::delivery::Outcome;

use crate::support::{Answer, Bridge, PUBLISH_TIMEOUT, Setup, event, of_type, soon, topic};

fn missing(id: &str) -> vodbridge_core::Event {
    of_type(id, "Missing")
}

/// Waits until a topic takes nothing.
async fn until_shut(bridge: &Bridge, event_type: &str) {
    soon(async {
        while bridge.targets[0].shut_topics() != [topic(event_type)] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Callers do not notice that a connection broke and is back.
#[tokio::test(start_paused = true)]
async fn what_fails_together_with_its_connection_is_tried_again_by_itself() {
    let bridge = Bridge::to(1);
    let mut receipts = Vec::new();
    for n in 0..100 {
        let id = n.to_string();
        bridge.connector().first(&id, &[Answer::Outage]);
        receipts.push(bridge.send(event(&id)).await);
    }
    for receipt in receipts {
        assert_eq!(soon(receipt.outcome()).await, Outcome::Delivered);
    }
    assert!(bridge.targets[0].shut_topics().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_nobody_created_starves_nobody() {
    let bridge = Setup { room_events: 4, ..Setup::default() }.build();
    bridge.connector().on_topic(&topic("Missing"), Answer::Topology);
    let mut waiting = Vec::new();
    for n in 0..100 {
        waiting.push(bridge.send(missing(&format!("missing {n}"))).await);
        assert_eq!(bridge.outcome(event(&n.to_string())).await, Outcome::Delivered);
    }
    assert_eq!(bridge.in_flight(), 1, "one event probes, the others are given back");
}

#[tokio::test(start_paused = true)]
async fn a_missing_topology_shuts_its_topic_at_once_and_an_outage_after_three_failures() {
    // Of failures within a quarter of a second one counts.
    for (answer, attempts, after) in [
        (Answer::Topology, 1..2, Duration::ZERO..Duration::from_millis(10)),
        (Answer::Outage, 3..8, Duration::from_millis(500)..Duration::from_secs(2)),
    ] {
        let bridge = Bridge::to(1);
        bridge.connector().on_topic(&topic("Missing"), answer);
        let began = Instant::now();
        let first = bridge.send(missing("a")).await;
        until_shut(&bridge, "Missing").await;
        assert!(after.contains(&began.elapsed()), "{answer:?} after {:?}", began.elapsed());
        let made = bridge.connector().attempts("a");
        assert!(attempts.contains(&made), "{answer:?} after {made}");
        let began = Instant::now();
        assert_eq!(bridge.outcome(missing("b")).await, Outcome::Deferred, "{answer:?}");
        assert_eq!(began.elapsed(), Duration::ZERO, "{answer:?}");
        assert_eq!(bridge.connector().attempts("b"), 0, "{answer:?}");
        drop(first);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_nothing_of_the_topic() {
    let bridge = Bridge::to(1);
    for (n, id) in ["a", "b", "c"].into_iter().enumerate() {
        assert!(bridge.targets[0].shut_topics().is_empty(), "{n} failures are not three");
        bridge.connector().first(id, &[Answer::Outage, Answer::Refused]);
        assert_eq!(bridge.outcome(event(id)).await, Outcome::Rejected);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(bridge.targets[0].shut_topics(), [topic("NewFileUpload")], "the third");
}

#[tokio::test(start_paused = true)]
async fn the_waiting_event_probes_at_most_every_five_seconds_until_the_topic_is_well() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Outage);
    let receipt = bridge.send(event("a")).await;
    let mut last = Instant::now();
    for n in 1..=30 {
        soon(bridge.connector().begun(n)).await;
        let waited = last.elapsed();
        assert!(waited <= Duration::from_millis(5005), "probe {n} came after {waited:?}");
        assert!(n < 15 || waited >= Duration::from_millis(2500), "probe {n} after {waited:?}");
        last = Instant::now();
    }
    bridge.connector().usually(Answer::Taken);
    assert_eq!(soon(receipt.outcome()).await, Outcome::Delivered);
    assert!(bridge.targets[0].shut_topics().is_empty());
    assert_eq!(bridge.outcome(event("b")).await, Outcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn many_failures_at_once_do_not_put_the_probe_off() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Hangs);
    let mut receipts = Vec::new();
    for n in 0..200 {
        receipts.push(bridge.send(event(&n.to_string())).await);
    }
    soon(bridge.connector().begun(200)).await;
    bridge.connector().usually(Answer::Taken);
    tokio::time::advance(PUBLISH_TIMEOUT).await;
    let began = Instant::now();
    soon(bridge.connector().begun(201)).await;
    assert!(began.elapsed() <= Duration::from_millis(200), "probed after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn when_nobody_waits_a_check_finds_the_topic_well_again() {
    let bridge = Bridge::to(1);
    let stop = CancellationToken::new();
    bridge.tracker.spawn(Arc::clone(&bridge.targets[0]).probe(stop.clone()));
    bridge.connector().on_topic(&topic("Missing"), Answer::Topology);
    bridge.connector().has_topic(&topic("Missing"), false);
    let receipt = bridge.send(missing("a")).await;
    soon(bridge.connector().begun(2)).await;
    assert_eq!(bridge.connector().checks(), 0, "an event waits, and probes by itself");
    drop(receipt);

    soon(bridge.connector().checked(10)).await;
    let tenth = Instant::now();
    soon(bridge.connector().checked(11)).await;
    let waited = tenth.elapsed();
    assert!(waited >= Duration::from_millis(2500) && waited <= Duration::from_millis(5005));
    assert_eq!(bridge.targets[0].shut_topics(), [topic("Missing")]);

    bridge.connector().has_topic(&topic("Missing"), true);
    bridge.connector().on_topic(&topic("Missing"), Answer::Taken);
    soon(bridge.connector().checked(12)).await;
    tokio::task::yield_now().await;
    assert!(bridge.targets[0].shut_topics().is_empty());
    assert_eq!(bridge.outcome(missing("b")).await, Outcome::Delivered);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bridge.connector().checks(), 12, "what is well is not probed");
    stop.cancel();
    bridge.rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_only_looks_well_is_shut_again_at_once() {
    let bridge = Bridge::to(1);
    let stop = CancellationToken::new();
    bridge.tracker.spawn(Arc::clone(&bridge.targets[0]).probe(stop.clone()));
    bridge.connector().usually(Answer::Outage);
    let receipt = bridge.send(event("a")).await;
    until_shut(&bridge, "NewFileUpload").await;
    drop(receipt);
    soon(bridge.connector().checked(1)).await;
    tokio::task::yield_now().await;
    assert!(bridge.targets[0].shut_topics().is_empty());
    let receipt = bridge.send(event("b")).await;
    until_shut(&bridge, "NewFileUpload").await;
    assert_eq!(bridge.connector().attempts("b"), 1);
    drop(receipt);
    stop.cancel();
    bridge.rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_does_not_end_the_probing() {
    let bridge = Bridge::to(1);
    let stop = CancellationToken::new();
    bridge.tracker.spawn(Arc::clone(&bridge.targets[0]).probe(stop.clone()));
    bridge.connector().check_panics(true);
    bridge.connector().first("a", &[Answer::Topology]);
    let receipt = bridge.send(event("a")).await;
    soon(bridge.connector().begun(1)).await;
    drop(receipt);
    soon(bridge.connector().checked(3)).await;
    bridge.connector().check_panics(false);
    soon(bridge.connector().checked(4)).await;
    tokio::task::yield_now().await;
    assert!(bridge.targets[0].shut_topics().is_empty());
    stop.cancel();
    bridge.rest().await;
}

#[tokio::test(start_paused = true)]
async fn probing_ends_when_told() {
    let bridge = Bridge::to(1);
    let stop = CancellationToken::new();
    bridge.tracker.spawn(Arc::clone(&bridge.targets[0]).probe(stop.clone()));
    tokio::task::yield_now().await;
    stop.cancel();
    bridge.rest().await;
}
