use std::time::Duration;

use tokio::time::Instant;
use vodbridge::delivery::Outcome;
use vodbridge::outlet::Admitted;

use crate::support::{Answer, Bridge, Log, PUBLISH_TIMEOUT, event, soon};

#[tokio::test(start_paused = true)]
async fn an_event_is_delivered_once_its_connector_has_it() {
    let bridge = Bridge::to(1);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connector().taken("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_while_somebody_waits() {
    let bridge = Bridge::to(1);
    bridge.connector().first("a", &[Answer::Outage; 20]);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connector().attempts("a"), 21);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_given_up() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Outage);
    let receipt = bridge.send(event("a")).await;
    soon(bridge.connector().begun(2)).await;
    drop(receipt);
    bridge.rest().await;
    assert_eq!(bridge.connector().attempts("a"), 2);
    assert_eq!(bridge.scrape().settled("deferred"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_holds_its_room_for_no_back_off() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Outage);
    for attempts in [2, 20] {
        let receipt = bridge.send(event("a")).await;
        soon(bridge.connector().begun(attempts)).await;
        tokio::task::yield_now().await;
        let began = Instant::now();
        drop(receipt);
        bridge.rest().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "after {attempts} attempts");
    }
}

#[tokio::test(start_paused = true)]
async fn no_first_attempt_begins_for_nobody() {
    let bridge = Bridge::to(2);
    let Admitted::New(departure, receipt) = bridge.offer(event("a")) else { panic!("it is new") };
    drop(receipt);
    departure.depart().await;
    bridge.rest().await;
    assert_eq!(bridge.connectors[0].attempts("a") + bridge.connectors[1].attempts("a"), 0);
    assert_eq!(bridge.scrape().settled("deferred"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_under_way_is_awaited_when_nobody_waits() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::TakenAfter(PUBLISH_TIMEOUT - Duration::from_secs(1)));
    let receipt = bridge.send(event("a")).await;
    soon(bridge.connector().begun(1)).await;
    drop(receipt);
    bridge.rest().await;
    assert_eq!(bridge.connector().taken("a"), 1);
    assert_eq!(bridge.scrape().settled("delivered"), 1);
}

#[tokio::test(start_paused = true)]
async fn until_an_attempt_under_way_ends_the_same_event_joins_it() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::TakenAfter(Duration::from_secs(10)));
    let lead = bridge.send(event("a")).await;
    soon(bridge.connector().begun(1)).await;
    drop(lead);
    let Admitted::Joined(receipt, _) = bridge.offer(event("a")) else { panic!("it is under way") };
    assert_eq!(soon(receipt.outcome()).await, Outcome::Delivered);
    assert_eq!(bridge.connector().attempts("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn who_joins_keeps_a_delivery_going_that_was_abandoned() {
    let bridge = Bridge::to(1);
    bridge.connector().first("a", &[Answer::Hangs]);
    let lead = bridge.send(event("a")).await;
    soon(bridge.connector().begun(1)).await;
    drop(lead);
    let Admitted::Joined(receipt, _) = bridge.offer(event("a")) else { panic!("it is under way") };
    assert_eq!(soon(receipt.outcome()).await, Outcome::Delivered);
    assert_eq!(bridge.connector().attempts("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_never_answers_holds_a_delivery_for_its_publish_timeout() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Hangs);
    let receipt = bridge.send(event("a")).await;
    soon(bridge.connector().begun(1)).await;
    let began = Instant::now();
    drop(receipt);
    bridge.rest().await;
    let held = began.elapsed();
    assert!(held >= PUBLISH_TIMEOUT, "given up after {held:?}");
    assert!(held < PUBLISH_TIMEOUT + Duration::from_secs(1), "held for {held:?}");
    assert_eq!(bridge.connector().attempts("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_defers_and_is_seen() {
    let log = Log::capture();
    let bridge = Bridge::to(1);
    bridge.connector().first("a", &[Answer::Panics]);
    let receipt = bridge.send(event("a")).await;
    assert_eq!(soon(receipt.outcome()).await, Outcome::Deferred);
    assert!(receipt.panicked());
    assert!(log.says(&["ERROR", "panicked", "event=\"a\"", "scripted panic"]));
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_panic_outside_of_every_leg_defers_and_is_seen() {
    let log = Log::capture();
    let bridge = Bridge::to(1);
    bridge.letter_box.first("a", &[Answer::Panics]);
    let Admitted::New(departure, receipt) = bridge.offer_unrecognized(event("a")) else {
        panic!("it is new")
    };
    departure.depart().await;
    assert_eq!(soon(receipt.outcome()).await, Outcome::Deferred);
    assert!(receipt.panicked());
    assert!(log.says(&["ERROR", "a delivery panicked", "event=\"a\"", "scripted panic"]));
    assert_eq!(bridge.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_departure_that_is_dropped_defers_and_who_joined_learns_it() {
    let bridge = Bridge::to(1);
    let Admitted::New(departure, lead) = bridge.offer(event("a")) else { panic!("it is new") };
    let Admitted::Joined(joined, _) = bridge.offer(event("a")) else { panic!("it is under way") };
    drop(departure);
    assert_eq!(soon(lead.outcome()).await, Outcome::Deferred);
    assert_eq!(soon(joined.outcome()).await, Outcome::Deferred);
    assert!(!lead.panicked());
    assert_eq!(bridge.scrape().settled("deferred"), 2);
    assert_eq!(bridge.connector().attempts("a"), 0);
}
