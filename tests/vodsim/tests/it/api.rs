//! The API over HTTP: who is let in, how the queue answers, and what is told of an application.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, advance, pause, timeout};
use vodbridge_vod::api::Action;
use vodbridge_vod::tc3::Credential;
use vodsim::{Options, Vod};

use crate::client::{Call, Client, now};

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_call_that_may_not_be_made_has_the_code_of_the_real_api() {
    let vod = Vod::start(Options::default()).await.unwrap();
    let good = Call::new(Action::DescribeEventsState, "{}");
    let with = |change: fn(&mut Call)| {
        let mut call = good.clone();
        change(&mut call);
        call
    };
    for (call, code) in [
        (with(|c| c.credential.secret_key = "other".into()), "AuthFailure.SignatureFailure"),
        (with(|c| c.credential.secret_id = "AKIDother".into()), "AuthFailure.SecretIdNotFound"),
        (with(|c| c.credential.token = Some("t".into())), "AuthFailure.TokenFailure"),
        (with(|c| c.service = "cvm".into()), "AuthFailure.SignatureFailure"),
        (with(|c| c.timestamp -= 600), "AuthFailure.SignatureExpire"),
        (with(|c| c.timestamp += 600), "AuthFailure.SignatureExpire"),
        (with(|c| c.without = Some("Authorization")), "AuthFailure.InvalidAuthorization"),
        (with(|c| c.without = Some("Content-Type")), "AuthFailure.SignatureFailure"),
        (with(|c| c.without = Some("X-TC-Action")), "MissingParameter"),
        (with(|c| c.without = Some("X-TC-Version")), "MissingParameter"),
        (with(|c| c.without = Some("X-TC-Timestamp")), "MissingParameter"),
        (with(|c| c.action = "PullEvent".into()), "InvalidAction"),
        (with(|c| c.version = "2024-07-18".into()), "NoSuchVersion"),
        (with(|c| c.body = r#"{"SubAppId":7}"#.into()), "InvalidParameterValue.SubAppId"),
        (with(|c| c.body = r#"{"SubAppId":"7"}"#.into()), "InvalidParameter"),
        (with(|c| c.body = "SubAppId=7".into()), "InvalidParameter"),
        (good.clone(), ""),
    ] {
        let answer = Client::open(&vod).await.send(&call).await.unwrap();
        assert_eq!(answer.code(), code, "{call:?}");
    }
}

#[tokio::test]
async fn a_temporary_credential_needs_its_token_and_goes_when_it_is_withdrawn() {
    let vod = Vod::start(Options::default()).await.unwrap();
    let temporary = Credential {
        secret_id: "AKIDtmp".into(),
        secret_key: "key".into(),
        token: Some("token".into()),
    };
    vod.set_credentials(vec![temporary.clone()]);
    let mut client = Client::open(&vod).await;
    let mut call = Call::new(Action::DescribeEventsState, "{}");
    assert_eq!(client.send(&call).await.unwrap().code(), "AuthFailure.SecretIdNotFound");
    call.credential = temporary;
    assert_eq!(client.send(&call).await.unwrap().code(), "");
    call.without = Some("X-TC-Token");
    assert_eq!(client.send(&call).await.unwrap().code(), "AuthFailure.TokenFailure");
}

#[tokio::test]
async fn every_application_has_its_own_queue() {
    let applications = vec![None, Some(7)];
    let vod = Vod::start(Options { applications, ..Options::default() }).await.unwrap();
    vod.issue_numbered(Some(7), 0..2);
    let mut client = Client::open(&vod).await;
    for (body, count) in [("{}", 0), (r#"{"SubAppId":7}"#, 2), (r#"{"SubAppId":null}"#, 0)] {
        let state = client.call(Action::DescribeEventsState, body).await;
        assert_eq!(state.response()["CountOfEventsToPull"], count, "{body}");
    }
    let pulled = client.call(Action::PullEvents, r#"{"SubAppId":7}"#).await.handles();
    let elsewhere = json!({ "EventHandles": pulled }).to_string();
    let wrong = client.call(Action::ConfirmEvents, &elsewhere).await;
    assert_eq!(wrong.code(), "InvalidParameterValue");
    assert_eq!(vod.summary().confirmed, 0);
}

#[tokio::test]
async fn an_event_goes_from_the_queue_when_it_is_confirmed() {
    let vod = Vod::start(Options::default()).await.unwrap();
    vod.issue(None, r#"{ "EventType": "Other", "Number": 18446744073709551616 }"#);
    vod.issue(None, "{}");
    let mut client = Client::open(&vod).await;
    let pulled = client.call(Action::PullEvents, "{}").await;
    let body = r#", "EventType": "Other", "Number": 18446744073709551616 }"#;
    assert!(pulled.body.contains(body.trim_start_matches(", ")), "{}", pulled.body);
    let handles = pulled.handles();
    assert_eq!(handles.len(), 2);
    let state = client.call(Action::DescribeEventsState, "{}").await;
    assert_eq!(state.response()["CountOfEventsToPull"], 0);

    let confirm = json!({ "EventHandles": handles }).to_string();
    assert_eq!(client.call(Action::ConfirmEvents, &confirm).await.code(), "");
    assert_eq!(vod.ledger().unconfirmed(), Vec::<u64>::new());
    assert_eq!(client.call(Action::ConfirmEvents, &confirm).await.code(), "InvalidParameterValue");
}

#[tokio::test]
async fn a_confirmation_has_1_to_16_handles() {
    let vod = Vod::start(Options::default()).await.unwrap();
    let mut client = Client::open(&vod).await;
    for (body, code) in [
        ("{}".to_owned(), "InvalidParameter"),
        (json!({ "EventHandles": [] }).to_string(), "InvalidParameterValue"),
        (json!({ "EventHandles": vec!["h"; 17] }).to_string(), "InvalidParameterValue"),
        (json!({ "EventHandles": [1] }).to_string(), "InvalidParameter"),
    ] {
        assert_eq!(client.call(Action::ConfirmEvents, &body).await.code(), code, "{body}");
    }
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_when_an_event_happens() {
    let vod = Vod::start(Options::default()).await.unwrap();
    let mut client = Client::open(&vod).await;
    client.write(&Call::new(Action::PullEvents, "{}")).await.unwrap();
    polled(&vod).await;
    let since = Instant::now();
    vod.issue_numbered(None, 0..1);
    let answer = timeout(WITHIN, client.read()).await.unwrap().unwrap();
    assert_eq!(answer.handles().len(), 1);
    assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
}

#[tokio::test]
async fn an_empty_queue_is_an_error_after_5_s() {
    let vod = Vod::start(Options::default()).await.unwrap();
    let mut client = Client::open(&vod).await;
    let since = Instant::now();
    client.write(&Call::new(Action::PullEvents, "{}")).await.unwrap();
    polled(&vod).await;
    // From here on time passes when nothing else happens.
    pause();
    let answer = client.read().await.unwrap();
    assert_eq!(answer.code(), "ResourceNotFound");
    let waited = since.elapsed();
    assert!(waited >= Duration::from_secs(5), "{waited:?}");
    assert!(waited < Duration::from_secs(6), "{waited:?}");
}

#[tokio::test]
async fn a_poll_that_waits_has_what_comes_back_unconfirmed() {
    let vod = Vod::start(Options { time_scale: 10.0, ..Options::default() }).await.unwrap();
    vod.issue_numbered(None, 0..1);
    let mut client = Client::open(&vod).await;
    let first = client.call(Action::PullEvents, "{}").await.handles();
    pause();
    let mut polls = 0;
    let again = loop {
        polls += 1;
        let answer = client.call(Action::PullEvents, "{}").await;
        if answer.code() != "ResourceNotFound" {
            break answer.handles();
        }
        assert!(polls < 10, "it never came back");
    };
    // 3 s are hidden, a poll takes 0.5 s.
    assert!((5..=7).contains(&polls), "{polls}");
    assert_ne!(again, first);
    assert_eq!(vod.summary().redelivered, 1);
}

#[tokio::test]
async fn stopping_lets_a_call_under_way_be_answered_and_takes_no_more() {
    let vod = Vod::start(Options { time_scale: 10.0, ..Options::default() }).await.unwrap();
    let (mut client, mut idle) = (Client::open(&vod).await, Client::open(&vod).await);
    assert_eq!(idle.call(Action::DescribeEventsState, "{}").await.code(), "");
    client.write(&Call::new(Action::PullEvents, "{}")).await.unwrap();
    polled(&vod).await;
    let url = vod.url();
    vod.stop(WITHIN).await;
    assert_eq!(client.read().await.unwrap().code(), "ResourceNotFound");
    assert!(idle.read().await.is_err());
    let address = url.trim_start_matches("http://").to_owned();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_101st_call_in_a_second_is_one_too_many() {
    let vod = Vod::start(Options::default()).await.unwrap();
    let mut client = Client::open(&vod).await;
    for n in 0..100 {
        assert_eq!(client.call(Action::DescribeEventsState, "{}").await.code(), "", "{n}");
    }
    let throttled = client.call(Action::DescribeEventsState, "{}").await;
    assert_eq!(throttled.code(), "RequestLimitExceeded");
    assert_eq!(vod.calls(Action::DescribeEventsState), 100);
    assert_eq!(client.call(Action::DescribeEventConfig, "{}").await.code(), "", "another action");
    advance(Duration::from_millis(10)).await;
    assert_eq!(client.call(Action::DescribeEventsState, "{}").await.code(), "");
}

#[tokio::test]
async fn what_is_modified_is_described_and_the_rest_stays() {
    let vod = Vod::start(Options::default()).await.unwrap();
    let mut client = Client::open(&vod).await;
    let mut config = async |change: Value| {
        let answer = client.call(Action::ModifyEventConfig, &change.to_string()).await;
        let mut config = client.call(Action::DescribeEventConfig, "{}").await.response();
        config.as_object_mut().unwrap().remove("RequestId");
        (answer.code(), config)
    };
    let mut expected = json!({
        "Mode": "PULL",
        "NotificationUrl": "",
        "UploadMediaCompleteEventSwitch": "ON",
        "DeleteMediaCompleteEventSwitch": "ON",
        "PersistenceCompleteEventSwitch": "ON",
    });
    assert_eq!(config(json!({})).await, (String::new(), expected.clone()));
    expected["NotificationUrl"] = json!("http://127.0.0.1:9/");
    expected["PersistenceCompleteEventSwitch"] = json!("OFF");
    let change = json!({
        "NotificationUrl": "http://127.0.0.1:9/",
        "PersistenceCompleteEventSwitch": "OFF",
        "SignKey": "Abc123",
    });
    assert_eq!(config(change).await, (String::new(), expected.clone()));
    for wrong in [
        json!({ "Mode": "BOTH", "NotificationUrl": "" }),
        json!({ "UploadMediaCompleteEventSwitch": "YES" }),
        json!({ "SignKey": "not-a-key!" }),
        json!({ "SignKey": "a".repeat(33) }),
    ] {
        let refused = ("InvalidParameterValue".to_owned(), expected.clone());
        assert_eq!(config(wrong.clone()).await, refused, "{wrong}");
    }
}

#[tokio::test]
async fn the_date_is_that_of_vods_clock() {
    let vod = Vod::start(Options::default()).await.unwrap();
    let mut client = Client::open(&vod).await;
    for ahead in [0_i64, 3600, -3600] {
        vod.set_clock_ahead(ahead);
        let expected = now().checked_add_signed(ahead).unwrap();
        let mut call = Call::new(Action::DescribeEventsState, "{}");
        let answer = client.send(&call).await.unwrap();
        let expired = if ahead == 0 { "" } else { "AuthFailure.SignatureExpire" };
        assert_eq!(answer.code(), expired, "{ahead}");
        let date = httpdate::parse_http_date(&answer.date.unwrap()).unwrap();
        let date = date.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(date.abs_diff(expected) < 60, "{date} {expected}");
        // Who goes by it is let in.
        call.timestamp = date;
        assert_eq!(client.send(&call).await.unwrap().code(), "");
    }
}

/// Waits until a poll has come in.
async fn polled(vod: &Vod) {
    let waits = async {
        while vod.calls(Action::PullEvents) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(WITHIN, waits).await.unwrap();
}
