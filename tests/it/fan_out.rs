use std::time::Duration;

use vodbridge::delivery::Outcome;
use vodbridge::outlet::Admitted;

use crate::support::{Answer, Bridge, Log, Setup, arrives_as, event, of_type, soon, topic};

/// Best-effort publishes of one connector that may be under way.
const ALSO_EVENTS_MAX: usize = 256;

#[tokio::test(start_paused = true)]
async fn the_ack_waits_for_the_last_connector() {
    let bridge = Bridge::to(3);
    bridge.connectors[1].usually(Answer::TakenAfter(Duration::from_secs(3)));
    let receipt = bridge.send(event("a")).await;
    let early = tokio::time::timeout(Duration::from_millis(2999), receipt.outcome()).await;
    assert!(early.is_err(), "answered before the last connector: {early:?}");
    assert_eq!(soon(receipt.outcome()).await, Outcome::Delivered);
    assert!(bridge.connectors.iter().all(|c| c.taken("a") == 1));
}

#[tokio::test(start_paused = true)]
async fn only_the_connector_that_failed_is_tried_again() {
    let bridge = Bridge::to(3);
    bridge.connectors[1].first("a", &[Answer::Outage, Answer::Topology, Answer::Outage]);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    let attempts = [0, 1, 2].map(|n: usize| bridge.connectors[n].attempts("a"));
    assert_eq!(attempts, [1, 4, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_hide_what_is_still_owed() {
    let bridge = Bridge::to(2);
    bridge.connectors[0].usually(Answer::Refused);
    bridge.connectors[1].usually(Answer::Outage);
    let receipt = bridge.send(event("a")).await;
    soon(bridge.letter_box.begun(1)).await;
    soon(bridge.connectors[1].begun(5)).await;
    assert_eq!(bridge.in_flight(), 1, "settled while a connector owes the event");
    bridge.connectors[1].usually(Answer::Taken);
    assert_eq!(soon(receipt.outcome()).await, Outcome::Rejected);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_leg_abandons_no_other() {
    let bridge = Bridge::to(2);
    bridge.connectors[0].first("a", &[Answer::TakenAfter(Duration::from_secs(5))]);
    bridge.connectors[1].first("a", &[Answer::Panics]);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Deferred);
    assert_eq!(bridge.connectors[0].taken("a"), 1);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connectors[0].attempts("a"), 1);
    assert_eq!(bridge.connectors[1].taken("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_route_is_confirmed_and_counted_and_published_nowhere() {
    let bridge = Bridge::to(2);
    assert_eq!(bridge.outcome(of_type("a", "DroppedByWish")).await, Outcome::Delivered);
    let attempts = [&bridge.connectors[0], &bridge.connectors[1], &bridge.letter_box];
    assert!(attempts.iter().all(|c| c.attempts("a") == 0));
    assert_eq!(bridge.scrape().settled("dropped"), 1);
    assert_eq!(bridge.scrape().settled("delivered"), 0);
}

fn with_also() -> Bridge {
    Setup { connectors: 2, also: vec![1], ..Setup::default() }.build()
}

#[tokio::test(start_paused = true)]
async fn best_effort_never_holds_a_confirmation_back() {
    for answer in [
        Answer::Taken,
        Answer::Outage,
        Answer::Topology,
        Answer::Refused,
        Answer::Hangs,
        Answer::Panics,
    ] {
        let bridge = with_also();
        bridge.connectors[1].usually(answer);
        let began = tokio::time::Instant::now();
        assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
        assert_eq!(began.elapsed(), Duration::ZERO, "{answer:?}");
        bridge.rest().await;
        assert_eq!(bridge.connectors[1].attempts("a"), 1, "{answer:?}: it is tried once");
        assert_eq!(bridge.letter_box.attempts("a"), 0, "{answer:?}: it has no dead letter");
    }
}

#[tokio::test(start_paused = true)]
async fn best_effort_waits_for_the_promise() {
    let bridge = with_also();
    bridge.connectors[0].first("a", &[Answer::Panics]);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Deferred);
    assert_eq!(bridge.connectors[1].attempts("a"), 0);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    bridge.rest().await;
    assert_eq!(bridge.connectors[1].taken("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_best_effort_publish_is_seen() {
    let log = Log::capture();
    let bridge = with_also();
    bridge.connectors[1].usually(Answer::Panics);
    bridge.outcome(event("a")).await;
    bridge.rest().await;
    assert!(log.says(&["ERROR", "best-effort", "connector=\"c1\"", "scripted panic"]));
}

#[tokio::test(start_paused = true)]
async fn best_effort_without_room_is_skipped_and_counted_and_takes_no_room_of_others() {
    let bridge = Setup { connectors: 3, also: vec![1, 2], ..Setup::default() }.build();
    bridge.connectors[1].usually(Answer::Hangs);
    for n in 0..ALSO_EVENTS_MAX + 3 {
        assert_eq!(bridge.outcome(event(&n.to_string())).await, Outcome::Delivered);
        // The healthy one answers within the same turn of the clock.
        soon(bridge.connectors[2].begun(n + 1)).await;
    }
    assert_eq!(bridge.scrape().published("c1", "skipped"), 3);
    assert_eq!(bridge.scrape().published("c2", "skipped"), 0);
    bridge.rest().await;
    assert_eq!(bridge.scrape().published("c1", "unavailable"), 256);
}

#[tokio::test(start_paused = true)]
async fn best_effort_is_bounded_in_bytes() {
    let bridge = with_also();
    bridge.connectors[1].usually(Answer::Hangs);
    for id in ["a", "b", "c"] {
        bridge.outcome(arrives_as(event(id), 8 << 20)).await;
    }
    bridge.rest().await;
    assert_eq!(bridge.connectors[1].attempts("a") + bridge.connectors[1].attempts("b"), 2);
    assert_eq!(bridge.connectors[1].attempts("c"), 0);
    assert_eq!(bridge.scrape().published("c1", "skipped"), 1);
}

#[tokio::test(start_paused = true)]
async fn best_effort_skips_a_topic_that_takes_nothing() {
    let bridge = with_also();
    bridge.connectors[1].on_topic(&topic("Missing"), Answer::Topology);
    for n in 0..5 {
        bridge.outcome(of_type(&n.to_string(), "Missing")).await;
        bridge.rest().await;
    }
    assert_eq!(bridge.connectors[1].attempts_on(&topic("Missing")), 1);
    assert_eq!(bridge.scrape().published("c1", "skipped"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connector_does_not_keep_an_event_from_the_others() {
    let bridge = Bridge::to(2);
    bridge.connectors[0].usually(Answer::Topology);
    let probing = bridge.send(event("first")).await;
    soon(bridge.connectors[0].begun(1)).await;
    let Admitted::New(departure, receipt) = bridge.offer(event("a")) else { panic!("it is new") };
    departure.depart().await;
    assert_eq!(soon(receipt.outcome()).await, Outcome::Deferred);
    assert!(receipt.progress().is_acknowledged(1));
    assert_eq!(bridge.connectors[1].taken("a"), 1);
    drop(probing);
}
