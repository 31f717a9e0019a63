//! What goes wrong on demand does so as it says, once, and nothing else does.

use std::io;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use vodbridge_vod::api::Action;
use vodsim::{Fault, Options, Vod};

use crate::client::{Answer, Call, Client};

/// One event waits, and its poll goes wrong: what the client sees of it.
async fn pulled(fault: Fault) -> (Vod, io::Result<Answer>) {
    let vod = Vod::start(Options::default()).await.unwrap();
    vod.issue_numbered(None, 0..1);
    vod.next(Action::PullEvents, fault);
    let mut client = Client::open(&vod).await;
    // Another action is not meant.
    assert_eq!(client.call(Action::DescribeEventsState, "{}").await.code(), "");
    let answer = client.send(&Call::new(Action::PullEvents, "{}")).await;
    (vod, answer)
}

/// Whether the poll was carried out; the next one is good in either case.
async fn is_delivered(vod: &Vod) -> bool {
    let is_delivered = vod.summary().delivered == 1;
    let mut client = Client::open(vod).await;
    if !is_delivered {
        let answer = client.call(Action::PullEvents, "{}").await;
        assert_eq!(answer.handles().len(), 1, "{answer:?}");
    }
    assert_eq!(client.call(Action::DescribeEventsState, "{}").await.code(), "");
    is_delivered
}

#[tokio::test]
async fn a_code_is_an_error_of_the_api() {
    let (vod, answer) = pulled(Fault::Code("FailedOperation.NetWorkError".into())).await;
    assert_eq!(answer.unwrap().code(), "FailedOperation.NetWorkError");
    assert!(!is_delivered(&vod).await);
}

#[tokio::test]
async fn a_status_is_a_gateways_and_no_envelope() {
    let (vod, answer) = pulled(Fault::Status(504)).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (504, "gateway"));
    assert!(!is_delivered(&vod).await);
}

#[tokio::test]
async fn what_is_no_json_comes_with_200() {
    let (vod, answer) = pulled(Fault::NotJson).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_err());
    assert!(!is_delivered(&vod).await);
}

#[tokio::test]
async fn a_reply_may_be_any() {
    let (vod, answer) = pulled(Fault::Reply(r#"{"Response":{"EventSet":null}}"#.into())).await;
    assert_eq!(answer.unwrap().response(), json!({ "EventSet": null }));
    assert!(!is_delivered(&vod).await);
}

#[tokio::test]
async fn a_truncated_reply_is_of_a_call_that_was_carried_out() {
    let (vod, answer) = pulled(Fault::Truncated).await;
    let answer = answer.unwrap();
    assert!(answer.body.starts_with(r#"{"Response":{"EventSet":[{"EventHandle":"#));
    assert!(serde_json::from_str::<serde_json::Value>(&answer.body).is_err());
    assert!(is_delivered(&vod).await);
}

#[tokio::test]
async fn a_call_is_cut_before_and_a_reply_is_lost_after_it_was_carried_out() {
    let (vod, answer) = pulled(Fault::Cut).await;
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(!is_delivered(&vod).await);

    let (vod, answer) = pulled(Fault::LostReply).await;
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(is_delivered(&vod).await);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_comes_to_nothing_and_a_slow_one_to_its_end() {
    let since = Instant::now();
    let (vod, answer) = pulled(Fault::Hang(Duration::from_secs(20))).await;
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(since.elapsed() >= Duration::from_secs(20), "{:?}", since.elapsed());
    assert!(!is_delivered(&vod).await);

    let since = Instant::now();
    let (vod, answer) = pulled(Fault::Slow(Duration::from_secs(2))).await;
    assert_eq!(answer.unwrap().handles().len(), 1);
    let took = since.elapsed();
    assert!((2..5).contains(&took.as_secs()), "{took:?}");
    assert!(is_delivered(&vod).await);
}

#[tokio::test]
async fn a_confirmation_whose_reply_is_lost_counts() {
    let vod = Vod::start(Options::default()).await.unwrap();
    vod.issue_numbered(None, 0..1);
    vod.set_faults("lost_confirm=1".parse().unwrap());
    let mut client = Client::open(&vod).await;
    let handles = client.call(Action::PullEvents, "{}").await.handles();
    let confirm = Call::new(Action::ConfirmEvents, &json!({ "EventHandles": handles }).to_string());
    let lost = client.send(&confirm).await;
    assert_eq!(lost.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(vod.summary().confirmed, 1);
}

#[tokio::test]
async fn a_hidden_event_is_handed_out_twice_on_demand() {
    let vod = Vod::start(Options::default()).await.unwrap();
    vod.issue_numbered(None, 0..1);
    vod.set_faults("duplicate=1".parse().unwrap());
    let mut client = Client::open(&vod).await;
    let first = client.call(Action::PullEvents, "{}").await.handles();
    let second = client.call(Action::PullEvents, "{}").await.handles();
    assert_ne!(first, second);
    for handles in [first, second] {
        let confirm = json!({ "EventHandles": handles }).to_string();
        assert_eq!(client.call(Action::ConfirmEvents, &confirm).await.code(), "");
    }
    let summary = vod.summary();
    assert_eq!((summary.redelivered, summary.confirmed), (1, 1));
}
