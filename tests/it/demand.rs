use std::time::Duration;

use vodbridge::delivery::Outcome;
use vodbridge_core::{Fault, Survives};

use crate::support::{Bridge, Setup, event, soon, topic};

fn demanding() -> Bridge {
    Setup { require: vec![Fault::Machine], ..Setup::default() }.build()
}

#[tokio::test(start_paused = true)]
async fn below_what_is_required_nothing_is_published_until_it_is_met() {
    let bridge = demanding();
    bridge.connector().survives_machine(Survives::No);
    let receipt = bridge.send(event("a")).await;
    soon(bridge.connector().checked(2)).await;
    assert_eq!(bridge.targets[0].shut_topics(), [topic("NewFileUpload")]);
    assert_eq!(bridge.outcome(event("b")).await, Outcome::Deferred);
    bridge.connector().survives_machine(Survives::Unknown);
    let before = bridge.connector().checks();
    soon(bridge.connector().checked(before + 2)).await;
    assert_eq!(bridge.connector().attempts("a"), 0, "unknown is as little as no");

    bridge.connector().survives_machine(Survives::Yes);
    assert_eq!(soon(receipt.outcome()).await, Outcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_made_before_it_is_read_and_read_once() {
    let bridge = demanding();
    for id in ["a", "b", "c"] {
        assert_eq!(bridge.outcome(event(id)).await, Outcome::Delivered);
    }
    assert_eq!(bridge.connector().provided(), [topic("NewFileUpload")]);
    assert_eq!(bridge.connector().checks(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_many_events_wait_for_is_read_once() {
    let bridge = demanding();
    let mut waiting = Vec::new();
    for n in 0..100 {
        waiting.push(bridge.send(event(&n.to_string())).await);
    }
    for receipt in waiting {
        assert_eq!(soon(receipt.outcome()).await, Outcome::Delivered);
    }
    assert_eq!((bridge.connector().provided().len(), bridge.connector().checks()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_shrinks_while_it_runs_takes_no_further_event() {
    let bridge = demanding();
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    bridge.connector().survives_machine(Survives::No);
    // What the bridge asks every minute.
    let read = bridge.targets[0].check(&[topic("NewFileUpload")]).await.unwrap();
    assert!(read[0].fit.is_err());
    let waiting = bridge.send(event("b")).await;
    assert_eq!(bridge.outcome(event("c")).await, Outcome::Deferred);
    assert_eq!(bridge.connector().attempts("b") + bridge.connector().attempts("c"), 0);
    drop(waiting);
}

#[tokio::test(start_paused = true)]
async fn an_old_reading_is_read_again() {
    let bridge = demanding();
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    tokio::time::advance(Duration::from_secs(600)).await;
    bridge.connector().survives_machine(Survives::No);
    let waiting = bridge.send(event("b")).await;
    soon(bridge.connector().checked(2)).await;
    assert_eq!(bridge.connector().attempts("b"), 0);
    drop(waiting);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_required_nothing_is_read() {
    let bridge = Bridge::to(1);
    bridge.connector().survives_machine(Survives::No);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connector().checks(), 0);
}
