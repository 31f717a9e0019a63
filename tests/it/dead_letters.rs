use vodbridge::delivery::Outcome;
use vodbridge::outlet::Admitted;

use crate::support::{Answer, Bridge, Setup, event, of_type, soon};

#[tokio::test(start_paused = true)]
async fn a_refused_leg_counts_as_having_the_event_once_its_letter_is_acknowledged() {
    let bridge = Bridge::to(2);
    bridge.connectors[0].usually(Answer::Refused);
    bridge.letter_box.first("a", &[Answer::Outage, Answer::Outage, Answer::Outage, Answer::Outage]);
    let receipt = bridge.send(event("a")).await;
    soon(bridge.letter_box.begun(2)).await;
    assert_eq!(bridge.in_flight(), 1, "settled before its letter was acknowledged");
    assert_eq!(soon(receipt.outcome()).await, Outcome::Rejected);
    assert_eq!(bridge.letter_box.taken("a"), 1);
    assert_eq!(bridge.connectors[0].attempts("a"), 1);
    assert_eq!(bridge.scrape().settled("rejected"), 1);
    assert_eq!(bridge.scrape().sum("dead_letters_total", &["reason=\"refused\""]), 1);
}

#[tokio::test(start_paused = true)]
async fn a_letter_says_what_was_wrong_and_carries_all_that_came_in() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Refused);
    bridge.outcome(event("a")).await;
    let letter = bridge.letter_box.all_taken().remove(0);
    let attribute = |name| letter.extension(name).unwrap_or_default();
    assert_eq!(attribute("vodreason"), "refused");
    assert_eq!(attribute("voddetail"), "scripted refusal");
    assert_eq!(attribute("vodconnector"), "c0");
    assert_eq!(attribute("vodtopic"), "vod.NewFileUpload");
    assert_eq!(letter.data, event("a").message);
    assert!(letter.extensions.is_sorted_by(|a, b| a.name < b.name));
}

#[tokio::test(start_paused = true)]
async fn every_refused_leg_has_a_letter_of_its_own() {
    let bridge = Bridge::to(2);
    bridge.connectors[0].usually(Answer::Refused);
    bridge.connectors[1].usually(Answer::Refused);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Rejected);
    let letters = bridge.letter_box.all_taken();
    let mut by: Vec<_> = letters.iter().filter_map(|l| l.extension("vodconnector")).collect();
    by.sort_unstable();
    assert_eq!(by, ["c0", "c1"]);
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_written_once_however_often_the_event_comes_again() {
    let bridge = Bridge::to(2);
    bridge.connectors[0].usually(Answer::Refused);
    for _ in 0..3 {
        bridge.connectors[1].first("a", &[Answer::Panics]);
        assert_eq!(bridge.outcome(event("a")).await, Outcome::Deferred);
    }
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Rejected);
    assert_eq!(bridge.letter_box.taken("a"), 1);
    assert_eq!(bridge.connectors[0].attempts("a"), 1);
    assert_eq!(bridge.connectors[1].taken("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn no_letter_begins_for_nobody() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Refused);
    bridge.letter_box.usually(Answer::Outage);
    let receipt = bridge.send(event("a")).await;
    soon(bridge.letter_box.begun(1)).await;
    drop(receipt);
    bridge.rest().await;
    assert_eq!(bridge.letter_box.attempts("a"), 1);
    assert_eq!(bridge.scrape().settled("deferred"), 1);
    assert_eq!(bridge.scrape().sum("dead_letters_total", &[]), 0);
}

#[tokio::test(start_paused = true)]
async fn what_no_route_matches_goes_to_the_dead_letters() {
    let bridge = Setup { routed: "New*", ..Setup::default() }.build();
    assert_eq!(bridge.outcome(of_type("a", "PullComplete")).await, Outcome::Rejected);
    let letter = bridge.letter_box.all_taken().remove(0);
    assert_eq!(letter.extension("vodreason"), Some("unrouted"));
    assert_eq!(bridge.connector().attempts("a"), 0);
    assert!(bridge.suppresses(of_type("a", "PullComplete")).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_goes_to_the_dead_letters_at_once() {
    let bridge = Bridge::to(1);
    let Admitted::New(departure, receipt) = bridge.offer_unrecognized(event("a")) else {
        panic!("it is new")
    };
    departure.depart().await;
    assert_eq!(soon(receipt.outcome()).await, Outcome::Rejected);
    let letter = bridge.letter_box.all_taken().remove(0);
    assert_eq!(letter.extension("vodreason"), Some("unrecognized"));
    assert_eq!(letter.extension("voddetail"), Some("no JSON"));
    assert_eq!(bridge.connector().attempts("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_its_target_refuses_falls_to_the_journal() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Refused);
    bridge.letter_box.usually(Answer::Refused);
    bridge.journal.first("a", &[Answer::Outage]);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Rejected);
    assert_eq!(bridge.journal.taken("a"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_nobody_takes_rejects_nothing() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Refused);
    bridge.letter_box.usually(Answer::Refused);
    bridge.journal.usually(Answer::Refused);
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Deferred);
}
