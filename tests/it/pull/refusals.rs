use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use vodbridge_vod::api::Action;
use vodbridge_vod::tc3::Credential;
use vodsim::{Fault, Options, Vod};

use crate::support::{Bridge, Pulling, soon};

/// Waits for a state of VOD's trouble.
async fn until_told(pulling: &Pulling, is_told: impl Fn(&str) -> bool) -> String {
    soon(async {
        loop {
            let told = pulling.puller.trouble.to_json().to_string();
            if is_told(&told) {
                return told;
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_poll_is_told_with_a_way_out_and_outlived() {
    let code = |code: &str| Fault::Code(code.to_owned());
    for (fault, what, way_out) in [
        (Fault::NotJson, "does not speak VOD's API", "pull.endpoint"),
        (Fault::Reply("{}".into()), "no Response", "pull.endpoint"),
        (Fault::Reply(r#"{"Response":{"EventSet":5}}"#.into()), "EventSet", "pull.endpoint"),
        (Fault::Status(502), "502", "pull.endpoint"),
        (Fault::Cut, "cannot be reached", "network"),
        (Fault::Hang(Duration::from_secs(60)), "in time", "network"),
        (code("RequestLimitExceeded"), "RequestLimitExceeded", "other programs"),
        (code("InternalError"), "InternalError", "VOD's own"),
        (code("UnauthorizedOperation.CamNoAuth"), "CamNoAuth", "vod:PullEvents"),
        (code("FailedOperation.InvalidVodUser"), "InvalidVodUser", "activate it"),
        (code("InvalidParameterValue.SubAppId"), "SubAppId", "sub_app_id"),
        (code("Never.Seen"), "Never.Seen", "unknown"),
    ] {
        let bridge = Bridge::to(1);
        let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
        // The last of them waits a good while before it tries again.
        vod.next(Action::PullEvents, fault.clone());
        let pulling = Pulling::from_vod(&bridge, vod, "");
        let told = until_told(&pulling, |told| told != "null").await;
        assert!(told.contains(what) && told.contains(way_out), "{fault:?}: {told}");
        pulling.vod.issue_numbered(None, 0..20);
        pulling.until_confirmed().await;
        assert_eq!(bridge.connector().all_taken().len(), 20, "{fault:?}");
        until_told(&pulling, |told| told == "null").await;
        pulling.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_told_and_right_ones_are_found_without_a_restart() {
    let bridge = Bridge::to(1);
    let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
    let right = Options::default().credentials;
    let wrong = Credential { secret_key: "another".to_owned(), ..right[0].clone() };
    vod.set_credentials(vec![wrong]);
    vod.issue_numbered(None, 0..5);
    let pulling = Pulling::from_vod(&bridge, vod, "");
    let told = until_told(&pulling, |told| told != "null").await;
    assert!(told.contains("SignatureFailure") && told.contains("SecretKey"), "{told}");
    pulling.vod.set_credentials(vec![]);
    let told = until_told(&pulling, |told| told.contains("SecretIdNotFound")).await;
    assert!(told.contains("no such SecretId"), "{told}");
    pulling.vod.set_credentials(right);
    pulling.until_confirmed().await;
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ten_minutes_off_is_said_plainly() {
    for (ahead, side) in [(600, "600 s behind VOD's"), (-600, "600 s ahead of VOD's")] {
        let bridge = Bridge::to(1);
        let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
        vod.set_clock_ahead(ahead);
        vod.issue_numbered(None, 0..5);
        let pulling = Pulling::from_vod(&bridge, vod, "");
        let told = until_told(&pulling, |told| told.contains("SignatureExpire")).await;
        // The clocks of both are read in whole seconds.
        let is_near = |n: u32| told.contains(&side.replace("600", &n.to_string()));
        assert!((598..=602).any(is_near) && told.contains("set it (NTP)"), "{told}");
        pulling.vod.set_clock_ahead(0);
        pulling.until_confirmed().await;
        pulling.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_throttling_is_waited_out_with_fewer_calls() {
    let bridge = Bridge::to(1);
    let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
    let pulling = Pulling::from_vod(&bridge, vod, "");
    let faults = vodsim::Faults {
        any: vec![(Fault::Code("RequestLimitExceeded".to_owned()), 1.0)],
        ..Default::default()
    };
    pulling.vod.set_faults(faults);
    pulling.vod.issue_numbered(None, 0..100);
    sleep(Duration::from_secs(60)).await;
    let calls = pulling.vod.calls(Action::PullEvents);
    assert!(calls < 60, "{calls} calls in a minute");
    pulling.vod.set_faults(vodsim::Faults::default());
    pulling.until_confirmed().await;
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_that_does_not_wait_is_not_asked_for_in_a_loop() {
    let bridge = Bridge::to(1);
    let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
    let pulling = Pulling::from_vod(&bridge, vod, "");
    for set in ["null", "[]", "[null,null]"] {
        let empty = Fault::Reply(format!(r#"{{"Response":{{"EventSet":{set},"RequestId":"r"}}}}"#));
        let faults = vodsim::Faults { any: vec![(empty, 1.0)], ..Default::default() };
        pulling.vod.set_faults(faults);
        let before = pulling.vod.calls(Action::PullEvents);
        sleep(Duration::from_secs(60)).await;
        let calls = pulling.vod.calls(Action::PullEvents) - before;
        assert!(calls < 60, "{set}: {calls} calls in a minute");
    }
    assert!(pulling.puller.trouble.is_none(), "an empty queue is no trouble");
    pulling.vod.set_faults(vodsim::Faults::default());
    pulling.vod.issue_numbered(None, 0..5);
    pulling.until_confirmed().await;
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_be_reached_is_told_with_what_to_look_at() {
    let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
    let tls = vod.url().replace("http://", "https://");
    for (url, what) in [
        ("http://127.0.0.1:1".to_owned(), "refused"),
        ("http://nowhere.invalid".to_owned(), "dns"),
        (tls, "cannot be reached"),
    ] {
        let bridge = Bridge::to(1);
        let pulling = Pulling::from_url(&bridge, Arc::clone(&vod), &url, "");
        let told = until_told(&pulling, |told| told != "null").await;
        let is_told = told.to_lowercase().contains(what) && told.contains("pull.endpoint");
        assert!(is_told && told.contains("certificates"), "{url}: {told}");
        pulling.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_confirm_little_is_pulled_and_all_is_well_once_it_is_given() {
    let bridge = Bridge::to(1);
    let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
    for _ in 0..2000 {
        let refused = Fault::Code("UnauthorizedOperation".to_owned());
        vod.next(Action::ConfirmEvents, refused);
    }
    vod.issue_numbered(None, 0..1000);
    let pulling = Pulling::from_vod(&bridge, vod, "");
    let told = until_told(&pulling, |told| told.contains("ConfirmEvents")).await;
    assert!(told.contains("UnauthorizedOperation") && told.contains("vod:ConfirmEvents"), "{told}");
    let before = pulling.vod.calls(Action::PullEvents);
    sleep(Duration::from_secs(120)).await;
    let polls = pulling.vod.calls(Action::PullEvents) - before;
    assert!(polls <= 30, "{polls} polls in two minutes");
    assert!(until_told(&pulling, |told| told != "null").await.contains("vod:ConfirmEvents"));
    pulling.until_confirmed().await;
    until_told(&pulling, |told| told == "null").await;
    pulling.stop().await;
}
