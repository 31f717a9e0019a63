use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, advance};
use vodbridge_vod::credentials::{Credentials, Lookup, Origin};

use super::{failure, settings, within};

#[tokio::test(start_paused = true)]
async fn after_a_failure_there_is_a_pause_that_grows_to_a_minute() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let secret_key: Lookup = Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Err("the file is gone".to_owned())
    });
    let origin = Origin::Static { secret_id: "AKID".to_owned(), secret_key, token: None };
    let credentials = Credentials::new(settings(origin, &[])).unwrap();
    let mut last = Instant::now();
    let mut pauses = Vec::new();
    let mut known = 0;
    for _ in 0..6000 {
        let told = failure(&credentials).await;
        assert!(told.contains("the file is gone"), "{told}");
        let now = tries.load(Ordering::Relaxed);
        if now > known {
            pauses.push(last.elapsed());
            (known, last) = (now, Instant::now());
        }
        advance(Duration::from_millis(100)).await;
    }
    // 1, 2, 4, ... 60 s, each shortened by up to half; the first try comes at once.
    for (pause, longest) in pauses.iter().skip(1).zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        let longest = Duration::from_secs(longest);
        let range = longest / 2..=longest + Duration::from_millis(200);
        assert!(range.contains(pause), "{pauses:?}");
    }
    assert!((15..=30).contains(&known), "{known} tries in ten minutes: {pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_mended_is_used_after_the_pause() {
    let key = super::Text::new("");
    let origin =
        Origin::Static { secret_id: "AKID".to_owned(), secret_key: key.lookup(), token: None };
    let credentials = Credentials::new(settings(origin, &[])).unwrap();
    assert!(failure(&credentials).await.contains("secret_key cannot be read: it is empty"));
    assert!(credentials.status().failure.is_some());
    key.set(Ok("k"));
    advance(Duration::from_secs(1)).await;
    assert_eq!(within(credentials.current()).await.unwrap().secret_key, "k");
    assert!(credentials.status().failure.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cannot_be_read_for_a_while_leaves_the_old_one_in_use() {
    let key = super::Text::new("k");
    let origin =
        Origin::Static { secret_id: "AKID".to_owned(), secret_key: key.lookup(), token: None };
    let credentials = Credentials::new(settings(origin, &[])).unwrap();
    assert_eq!(within(credentials.current()).await.unwrap().secret_key, "k");
    key.set(Err("the file is gone"));
    advance(Duration::from_secs(1)).await;
    within(async {
        while credentials.status().failure.is_none() {
            assert_eq!(credentials.current().await.unwrap().secret_key, "k");
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(within(credentials.current()).await.unwrap().secret_key, "k");
}
