use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use vodbridge_vod::Content;
use vodbridge_vod::api::Action;
use vodsim::{Fault, Options, Vod};

use crate::support::{Answer, Bridge, Pulling, soon};

fn reply(elements: &[&str]) -> Fault {
    Fault::Reply(format!(
        r#"{{"New":1,"Response":{{"New":{{}},"EventSet":[{}],"RequestId":"not-a-uuid"}}}}"#,
        elements.join(",")
    ))
}

async fn pulling(bridge: &Bridge, elements: &[&str]) -> Pulling {
    let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
    vod.next(Action::PullEvents, reply(elements));
    Pulling::from_vod(bridge, vod, "")
}

#[tokio::test(start_paused = true)]
async fn an_element_that_is_no_event_goes_to_the_dead_letters_and_holds_back_no_other() {
    let bridge = Bridge::to(1);
    let pulling = pulling(
        &bridge,
        &[
            r#"{"EventHandle":"1","EventType":"New","NewEvent":{"TaskId":"a"}}"#,
            r#"{"EventHandle":"2","EventType":"Broken","BrokenEvent":{"TaskId":01}}"#,
            r#"{"EventHandle":"3"}"#,
            "null",
            r#""text""#,
            r#"{"EventHandle":"5","EventType":"New","NewEvent":{"TaskId":"b"}}"#,
            r#"{"EventHandle":"6","ComposeMediaCompleteEvent":{"TaskId":"c"}}"#,
        ],
    )
    .await;
    soon(bridge.connector().begun(3)).await;
    soon(bridge.letter_box.begun(3)).await;
    let ids: Vec<_> = bridge.connector().all_taken().iter().map(|e| e.id.to_string()).collect();
    assert!(ids.iter().any(|id| id == "ComposeMediaComplete:c"), "{ids:?}");
    pulling.stop().await;
    assert_eq!(bridge.scrape().unaccounted(), 0);
    assert_eq!(bridge.scrape().settled("rejected"), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_or_is_refused_is_confirmed_once_its_dead_letter_is_stored() {
    let bridge = Bridge::to(1);
    bridge.letter_box.usually(Answer::TakenAfter(Duration::from_secs(10)));
    bridge.connector().first("PullComplete:a", &[Answer::Refused]);
    let pulling = Pulling::start(&bridge).await;
    pulling.vod.issue(None, r#"{"EventType":"Broken","BrokenEvent":{"TaskId":01}}"#);
    pulling.vod.issue(None, r#"{"EventType":"PullComplete","PullCompleteEvent":{"TaskId":"a"}}"#);
    soon(bridge.letter_box.begun(2)).await;
    sleep(Duration::from_secs(8)).await;
    assert_eq!(pulling.vod.calls(Action::ConfirmEvents), 0);
    let summary = pulling.until_confirmed().await;
    assert_eq!((summary.confirmed, summary.redelivered), (2, 0));
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_handle_is_published_and_never_confirmed() {
    let bridge = Bridge::to(1);
    let pulling = pulling(
        &bridge,
        &[
            r#"{"EventType":"New","NewEvent":{"TaskId":"a"}}"#,
            r#"{"EventHandle":"","EventType":"New","NewEvent":{"TaskId":"b"}}"#,
            r#"{"EventHandle":null,"EventType":"New","NewEvent":{"TaskId":"c"}}"#,
        ],
    )
    .await;
    soon(bridge.connector().begun(3)).await;
    let vod = Arc::clone(&pulling.vod);
    pulling.stop().await;
    assert_eq!(vod.calls(Action::ConfirmEvents), 0);
    assert_eq!(bridge.scrape().settled("delivered"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_two_events_carry_is_confirmed_once_after_both() {
    let bridge = Bridge::to(1);
    bridge.connector().first("PullComplete:b", &[Answer::TakenAfter(Duration::from_secs(10))]);
    let pulling = pulling(
        &bridge,
        &[
            r#"{"EventHandle":"1","EventType":"PullComplete","PullCompleteEvent":{"TaskId":"a"}}"#,
            r#"{"EventHandle":"1","EventType":"PullComplete","PullCompleteEvent":{"TaskId":"b"}}"#,
        ],
    )
    .await;
    soon(bridge.connector().begun(2)).await;
    sleep(Duration::from_secs(8)).await;
    assert_eq!(pulling.vod.calls(Action::ConfirmEvents), 0);
    let vod = Arc::clone(&pulling.vod);
    pulling.stop().await;
    assert_eq!(vod.calls(Action::ConfirmEvents), 1);
}

#[tokio::test(start_paused = true)]
async fn sixteen_events_of_ten_megabytes_are_read_and_settle() {
    let bridge = Bridge::to(1);
    let vod = Arc::new(Vod::start(Options::default()).await.unwrap());
    let filler = "x".repeat(10 << 20);
    for n in 0..16 {
        let body =
            format!(r#"{{"EventType":"Big","BigEvent":{{"TaskId":"{n}","Data":"{filler}"}}}}"#);
        vod.issue(None, body);
    }
    let pulling = Pulling::from_vod(&bridge, vod, "");
    pulling.until_confirmed().await;
    assert_eq!(bridge.connector().all_taken().len(), 16);
    pulling.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_documented_callback_body_is_the_same_event_when_it_is_pulled() {
    let bridge = Bridge::to(1);
    let pulling = Pulling::start(&bridge).await;
    let bodies = callback_bodies();
    assert!(bodies.len() >= 50, "{} bodies", bodies.len());
    for (name, body) in bodies {
        let content = Content::read(&body).unwrap();
        // Not the one of the same id that came before.
        bridge.connector().forget();
        pulling.vod.issue(None, body);
        pulling.until_confirmed().await;
        let Some(event) = bridge.connector().all_taken().pop() else {
            // The same as another sample, byte for byte in its payload.
            assert!(bridge.scrape().settled("duplicate") > 0, "{name}");
            continue;
        };
        assert_eq!(event.id, content.identity.id, "{name}");
        assert_eq!(event.content.0, content.identity.digest, "{name}");
        assert_eq!(event.data, content.payload, "{name}: byte for byte");
        assert_eq!(event.subject, content.subject, "{name}");
        assert_eq!(event.extension("vodmode"), Some("pull"));
    }
    pulling.stop().await;
}

fn callback_bodies() -> Vec<(String, Bytes)> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/vod/samples");
    let folders = ["", "variants", "legacy-v2"].map(|folder| samples.join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = files.map(|file| file.unwrap().path());
    let callbacks = paths.filter(|path| path.to_str().unwrap().ends_with(".callback.json"));
    callbacks.map(|path| (path.display().to_string(), fs::read(&path).unwrap().into())).collect()
}
