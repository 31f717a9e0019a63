use std::time::Duration;

use vodbridge_vod::credentials::{Credentials, Origin};

use super::server::{Answer, Server};
use super::{BEGINNING, failure, id, metadata, session, settings, within};

/// Everything is there but what is named.
async fn first_of(without: &[&str]) -> (String, String) {
    let is_there = |name| !without.contains(&name);
    let home = tempfile::tempdir().unwrap();
    let token = home.path().join("token");
    std::fs::write(&token, "t").unwrap();
    if is_there("profile") {
        std::fs::create_dir(home.path().join(".tencentcloud")).unwrap();
        let text = "[default]\nsecret_id=AKIDprofile\nsecret_key=k";
        std::fs::write(home.path().join(".tencentcloud/credentials"), text).unwrap();
    }
    let has_role = is_there("cvm_role");
    let cvm = Server::start(move |request| {
        if has_role { metadata(request, "AKIDcvm", BEGINNING + 7200) } else { Answer::new(404, "") }
    })
    .await;
    let sts = Server::start(|_| session("AKIDtke", BEGINNING + 7200)).await;
    let mut variables = vec![("HOME", home.path().to_str().unwrap())];
    if is_there("environment") {
        variables.extend([("TENCENTCLOUD_SECRET_ID", "AKIDenv"), ("TENCENTCLOUD_SECRET_KEY", "k")]);
    }
    if is_there("tke_oidc") {
        variables.extend([
            ("TKE_REGION", "r"),
            ("TKE_PROVIDER_ID", "p"),
            ("TKE_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
            ("TKE_ROLE_ARN", "arn"),
        ]);
    }
    let mut settings = settings(Origin::Chain, &variables);
    settings.metadata_endpoint.clone_from(&cvm.endpoint);
    settings.sts_endpoint.clone_from(&sts.endpoint);
    let credentials = Credentials::new(settings).unwrap();
    if without.len() == 4 {
        return (String::new(), failure(&credentials).await);
    }
    (id(&credentials).await, credentials.status().from)
}

#[tokio::test]
async fn the_first_that_is_there_is_taken() {
    let order = ["environment", "profile", "cvm_role", "tke_oidc"];
    for (n, expected) in ["AKIDenv", "AKIDprofile", "AKIDcvm", "AKIDtke"].iter().enumerate() {
        let (id, from) = first_of(&order[..n]).await;
        assert_eq!(id, *expected);
        assert!(from.starts_with(order[n]), "{from}");
    }
}

#[tokio::test]
async fn when_none_is_there_all_four_are_told() {
    let (_, told) = first_of(&["environment", "profile", "cvm_role", "tke_oidc"]).await;
    for source in ["environment: ", "profile: ", "cvm_role: ", "tke_oidc: "] {
        assert!(told.contains(source), "{told}");
    }
}

#[tokio::test]
async fn one_that_is_there_and_broken_is_told_and_not_passed_over() {
    let variables = [("TENCENTCLOUD_SECRET_ID", "AKIDenv")];
    let told = failure(&Credentials::new(settings(Origin::Chain, &variables)).unwrap()).await;
    assert!(told.starts_with("TENCENTCLOUD_SECRET_KEY is missing"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn the_one_that_was_taken_is_kept_to_though_it_goes_missing() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".tencentcloud/credentials");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "[default]\nsecret_id=AKIDprofile\nsecret_key=k").unwrap();
    let variables = [("HOME", home.path().to_str().unwrap())];
    let credentials = Credentials::new(settings(Origin::Chain, &variables)).unwrap();
    assert_eq!(id(&credentials).await, "AKIDprofile");
    std::fs::remove_file(&file).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    let failure = within(async {
        loop {
            assert_eq!(id(&credentials).await, "AKIDprofile");
            if let Some(failure) = credentials.status().failure {
                return failure.to_string();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(failure.starts_with("profile: there is no"), "{failure}");
}
