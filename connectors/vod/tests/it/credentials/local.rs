use std::time::Duration;

use vodbridge_vod::credentials::{Credentials, Origin};

use super::server::Server;
use super::{Text, comes_to, failure, id, session, settings, within};

const BOTH: [(&str, &str); 2] =
    [("TENCENTCLOUD_SECRET_ID", " AKIDenv "), ("TENCENTCLOUD_SECRET_KEY", "k")];

fn profile(file: Option<std::path::PathBuf>, name: &str) -> Origin {
    Origin::Profile { file, name: name.to_owned() }
}

#[tokio::test]
async fn the_environment_gives_a_key_and_a_token_if_there_is_one() {
    let credentials = Credentials::new(settings(Origin::Environment, &BOTH)).unwrap();
    let credential = within(credentials.current()).await.unwrap();
    assert_eq!((&*credential.secret_id, &*credential.secret_key), ("AKIDenv", "k"));
    assert_eq!(credential.token, None);

    let three = [BOTH[0], BOTH[1], ("TENCENTCLOUD_TOKEN", "t")];
    let credentials = Credentials::new(settings(Origin::Environment, &three)).unwrap();
    assert_eq!(within(credentials.current()).await.unwrap().token.as_deref(), Some("t"));
}

#[tokio::test]
async fn half_an_environment_is_told_by_the_half_that_is_missing() {
    for (there, missing) in [(BOTH[0], BOTH[1].0), (BOTH[1], BOTH[0].0)] {
        let credentials = Credentials::new(settings(Origin::Environment, &[there])).unwrap();
        assert!(failure(&credentials).await.contains(missing));
    }
}

#[tokio::test]
async fn a_secret_id_that_no_header_takes_is_told_as_what_it_is() {
    for bad in ["AK\u{e9}D", "AK ID", "AKID/x", "AK\nID"] {
        let variables = [("TENCENTCLOUD_SECRET_ID", bad), ("TENCENTCLOUD_SECRET_KEY", "k")];
        let mut settings = settings(Origin::Environment, &variables);
        settings.role_arn = Some("arn".to_owned());
        let told = failure(&Credentials::new(settings).unwrap()).await;
        assert!(told.starts_with("the SecretId is empty or has characters"), "{told}");
    }
}

#[tokio::test]
async fn the_profile_of_the_home_is_read_with_or_without_quotes() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".tencentcloud")).unwrap();
    let file = home.path().join(".tencentcloud/credentials");
    std::fs::write(
        &file,
        "[default]\nsecret_id = \"AKIDhome\"\nsecret_key=k\n[b]\nsecret_id=AKIDb\nsecret_key='k'",
    )
    .unwrap();
    let home = [("HOME", home.path().to_str().unwrap())];
    for (name, expected) in [("default", "AKIDhome"), ("b", "AKIDb")] {
        let credentials = Credentials::new(settings(profile(None, name), &home)).unwrap();
        assert_eq!(id(&credentials).await, expected);
        assert_eq!(credentials.status().from, format!("profile {name} of {}", file.display()));
    }
    let credentials = Credentials::new(settings(profile(None, "c"), &home)).unwrap();
    assert!(failure(&credentials).await.contains("it has no section [c]"));
}

#[tokio::test]
async fn without_a_profile_file_both_places_are_told() {
    for home in ["/nowhere", "/dev/null"] {
        let settings = settings(profile(None, "default"), &[("HOME", home)]);
        let told = failure(&Credentials::new(settings).unwrap()).await;
        let places = format!("{home}/.tencentcloud/credentials nor /etc/tencentcloud/credentials");
        assert!(told.contains(&places), "{told}");
    }
}

#[tokio::test]
async fn the_role_of_a_profile_is_assumed_in_the_session_that_is_set() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "[default]\nsecret_id=AKIDbase\nsecret_key=k\nrole_arn=\"arn:a\"\n")
        .unwrap();
    let sts = Server::start(|_| session("AKIDrole", u64::from(u32::MAX))).await;
    let mut settings = settings(profile(Some(file.path().to_owned()), "default"), &[]);
    settings.sts_endpoint.clone_from(&sts.endpoint);
    settings.session.name = "audit".to_owned();
    settings.session.duration = Duration::from_secs(900);
    assert_eq!(id(&Credentials::new(settings).unwrap()).await, "AKIDrole");
    let body: serde_json::Value = serde_json::from_slice(&sts.asked()[0].body).unwrap();
    let expected = serde_json::json!({
        "RoleArn": "arn:a", "RoleSessionName": "audit", "DurationSeconds": 900
    });
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_written_anew_is_picked_up_within_a_second() {
    let key = Text::new("first");
    let origin =
        Origin::Static { secret_id: "AKID".to_owned(), secret_key: key.lookup(), token: None };
    let credentials = Credentials::new(settings(origin, &[])).unwrap();
    assert_eq!(within(credentials.current()).await.unwrap().secret_key, "first");
    key.set(Ok("second\n"));
    assert_eq!(within(credentials.current()).await.unwrap().secret_key, "first");
    tokio::time::advance(Duration::from_secs(1)).await;
    within(async {
        while credentials.current().await.unwrap().secret_key != "second" {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_is_written_anew_is_picked_up_within_a_second() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "[default]\nsecret_id=AKIDa\nsecret_key=k").unwrap();
    let origin = profile(Some(file.path().to_owned()), "default");
    let credentials = Credentials::new(settings(origin, &[])).unwrap();
    assert_eq!(id(&credentials).await, "AKIDa");
    std::fs::write(&file, "[default]\nsecret_id=AKIDb\nsecret_key=k").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    comes_to(&credentials, "AKIDb").await;
}

#[tokio::test]
async fn a_session_out_of_its_range_is_told_at_once() {
    for seconds in [0, 43_201] {
        let mut settings = settings(Origin::Environment, &BOTH);
        settings.session.duration = Duration::from_secs(seconds);
        let told = Credentials::new(settings).unwrap_err().to_string();
        assert!(told.contains("role_duration") && told.contains("12h"), "{told}");
    }
}
