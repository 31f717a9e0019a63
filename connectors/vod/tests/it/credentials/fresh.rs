use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use tokio::task::JoinSet;
use vodbridge_vod::credentials::{Credentials, Origin};

use super::server::{Answer, Server};
use super::{Hands, comes_to, failure, from_static, id, session, settings, within};

/// Sessions of two hours: AKID1, AKID2, ...
fn sessions(hands: &Hands) -> impl Fn(&super::Request) -> Answer + Send + Sync + 'static {
    let (clock, count) = (hands.clock(), AtomicU64::new(0));
    move |_| {
        let n = count.fetch_add(1, Ordering::Relaxed) + 1;
        let now = clock().duration_since(UNIX_EPOCH).unwrap().as_secs();
        session(&format!("AKID{n}"), now + 7200)
    }
}

fn role(sts: &Server, hands: &Hands) -> Credentials {
    let mut settings = settings(from_static("k"), &[]);
    settings.sts_endpoint.clone_from(&sts.endpoint);
    settings.role_arn = Some("arn".to_owned());
    settings.clock = hands.clock();
    Credentials::new(settings).unwrap()
}

#[tokio::test]
async fn a_hundred_callers_cause_one_fetch() {
    let hands = Hands::new();
    let sts = Server::held(sessions(&hands)).await;
    let credentials = role(&sts, &hands);
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let credentials = credentials.clone();
        callers.spawn(async move { id(&credentials).await });
    }
    sts.arrived(1).await;
    sts.let_through(100);
    let ids = within(callers.join_all()).await;
    assert!(ids.iter().all(|id| id == "AKID1"));
    assert_eq!((ids.len(), sts.asked().len()), (100, 1));
}

#[tokio::test]
async fn the_old_one_is_handed_out_while_the_next_is_fetched_ahead_of_its_end() {
    let hands = Hands::new();
    let sts = Server::held(sessions(&hands)).await;
    sts.let_through(1);
    let credentials = role(&sts, &hands);
    assert_eq!(id(&credentials).await, "AKID1");
    // A tenth of two hours is 720 s.
    hands.advance(7200 - 720 - 1);
    assert_eq!(id(&credentials).await, "AKID1");
    assert_eq!(sts.asked().len(), 1);
    hands.advance(1);
    assert_eq!(id(&credentials).await, "AKID1");
    sts.arrived(2).await;
    for _ in 0..10 {
        assert_eq!(id(&credentials).await, "AKID1");
    }
    sts.let_through(1);
    comes_to(&credentials, "AKID2").await;
    assert_eq!(sts.asked().len(), 2);
}

#[tokio::test]
async fn a_caller_that_is_dropped_ends_no_fetch() {
    let hands = Hands::new();
    let sts = Server::held(sessions(&hands)).await;
    let credentials = role(&sts, &hands);
    tokio::select! {
        () = sts.arrived(1) => {}
        _ = credentials.current() => panic!("nothing was let through"),
    }
    sts.let_through(1);
    assert_eq!(id(&credentials).await, "AKID1");
    assert_eq!(sts.asked().len(), 1);
}

#[tokio::test]
async fn a_fetch_ends_with_the_last_who_could_use_it() {
    let released = Arc::new(());
    let (settings, watched) = {
        let hold = Arc::clone(&released);
        let mut settings = settings(Origin::CvmRole, &[]);
        let clock = Arc::clone(&settings.clock);
        settings.clock = Arc::new(move || {
            let _held = &hold;
            clock()
        });
        (settings, Arc::downgrade(&released))
    };
    drop(released);
    let sts = Server::held(|_| Answer::ok("")).await;
    let settings = vodbridge_vod::credentials::Settings {
        metadata_endpoint: sts.endpoint.clone(),
        ..settings
    };
    let credentials = Credentials::new(settings).unwrap();
    tokio::select! {
        () = sts.arrived(1) => {}
        _ = credentials.current() => panic!("nothing was let through"),
    }
    drop(credentials);
    within(async {
        while watched.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stale_one_is_used_until_it_ends_and_then_the_failure_is_told() {
    let hands = Hands::new();
    let first = std::sync::Mutex::new(Some(sessions(&hands)));
    let sts = Server::start(move |request| match first.lock().unwrap().take() {
        Some(answer) => answer(request),
        None => Answer::new(503, ""),
    })
    .await;
    let credentials = role(&sts, &hands);
    assert_eq!(id(&credentials).await, "AKID1");
    hands.advance(7000);
    assert_eq!(id(&credentials).await, "AKID1");
    within(async {
        while credentials.status().failure.is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(id(&credentials).await, "AKID1");
    hands.advance(199);
    assert_eq!(id(&credentials).await, "AKID1");
    hands.advance(1);
    assert!(failure(&credentials).await.contains("HTTP status 503"));
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_is_refused_is_fetched_anew_once() {
    let hands = Hands::new();
    let sts = Server::start(sessions(&hands)).await;
    let credentials = role(&sts, &hands);
    let first = within(credentials.current()).await.unwrap();
    credentials.reject(&first);
    credentials.reject(&first);
    assert_eq!(id(&credentials).await, "AKID2");
    // One that is not held any more says nothing of the one that is.
    credentials.reject(&first);
    assert_eq!(id(&credentials).await, "AKID2");
    assert_eq!(sts.asked().len(), 2);
    // Nor is a second refusal acted on so soon.
    let second = within(credentials.current()).await.unwrap();
    credentials.reject(&second);
    assert_eq!(id(&credentials).await, "AKID2");
    tokio::time::advance(std::time::Duration::from_secs(10)).await;
    credentials.reject(&second);
    assert_eq!(id(&credentials).await, "AKID3");
}
