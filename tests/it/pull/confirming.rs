use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use vodbridge_vod::api::Action;
use vodsim::{Fault, Options, Vod};

use crate::support::{Answer, Bridge, Pulling, soon};

/// The id of numbered event `n`.
fn id(n: u64) -> String {
    format!("NewFileUpload:{}", vodsim::callback::file_id(n))
}

#[tokio::test(start_paused = true)]
async fn what_is_pulled_is_published_and_confirmed() {
    let bridge = Bridge::to(2);
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..100);
    let summary = pulling.until_confirmed().await;
    assert_eq!((summary.issued, summary.redelivered), (100, 0));
    for n in 0..100 {
        assert_eq!(bridge.connectors.iter().map(|c| c.taken(&id(n))).collect::<Vec<_>>(), [1, 1]);
    }
    pulling.stop().await;
    assert_eq!(bridge.scrape().settled("delivered"), 100);
    assert_eq!(bridge.scrape().unaccounted(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_confirmed_before_every_connector_has_acknowledged() {
    let bridge = Bridge::to(2);
    bridge.connectors[1].usually(Answer::TakenAfter(Duration::from_secs(15)));
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..40);
    let began = Instant::now();
    soon(bridge.connectors[1].begun(40)).await;
    while began.elapsed() < Duration::from_secs(14) {
        sleep(Duration::from_millis(100)).await;
        assert_eq!(pulling.vod.calls(Action::ConfirmEvents), 0, "after {:?}", began.elapsed());
    }
    let summary = pulling.until_confirmed().await;
    assert_eq!(summary.redelivered, 0);
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn handles_are_confirmed_sixteen_a_call_where_there_are_as_many() {
    let bridge = Bridge::to(1);
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..1600);
    pulling.until_confirmed().await;
    let calls = pulling.vod.calls(Action::ConfirmEvents);
    assert!(calls <= 200, "{calls} calls");
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_near_its_end_is_not_confirmed_and_its_event_is_known_when_it_comes_again() {
    let bridge = Bridge::to(1);
    bridge.connector().first(&id(0), &[Answer::TakenAfter(Duration::from_secs(19))]);
    let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
    // VOD itself would take it for 30 s.
    let pulling = Pulling::from_vod(&bridge, vod, "handle_life: 23s\nmargin: 5s");
    pulling.vod.issue_numbered(None, 0..1);
    soon(bridge.connector().begun(1)).await;
    sleep(Duration::from_secs(25)).await;
    assert_eq!(pulling.vod.calls(Action::ConfirmEvents), 0);
    let summary = pulling.until_confirmed().await;
    assert_eq!((summary.redelivered, bridge.connector().taken(&id(0))), (1, 1));
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_whose_reply_is_lost_is_made_again_and_nothing_is_published_twice() {
    let bridge = Bridge::to(1);
    let pulling = Pulling::start(&bridge).await;
    for _ in 0..3 {
        pulling.vod.next(Action::ConfirmEvents, Fault::LostReply);
    }
    pulling.vod.issue_numbered(None, 0..16);
    pulling.until_confirmed().await;
    assert_eq!(bridge.connector().all_taken().len(), 16);
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_could_not_be_confirmed_is_known_when_it_comes_again() {
    let bridge = Bridge::to(1);
    let pulling = Pulling::start(&bridge).await;
    // Until its handle has ended, whatever the back-off.
    for _ in 0..200 {
        pulling.vod.next(Action::ConfirmEvents, Fault::Code("InternalError".to_owned()));
    }
    pulling.vod.issue_numbered(None, 0..1);
    // A deletion is known by its content alone.
    let deleted = vodsim::generate::sample("FileDeleted").unwrap().body(1);
    pulling.vod.issue(None, deleted);
    let summary = pulling.until(|now| now.redelivered >= 2).await;
    assert_eq!(summary.confirmed, 0);
    // What is still to go wrong goes wrong for nobody.
    while pulling.vod.calls(Action::ConfirmEvents) < 200 && pulling.vod.summary().unconfirmed > 0 {
        sleep(Duration::from_secs(1)).await;
    }
    pulling.until_confirmed().await;
    assert_eq!(bridge.connector().all_taken().len(), 2, "each once");
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_handle_spoils_no_other_confirmation() {
    let bridge = Bridge::to(1);
    let vod = Vod::start(Options { confirm_partly: false, ..Options::default() }).await.unwrap();
    let pulling = Pulling::from_vod(&bridge, Arc::new(vod), "");
    let refused = Fault::Code("InvalidParameterValue".to_owned());
    pulling.vod.next(Action::ConfirmEvents, refused);
    pulling.vod.issue_numbered(None, 0..16);
    let summary = pulling.until_confirmed().await;
    assert_eq!(summary.redelivered, 0, "they were confirmed one by one");
    assert_eq!(pulling.vod.calls(Action::ConfirmEvents), 17);
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_bridges_share_a_queue_and_every_event_reaches_its_broker_once() {
    let bridges = [Bridge::to(1), Bridge::to(1)];
    let first = Pulling::start(&bridges[0]).await;
    let second = Pulling::from_vod(&bridges[1], Arc::clone(&first.vod), "");
    first.vod.issue_numbered(None, 0..1000);
    first.until_confirmed().await;
    for n in 0..1000 {
        let taken: usize = bridges.iter().map(|bridge| bridge.connector().taken(&id(n))).sum();
        assert_eq!(taken, 1, "event {n}");
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_event_by_callback_and_by_pull_is_published_once() {
    let bridge = Bridge::to(1);
    let pulling = Pulling::start(&bridge).await;
    for sample in vodsim::generate::SAMPLES {
        pulling.vod.issue(None, sample.body(5));
    }
    pulling.until_confirmed().await;
    let published = bridge.connector().all_taken().len();
    for sample in vodsim::generate::SAMPLES {
        let body = sample.body(5);
        let content = vodbridge_vod::Content::read(&body).unwrap();
        if content.identity.by_content {
            continue; // may rightly have happened again
        }
        let reception = vodbridge::normalize::Reception {
            mode: vodbridge::telemetry::metrics::Mode::callback,
            at: vodbridge_core::Timestamp::default(),
            trace: vodbridge::normalize::Trace::default(),
        };
        let event = pulling.puller.normalizer.event(content, &body, &reception);
        assert!(bridge.suppresses(event).is_some(), "{}", sample.event_type);
    }
    assert_eq!(bridge.connector().all_taken().len(), published);
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_confirms_what_has_settled_and_gives_back_what_cannot() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::TakenAfter(Duration::from_secs(3)));
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..16);
    soon(bridge.connector().begun(16)).await;
    let vod = Arc::clone(&pulling.vod);
    pulling.stop().await;
    assert_eq!(vod.summary().confirmed, 16);

    let bridge = Bridge::without_drops();
    bridge.connector().usually(Answer::Outage);
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..16);
    soon(bridge.connector().begun(10)).await;
    let (vod, began) = (Arc::clone(&pulling.vod), Instant::now());
    pulling.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(vod.summary().confirmed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_a_slow_connector_but_not_for_all_of_grace() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::TakenAfter(Duration::from_millis(19_500)));
    bridge.connector().first(&id(0), &[Answer::TakenAfter(Duration::from_secs(10))]);
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..2);
    soon(bridge.connector().begun(2)).await;
    let (vod, began) = (Arc::clone(&pulling.vod), Instant::now());
    pulling.stop().await;
    let took = began.elapsed();
    assert!((18..19).contains(&took.as_secs()), "{took:?}");
    assert_eq!(vod.summary().confirmed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_handle_whose_turn_comes_too_late_is_not_confirmed() {
    let bridge = Bridge::to(1);
    let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
    // One call a second: the turns of what is settled at once lie a minute apart.
    let pulling = Pulling::from_vod(&bridge, vod, "calls_per_second: 1");
    // One by one, because VOD refuses them together.
    for _ in 0..5 {
        let refused = Fault::Code("InvalidParameterValue".to_owned());
        pulling.vod.next(Action::ConfirmEvents, refused);
    }
    pulling.vod.issue_numbered(None, 0..80);
    pulling.until_confirmed().await;
    // The last answers are on their way.
    pulling.stop().await;
    let in_time = bridge.scrape().sum("confirm_age_seconds_bucket", &["le=\"25.0\""]);
    let all = bridge.scrape().sum("confirm_age_seconds_count", &[]);
    assert_eq!((in_time, all), (80, 80), "within 25 s, and each once");
    assert_eq!(bridge.connector().all_taken().len(), 80);
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_confirmed_is_not_taken_for_its_own_repetition() {
    let deleted = vodsim::generate::sample("FileDeleted").unwrap().body(1);
    let bridge = Bridge::to(1);
    let pulling = Pulling::start(&bridge).await;
    // Confirmed, and VOD never says so.
    pulling.vod.next(Action::ConfirmEvents, Fault::LostReply);
    for _ in 0..30 {
        pulling.vod.next(Action::ConfirmEvents, Fault::Cut);
    }
    pulling.vod.issue(None, deleted.clone());
    pulling.until_confirmed().await;
    sleep(Duration::from_secs(40)).await;
    pulling.vod.issue(None, deleted.clone());
    pulling.until(|now| now.delivered == 2).await;
    soon(bridge.connector().begun(2)).await;
    pulling.until_confirmed().await;
    pulling.stop().await;

    // Confirmed in a call that was refused for another handle in it.
    let bridge = Bridge::to(1);
    let vod = Vod::start(Options { confirm_partly: true, ..Options::default() }).await.unwrap();
    let pulling = Pulling::from_vod(&bridge, Arc::new(vod), "");
    let stale =
        r#"{"EventHandle":"stale","EventType":"PullComplete","PullCompleteEvent":{"TaskId":"a"}}"#;
    pulling.vod.issue(None, stale);
    pulling.vod.issue(None, deleted.clone());
    pulling.until(|now| now.confirmed >= 1).await;
    sleep(Duration::from_secs(10)).await;
    pulling.vod.issue(None, deleted);
    soon(async {
        while bridge.connector().attempts_on(&crate::support::topic("FileDeleted")) < 2 {
            sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_throttled_confirmations_is_made_up_for() {
    let bridge = Bridge::to(1);
    let pulling = Pulling::start(&bridge).await;
    for _ in 0..60 {
        let throttled = Fault::Code("RequestLimitExceeded".to_owned());
        pulling.vod.next(Action::ConfirmEvents, throttled);
    }
    pulling.vod.issue_numbered(None, 0..5000);
    let began = Instant::now();
    pulling.until_confirmed().await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(900), "{took:?}");
    assert_eq!(bridge.connector().all_taken().len(), 5000, "each once");
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_that_waits_for_room_holds_back_no_confirmation() {
    let bridge = crate::support::Setup { room_events: 2, ..Default::default() }.build();
    bridge.connector().first(&id(1), &[Answer::TakenAfter(Duration::from_secs(19))]);
    bridge.connector().first(&id(2), &[Answer::TakenAfter(Duration::from_secs(19))]);
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue_numbered(None, 0..4);
    let began = Instant::now();
    pulling.until(|now| now.confirmed >= 1).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    pulling.until_confirmed().await;
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_application_of_its_own_is_named_in_every_call() {
    let bridge = Bridge::to(1);
    let app = Some(1_500_012_345);
    let vod = Vod::start(Options { applications: vec![app], ..Options::default() }).await.unwrap();
    vod.issue_numbered(app, 0..40);
    let vod = Arc::new(vod);
    let pulling = Pulling::of_application(&bridge, Arc::clone(&vod), app);
    pulling.until_confirmed().await;
    pulling.stop().await;
    assert!(bridge.scrape().sum("vod_queue_events", &[]) >= 24, "at most 16 were out by then");
}
