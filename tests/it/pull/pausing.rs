use std::time::Duration;

use tokio::time::{Instant, sleep};
use vodbridge_vod::api::Action;

use crate::support::{Answer, Bridge, Pulling, Setup, soon};

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_for_an_hour_costs_neither_calls_nor_memory_nor_events() {
    let bridge = Bridge::without_drops();
    bridge.connector().usually(Answer::Outage);
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..2000);
    let mut most_in_flight = 0;
    // The first minute is the time in which it is found out.
    sleep(Duration::from_secs(60)).await;
    let before = pulling.vod.calls(Action::PullEvents);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3600) {
        sleep(Duration::from_secs(10)).await;
        most_in_flight = most_in_flight.max(bridge.in_flight());
    }
    let polls = pulling.vod.calls(Action::PullEvents) - before;
    assert!((600..=800).contains(&polls), "{polls} polls in an hour, one each 5 s are 720");
    assert!(most_in_flight <= 100, "{most_in_flight} events were held");
    assert_eq!(pulling.vod.summary().confirmed, 0);
    bridge.connector().usually(Answer::Taken);
    pulling.until_confirmed().await;
    assert_eq!(bridge.connector().all_taken().len(), 2000);
    pulling.stop().await;
    assert_eq!(bridge.scrape().unaccounted(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_dead_topic_pauses_nothing() {
    let bridge = Bridge::to(1);
    bridge.connector().on_topic(&crate::support::topic("NewFileUpload"), Answer::Topology);
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..50);
    let finished = vodsim::generate::sample("PullComplete").unwrap();
    for n in 0..500 {
        pulling.vod.issue(None, finished.body(n));
    }
    let began = Instant::now();
    pulling.until(|now| now.confirmed == 500).await;
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(bridge.connector().all_taken().len(), 500);
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_room_holds_the_next_poll_back() {
    let bridge = Setup { room_events: 20, ..Setup::default() }.build();
    bridge.connector().usually(Answer::TakenAfter(Duration::from_secs(2)));
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..200);
    soon(bridge.connector().begun(20)).await;
    assert!(bridge.connector().all_taken().len() < 20);
    pulling.until_confirmed().await;
    assert_eq!(bridge.connector().all_taken().len(), 200);
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_queue_is_asked_by_one_long_poll_at_a_time() {
    let bridge = Bridge::to(1);
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..2000);
    pulling.until_confirmed().await;
    // Until the other workers have seen that the queue is empty.
    sleep(Duration::from_secs(20)).await;
    let before = pulling.vod.calls(Action::PullEvents);
    sleep(Duration::from_secs(600)).await;
    let polls = pulling.vod.calls(Action::PullEvents) - before;
    assert!((110..=130).contains(&polls), "{polls} polls of 5 s in 600 s");
    pulling.stop().await;
}
