use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use vodbridge::delivery::Outcome;
use vodbridge::ingest::callback::Clock;
use vodbridge::outlet::Admitted;
use vodbridge_core::{Extension, Timestamp};

use crate::support::{Answer, Bridge, Setup, event, of_type, soon, topic};

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

const DAY_MILLIS: u64 = 24 * 3600 * 1000;

#[tokio::test(start_paused = true)]
async fn what_is_owed_for_a_day_because_a_topic_is_missing_becomes_a_dead_letter() {
    let now = Arc::new(AtomicU64::new(event("a").time.as_millis()));
    let clock = Arc::clone(&now);
    let setup = Setup {
        clock: Arc::new(move || Timestamp::from_millis(clock.load(Ordering::Relaxed))),
        connectors: 2,
        ..Setup::default()
    };
    let bridge = setup.build();
    let connector = bridge.connector();
    connector.usually(Answer::Topology);
    let waits = bridge.send(event("probe")).await;
    soon(connector.begun(1)).await;
    for (age_millis, missing, outcome) in [
        (DAY_MILLIS - 1, Duration::from_secs(3600), Outcome::Deferred),
        // Old enough, as the spool's clock says, and it has been missing for an hour.
        (DAY_MILLIS, Duration::ZERO, Outcome::Rejected),
    ] {
        tokio::time::advance(missing).await;
        now.store(event("a").time.as_millis() + age_millis, Ordering::Relaxed);
        assert_eq!(bridge.outcome(event("a")).await, outcome, "after {age_millis} ms");
    }
    let letters = bridge.letter_box.all_taken();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].extension("vodreason"), Some("topology"));
    assert_eq!(letters[0].extension("vodconnector"), Some("c0"));
    assert_eq!(bridge.connectors[1].taken("a"), 1, "the other leg has it once");
    drop(waits);
}

#[tokio::test(start_paused = true)]
async fn an_old_event_is_not_given_up_when_a_topic_has_just_gone_missing_nor_in_an_outage() {
    let now = event("a").time.as_millis() + 3 * DAY_MILLIS;
    let clock: Clock = Arc::new(move || Timestamp::from_millis(now));
    let bridge = Setup { clock, ..Setup::default() }.build();
    let connector = bridge.connector();
    connector.usually(Answer::Topology);
    let waits = bridge.send(event("probe")).await;
    soon(connector.begun(1)).await;
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Deferred, "a moment ago");
    connector.usually(Answer::Outage);
    tokio::time::sleep(Duration::from_secs(2 * 24 * 3600)).await;
    assert_eq!(bridge.outcome(event("a")).await, Outcome::Deferred, "the broker is away");
    assert_eq!(bridge.letter_box.all_taken().len(), 0);
    drop(waits);
}

#[tokio::test(start_paused = true)]
async fn a_pulled_event_counts_from_when_the_lack_was_seen() {
    let bridge = Bridge::without_drops();
    let connector = bridge.connector();
    connector.usually(Answer::Topology);
    connector.has_topic(&topic("NewFileUpload"), false);
    let pulled = |id: &str| {
        let mut event = event(id);
        let mode = Extension { name: "vodmode".into(), value: "pull".into() };
        event.extensions.push(mode);
        event
    };
    let waits = bridge.send(pulled("probe")).await;
    tokio::time::sleep(Duration::from_secs(23 * 3600)).await;
    assert_eq!(bridge.outcome(pulled("a")).await, Outcome::Deferred);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(bridge.outcome(pulled("a")).await, Outcome::Rejected);
    // As long as its letter is taken it is of use to pull more.
    let ways = bridge.router.routes().ways("movies", [event("a")].into_iter());
    assert!(bridge.router.could_settle(&ways));
    bridge.letter_box.usually(Answer::Topology);
    let letter_waits = bridge.send(pulled("b")).await;
    soon(bridge.letter_box.begun(2)).await;
    soon(async {
        while bridge.router.could_settle(&ways) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    bridge.letter_box.usually(Answer::Taken);
    assert_eq!(soon(letter_waits.outcome()).await, Outcome::Rejected);
    assert!(bridge.router.could_settle(&ways));
    drop(waits);
}
