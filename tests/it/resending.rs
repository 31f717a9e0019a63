//! What is kept is sent on until it has settled: between fakes, over a real store.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use vodbridge::delivery::Outcome;
use vodbridge_core::Topic;

use crate::support::{
    Answer, Bridge, Fake, Log, Setup, Spooled, event, known_by_content, of_type, topic,
};

fn to(connectors: usize) -> Setup {
    Setup { connectors, ..Setup::default() }
}

#[tokio::test]
async fn an_event_that_was_deferred_is_sent_on_when_its_connector_is_back() {
    let spooled = Spooled::new(to(1));
    let connector = &spooled.bridge.connectors[0];
    connector.usually(Answer::Topology);
    assert_eq!(spooled.outcome(event("a")).await, (Outcome::Deferred, true));
    connector.usually(Answer::Taken);
    spooled.until_settled().await;
    assert_eq!(connector.taken("a"), 1);
}

#[tokio::test]
async fn a_leg_that_has_the_event_does_not_get_it_again_not_even_from_the_next_process() {
    let spooled = Spooled::new(to(2));
    spooled.bridge.connectors[1].usually(Answer::Topology);
    assert_eq!(spooled.outcome(event("a")).await, (Outcome::Deferred, true));
    assert_eq!(spooled.bridge.connectors[0].taken("a"), 1);
    let home = spooled.end(true).await;

    let next = Spooled::over(home, to(2));
    next.until_settled().await;
    assert_eq!(next.bridge.connectors[0].attempts("a"), 0, "it had it");
    assert_eq!(next.bridge.connectors[1].taken("a"), 1);
    let home = next.end(true).await;
    let last = Spooled::over(home, to(2));
    assert_eq!(last.bridge.scrape().sum("recovered_total", &[]), 0);
}

#[tokio::test]
async fn what_a_killed_process_did_not_write_costs_a_duplicate_and_no_event() {
    let spooled = Spooled::new(to(1));
    // Long enough for the rows to be written.
    spooled.bridge.connectors[0].usually(Answer::TakenAfter(Duration::from_millis(300)));
    let under_way: Vec<_> = (0..50).map(|n| spooled.take(event(&n.to_string()))).collect();
    for receipt in under_way {
        assert_eq!((receipt.outcome().await, receipt.is_kept()), (Outcome::Delivered, true));
    }
    let home = spooled.end(false).await;
    let next = Spooled::over(home, to(1));
    next.until_settled().await;
    let again = next.bridge.connectors[0].all_taken().len();
    assert!(again > 0, "some of the rows were still there");
}

#[tokio::test]
async fn an_event_whose_deliveries_panic_five_times_is_a_dead_letter() {
    let spooled = Spooled::new(to(1));
    let connector = &spooled.bridge.connectors[0];
    connector.first("poison", &[Answer::Panics; 9]);
    assert_eq!(spooled.outcome(event("poison")).await, (Outcome::Deferred, true));
    spooled.until_settled().await;
    assert_eq!(connector.attempts("poison"), 5);
    let letters = spooled.bridge.letter_box.all_taken();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].extension("vodreason"), Some("panicked"));
    assert_eq!(spooled.bridge.scrape().sum("settled_total", &[]), 1);
}

#[tokio::test]
async fn what_settles_before_it_is_written_leaves_no_row() {
    let spooled = Spooled::new(to(1));
    for n in 0..200 {
        let receipt = spooled.take(event(&n.to_string()));
        assert_eq!(receipt.outcome().await, Outcome::Delivered);
    }
    // Rows that had been written would be found: what gathers to be taken out is forgotten.
    let home = spooled.end(false).await;
    let next = Spooled::over(home, to(1));
    assert_eq!(next.bridge.scrape().sum("recovered_total", &[]), 0);
    assert_eq!(next.bridge.connectors[0].all_taken().len(), 0);
}

#[tokio::test]
async fn an_event_that_is_deferred_at_once_is_deferred_only_when_it_is_kept() {
    let spooled = Spooled::new(to(1));
    let connector = &spooled.bridge.connectors[0];
    connector.usually(Answer::Topology);
    let _probe = spooled.take(event("probe"));
    connector.begun(1).await;
    for n in 0..100 {
        let receipt = spooled.take(event(&n.to_string()));
        assert_eq!((receipt.outcome().await, receipt.is_kept()), (Outcome::Deferred, true));
    }
    assert_eq!(spooled.bridge.scrape().sum("settled_total", &[]), 0, "none was given back");
    assert_eq!(spooled.bridge.scrape().sum("recovered_total", &[]), 0);
    connector.usually(Answer::Taken);
    spooled.until_settled().await;
}

#[tokio::test]
async fn two_kept_events_of_one_content_are_two_occurrences() {
    let spooled = Spooled::new(to(1));
    let connector = &spooled.bridge.connectors[0];
    connector.usually(Answer::Topology);
    // It waits for the topic to be well, so that the others are given back.
    let probe = spooled.take(event("probe"));
    connector.begun(1).await;
    for _ in 0..2 {
        assert_eq!(spooled.outcome(known_by_content("cast")).await, (Outcome::Deferred, true));
    }
    connector.usually(Answer::TakenAfter(Duration::from_millis(20)));
    spooled.until_settled().await;
    assert_eq!(connector.taken("cast"), 2);
    assert_eq!(probe.outcome().await, Outcome::Delivered);
}

#[tokio::test]
async fn events_for_a_topic_in_trouble_hold_up_no_others() {
    let spooled = Spooled::new(to(1));
    let connector = &spooled.bridge.connectors[0];
    let (shut, open) = (topic("Shut"), topic("Open"));
    connector.on_topic(&shut, Answer::Topology);
    connector.has_topic(&shut, false);
    connector.on_topic(&open, Answer::Topology);
    let probe = spooled.take(of_type("probe", "Shut"));
    connector.begun(1).await;
    for n in 0..600 {
        let (outcome, is_kept) = spooled.outcome(of_type(&format!("shut-{n}"), "Shut")).await;
        assert_eq!((outcome, is_kept), (Outcome::Deferred, true));
    }
    for n in 0..5 {
        spooled.outcome(of_type(&format!("open-{n}"), "Open")).await;
    }
    connector.on_topic(&open, Answer::Taken);
    spooled.until(|bridge| bridge.scrape().sum("waiting", &[]) == 600).await;
    assert!(connector.attempts_on(&shut) < 20, "{}", connector.attempts_on(&shut));
    connector.on_topic(&shut, Answer::Taken);
    connector.has_topic(&shut, true);
    spooled.until_settled().await;
    assert_eq!(connector.all_taken().len(), 606);
    assert_eq!(probe.outcome().await, Outcome::Delivered);
}

#[tokio::test]
async fn without_room_an_event_is_kept_and_its_turn_comes() {
    let spooled = Spooled::new(Setup { room_events: 2, ..to(1) });
    let connector = &spooled.bridge.connectors[0];
    connector.usually(Answer::TakenAfter(Duration::from_millis(300)));
    let under_way: Vec<_> = (0..2).map(|n| spooled.take(event(&n.to_string()))).collect();
    connector.begun(2).await;
    assert_eq!(spooled.outcome(event("third")).await, (Outcome::Deferred, true));
    spooled.until_settled().await;
    assert_eq!(connector.taken("third"), 1);
    for receipt in under_way {
        assert_eq!(receipt.outcome().await, Outcome::Delivered);
    }
}

#[tokio::test]
async fn what_a_disk_that_hangs_holds_counts_until_it_is_written() {
    let spooled = Spooled::new(Setup { room_events: 1, ..to(1) });
    let connector = &spooled.bridge.connectors[0];
    // Takes all the room until the other is sent on without its row.
    connector.first("first", &[Answer::TakenAfter(Duration::from_millis(1500))]);
    let first = spooled.bridge.send(event("first")).await;
    let process_room = Arc::new(Semaphore::new(1000));
    let bytes = Arc::clone(&process_room).acquire_many_owned(600).await.unwrap();
    let disk = spooled.hang_disk();
    let receipt = spooled.take_counted(event("a"), bytes);
    assert_eq!(receipt.outcome().await, Outcome::Delivered);
    assert_eq!((first.outcome().await, receipt.is_kept()), (Outcome::Delivered, false));
    assert_eq!(process_room.available_permits(), 400, "the writer still holds it");
    drop(disk);
    spooled.until(|_| process_room.available_permits() == 1000).await;
    spooled.until_settled().await;
}

#[tokio::test]
async fn what_is_sent_on_leaves_a_quarter_of_the_room_to_new_events() {
    let spooled = Spooled::new(Setup { room_events: 8, ..to(1) });
    let connector = &spooled.bridge.connectors[0];
    connector.usually(Answer::Topology);
    for n in 0..40 {
        spooled.outcome(event(&format!("old-{n}"))).await;
    }
    connector.usually(Answer::TakenAfter(Duration::from_millis(500)));
    spooled.until(|bridge| bridge.scrape().sum("in_flight", &[]) >= 6).await;
    for n in 0..50 {
        let new = format!("new-{n}");
        connector.first(&new, &[Answer::Taken]);
        let outcome = spooled.take(event(&new)).outcome().await;
        assert_eq!(outcome, Outcome::Delivered, "{new} found no room");
    }
    spooled.until_settled().await;
}

#[tokio::test]
async fn what_waits_gets_its_share_of_the_room_while_new_events_keep_coming() {
    let spooled = Spooled::new(Setup { room_events: 4, ..to(1) });
    let connector = &spooled.bridge.connectors[0];
    connector.usually(Answer::Topology);
    let _probe = spooled.take(event("probe"));
    connector.begun(1).await;
    for n in 0..20 {
        spooled.outcome(event(&format!("old-{n}"))).await;
    }
    connector.usually(Answer::TakenAfter(Duration::from_millis(5)));
    let mut n = 0;
    spooled
        .until(|bridge| {
            // More than there is room for, at every moment.
            for _ in 0..8 {
                n += 1;
                drop(spooled.take(event(&format!("new-{n}"))));
            }
            let taken = bridge.connectors[0].all_taken();
            taken.iter().filter(|event| event.id.starts_with("old-")).count() == 20
        })
        .await;
}

#[tokio::test]
async fn the_oldest_goes_first() {
    let spooled = Spooled::new(Setup { room_events: 2, ..to(1) });
    let connector = &spooled.bridge.connectors[0];
    connector.usually(Answer::Topology);
    let probe = spooled.take(event("000"));
    connector.begun(1).await;
    for n in 1..300 {
        spooled.outcome(event(&format!("{n:03}"))).await;
    }
    connector.usually(Answer::Taken);
    spooled.until_settled().await;
    let taken: Vec<_> = connector.all_taken().into_iter().map(|event| event.id).collect();
    assert_eq!(taken.len(), 300);
    assert!(taken.is_sorted(), "{taken:?}");
    assert_eq!(probe.outcome().await, Outcome::Delivered);
}

#[tokio::test]
async fn refused_events_wait_until_their_dead_letters_are_taken_and_are_seldom_tried_meanwhile() {
    let spooled = Spooled::new(to(1));
    let Bridge { connectors, letter_box, .. } = &spooled.bridge;
    connectors[0].usually(Answer::Refused);
    letter_box.usually(Answer::Topology);
    letter_box.has_topic(&letters_topic(), false);
    let log = Log::capture();
    for n in 0..20 {
        assert_eq!(spooled.outcome(event(&n.to_string())).await, (Outcome::Deferred, true));
    }
    until_probed(&spooled, 3).await;
    // One of them keeps probing for the letters, the others come back at once.
    let attempts = connectors[0].attempts_on(&topic("NewFileUpload"));
    assert!(attempts < 20 * 12, "{attempts} attempts in two to six seconds");
    assert_eq!(log.count(&["WARN", "dead-lettered"]), 0);
    letter_box.usually(Answer::Taken);
    letter_box.has_topic(&letters_topic(), true);
    spooled.until_settled().await;
    assert_eq!(letter_box.all_taken().len(), 20);
    assert_eq!(log.count(&["WARN", "dead-lettered", "scripted refusal"]), 20);
}

#[tokio::test]
async fn overdue_events_are_passed_over_until_their_dead_letters_are_taken() {
    let spooled = Spooled::new(Setup { overdue_after: Duration::ZERO, ..to(1) });
    let Bridge { connectors, letter_box, .. } = &spooled.bridge;
    connectors[0].usually(Answer::Topology);
    connectors[0].has_topic(&topic("NewFileUpload"), false);
    letter_box.usually(Answer::Topology);
    letter_box.has_topic(&letters_topic(), false);
    let log = Log::capture();
    for n in 0..20 {
        assert_eq!(spooled.outcome(event(&n.to_string())).await, (Outcome::Deferred, true));
    }
    // One of them may go on probing for the letters.
    spooled.until(|bridge| bridge.scrape().sum("waiting", &[]) >= 19).await;
    let before = log.count(&["not dead-lettered yet"]);
    until_probed(&spooled, 3).await;
    let in_vain = log.count(&["not dead-lettered yet"]) - before;
    assert!(in_vain < 10, "{in_vain} were sent in vain");
    letter_box.usually(Answer::Taken);
    letter_box.has_topic(&letters_topic(), true);
    spooled.until_settled().await;
    assert_eq!(letter_box.all_taken().len(), 20);
}

#[tokio::test]
async fn a_row_whose_body_cannot_be_read_is_told_once_and_holds_up_no_others() {
    let spooled = Spooled::new(to(1));
    spooled.bridge.connectors[0].usually(Answer::Topology);
    for id in ["damaged", "good"] {
        assert_eq!(spooled.outcome(event(id)).await, (Outcome::Deferred, true));
    }
    let home = spooled.end(true).await;
    let journal = rusqlite::Connection::open(home.path().join("journal/journal.db")).unwrap();
    let damage = "UPDATE spool SET body = x'' WHERE seq = (SELECT min(seq) FROM spool)";
    assert_eq!(journal.execute(damage, []).unwrap(), 1);
    journal.close().unwrap();

    let log = Log::capture();
    let next = Spooled::over(home, to(1));
    let connector = &next.bridge.connectors[0];
    next.until(|_| connector.taken("good") == 1).await;
    // Further rounds, each of which would look at it again.
    for id in ["b", "c"] {
        connector.first(id, &[Answer::Topology]);
        next.outcome(event(id)).await;
        next.until(|_| connector.taken(id) == 1).await;
    }
    assert_eq!(log.count(&["ERROR", "row=1"]), 1);
    assert_eq!(log.count(&["row=1"]), 1);
    assert_eq!(connector.taken("damaged"), 0);
}

fn letters_topic() -> Topic {
    Topic::new("vod.dead-letter").unwrap()
}

/// Waits until the dead letters were probed so often, by an event or by a check: longer each time,
/// so that three times take seconds.
async fn until_probed(spooled: &Spooled, times: usize) {
    let probes = |letter_box: &Fake| letter_box.checks() + letter_box.attempts_on(&letters_topic());
    let until = probes(&spooled.bridge.letter_box) + times;
    spooled.until(|bridge| probes(&bridge.letter_box) >= until).await;
}
