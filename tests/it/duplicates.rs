use std::time::Duration;

use vodbridge::delivery::Outcome;
use vodbridge::outlet::Admitted;
use vodbridge_core::{ContentDigest, Event};

use crate::support::{Answer, Bridge, Setup, event, known_by_content, soon};

#[tokio::test(start_paused = true)]
async fn fifty_equal_events_at_once_publish_once() {
    let bridge = Bridge::to(2);
    bridge.connectors[1].usually(Answer::TakenAfter(Duration::from_secs(2)));
    let mut receipts = Vec::new();
    for _ in 0..50 {
        receipts.push(bridge.send(event("a")).await);
    }
    for receipt in receipts {
        assert_eq!(soon(receipt.outcome()).await, Outcome::Delivered);
    }
    assert!(bridge.connectors.iter().all(|c| c.attempts("a") == 1));
    let scrape = bridge.scrape();
    assert_eq!((scrape.settled("delivered"), scrape.settled("duplicate")), (1, 49));
}

#[tokio::test(start_paused = true)]
async fn an_equal_event_inside_the_window_is_a_duplicate() {
    let bridge = Setup { window: Duration::from_secs(60), ..Setup::default() }.build();
    bridge.outcome(event("a")).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(bridge.suppresses(event("a")).is_some());
    assert_eq!(bridge.scrape().settled("duplicate"), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connector().taken("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_event_is_a_duplicate_too() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Refused);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Rejected);
    assert!(bridge.suppresses(event("a")).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_deferred_event_is_no_duplicate() {
    let bridge = Bridge::to(1);
    bridge.connector().first("a", &[Answer::Panics]);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Deferred);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_with_other_content_is_published() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::TakenAfter(Duration::from_secs(1)));
    let other = || Event { content: ContentDigest([2; 8]), ..event("a") };
    let first = bridge.send(event("a")).await;
    assert!(matches!(bridge.offer(other()), Admitted::New(..)), "it joined another event");
    assert_eq!(soon(first.outcome()).await, Outcome::Delivered);
    assert_eq!(bridge.outcome(other()).await, Outcome::Delivered);
    assert_eq!(bridge.connector().taken("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_known_by_content_is_suppressed_while_its_twin_is_in_flight() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::TakenAfter(Duration::from_secs(1)));
    let receipt = bridge.send(known_by_content("a")).await;
    assert!(matches!(bridge.offer(known_by_content("a")), Admitted::Joined(..)));
    assert_eq!(soon(receipt.outcome()).await, Outcome::Delivered);
    assert_eq!(bridge.outcome(known_by_content("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connector().taken("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_known_by_content_is_suppressed_once_after_a_repeat_is_expected() {
    let bridge = Bridge::to(1);
    for expected_in_flight in [true, false] {
        let taken = bridge.connector().taken("a");
        let Admitted::New(departure, receipt) = bridge.offer(known_by_content("a")) else {
            panic!("it is new")
        };
        let repeat = departure.repeat();
        if expected_in_flight {
            repeat.expect();
        }
        departure.depart().await;
        soon(receipt.outcome()).await;
        if !expected_in_flight {
            repeat.expect();
        }
        assert!(bridge.suppresses(known_by_content("a")).is_some(), "{expected_in_flight}");
        assert_eq!(bridge.outcome(known_by_content("a")).await, Outcome::Delivered);
        assert_eq!(bridge.connector().taken("a"), taken + 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_what_was_deferred_is_not_suppressed_by_its_settled_twin() {
    let bridge = Bridge::to(1);
    assert_eq!(bridge.outcome(known_by_content("a")).await, Outcome::Delivered);
    let Admitted::New(departure, _) = bridge.offer(known_by_content("a")) else {
        panic!("it may happen again")
    };
    let repeat = departure.repeat();
    drop(departure);
    repeat.expect();
    assert_eq!(bridge.outcome(known_by_content("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connector().taken("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn entries_max_holds_and_the_oldest_go_first() {
    let bridge = Setup { entries_max: 3, ..Setup::default() }.build();
    for id in ["a", "b", "c", "d"] {
        bridge.outcome(event(id)).await;
    }
    for (id, held) in [("b", true), ("c", true), ("d", true), ("a", false)] {
        assert_eq!(bridge.suppresses(event(id)).is_some(), held, "{id}");
    }
}

/// One connector of two has the event, and the delivery is deferred.
async fn half_done(bridge: &Bridge, event: Event) {
    bridge.connectors[1].first(&event.id, &[Answer::Panics]);
    assert_eq!(bridge.outcome(event).await, Outcome::Deferred);
}

#[tokio::test(start_paused = true)]
async fn a_retry_publishes_only_to_legs_that_still_owe() {
    let bridge = Bridge::to(2);
    for _ in 0..3 {
        half_done(&bridge, event("a")).await;
    }
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    let attempts = [0, 1].map(|n: usize| bridge.connectors[n].attempts("a"));
    assert_eq!(attempts, [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn what_legs_have_outlives_plain_duplicates() {
    let bridge = Setup { connectors: 2, entries_max: 4, ..Setup::default() }.build();
    half_done(&bridge, event("a")).await;
    for n in 0..100 {
        bridge.outcome(event(&n.to_string())).await;
    }
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connectors[0].attempts("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn retries_do_not_crowd_out_plain_duplicates() {
    let bridge = Setup { connectors: 2, entries_max: 50, ..Setup::default() }.build();
    bridge.outcome(event("settled")).await;
    // Stays at the old end of the memory while the other is written anew again and again.
    half_done(&bridge, event("old")).await;
    for _ in 0..500 {
        half_done(&bridge, event("a")).await;
    }
    assert!(bridge.suppresses(event("settled")).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_legs_have_survives_a_dropped_departure() {
    let bridge = Bridge::to(2);
    half_done(&bridge, event("a")).await;
    drop(bridge.offer(event("a")));
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connectors[0].attempts("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn legs_do_not_count_for_another_event_of_the_same_content() {
    let bridge = Bridge::to(2);
    half_done(&bridge, known_by_content("a")).await;
    assert_eq!(bridge.outcome(known_by_content("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connectors[0].taken("a"), 2);
}

#[tokio::test(start_paused = true)]
async fn legs_count_for_the_expected_repeat_of_an_event_known_by_content() {
    let bridge = Bridge::to(2);
    bridge.connectors[1].first("a", &[Answer::Panics]);
    let Admitted::New(departure, receipt) = bridge.offer(known_by_content("a")) else {
        panic!("it is new")
    };
    let repeat = departure.repeat();
    departure.depart().await;
    assert_eq!(soon(receipt.outcome()).await, Outcome::Deferred);
    repeat.expect();
    assert_eq!(bridge.outcome(known_by_content("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connectors[0].taken("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_kept_event_goes_on_where_it_was_and_is_never_suppressed() {
    for event in [event("a"), known_by_content("a")] {
        let bridge = Bridge::to(2);
        bridge.connectors[1].first("a", &[Answer::Panics]);
        let receipt = bridge.send(event.clone()).await;
        assert_eq!(soon(receipt.outcome()).await, Outcome::Deferred);
        // Meanwhile the same event comes in by another way and is delivered.
        assert_eq!(bridge.outcome(event.clone()).await, Outcome::Delivered);
        let taken = bridge.connectors[0].taken("a");
        let outcome = bridge.outcome_again(event, receipt.progress()).await;
        assert_eq!(outcome, Outcome::Delivered);
        assert_eq!(bridge.connectors[0].taken("a"), taken);
        assert_eq!(bridge.connectors[1].taken("a"), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_expected_repeat_does_not_come_after_the_window() {
    let bridge =
        Setup { window: Duration::from_secs(60), connectors: 2, ..Setup::default() }.build();
    bridge.connectors[1].first("a", &[Answer::Panics]);
    let Admitted::New(departure, receipt) = bridge.offer(known_by_content("a")) else {
        panic!("it is new")
    };
    departure.repeat().expect();
    departure.depart().await;
    assert_eq!(soon(receipt.outcome()).await, Outcome::Deferred);
    tokio::time::advance(Duration::from_secs(86_400)).await;
    assert_eq!(bridge.outcome(known_by_content("a")).await, Outcome::Delivered);
    assert_eq!(bridge.connectors[0].taken("a"), 2, "a day later it is another event");
}

#[tokio::test(start_paused = true)]
async fn an_expectation_after_a_deferral_is_not_the_stored_twins() {
    let bridge = Bridge::to(1);
    assert_eq!(bridge.outcome(known_by_content("a")).await, Outcome::Delivered);
    bridge.connectors[0].usually(Answer::Panics);
    let Admitted::New(departure, receipt) = bridge.offer(known_by_content("a")) else {
        panic!("it is new")
    };
    let repeat = departure.repeat();
    departure.depart().await;
    assert_eq!(soon(receipt.outcome()).await, Outcome::Deferred);
    repeat.expect();
    bridge.connectors[0].usually(Answer::Taken);
    assert!(matches!(bridge.offer(known_by_content("a")), Admitted::New(..)), "never stored");
}
