use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use vodbridge_vod::credentials::{Credentials, Origin};
use vodbridge_vod::tc3::{Authorization, Received};

use super::server::{Answer, Request, Server};
use super::{
    BEGINNING, Hands, Text, comes_to, failure, from_static, id, session, settings, within,
};

fn role(server: &Server, origin: Origin) -> Credentials {
    let mut settings = settings(origin, &[]);
    settings.sts_endpoint.clone_from(&server.endpoint);
    settings.role_arn = Some("qcs::cam::uin/1:roleName/vod".to_owned());
    Credentials::new(settings).unwrap()
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn pod(file: &Path) -> [(&'static str, &str); 4] {
    [
        ("TKE_REGION", "ap-nanjing"),
        ("TKE_PROVIDER_ID", "cls-1"),
        ("TKE_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("TKE_ROLE_ARN", "arn:pod"),
    ]
}

#[tokio::test]
async fn a_role_is_assumed_by_a_request_that_is_signed_for_sts() {
    let sts = Server::start(|_| session("AKIDrole", BEGINNING + 7200)).await;
    let origin = Origin::Static {
        secret_id: "AKIDstatic".to_owned(),
        secret_key: Text::new("hunter2").lookup(),
        token: Some(Text::new("base-token").lookup()),
    };
    let credentials = role(&sts, origin);
    let credential = within(credentials.current()).await.unwrap();
    assert_eq!(credential.secret_id, "AKIDrole");
    assert_eq!(credential.secret_key, "key-of-it");
    assert_eq!(credential.token.as_deref(), Some("token-of-it"));
    assert_eq!(credentials.status().from, "role qcs::cam::uin/1:roleName/vod by static");

    let [request] = sts.asked().try_into().ok().unwrap();
    assert_eq!((&*request.method, &*request.path), ("POST", "/"));
    for (name, value) in [
        ("x-tc-action", "AssumeRole"),
        ("x-tc-version", "2018-08-13"),
        ("x-tc-region", "ap-guangzhou"),
        ("x-tc-timestamp", &BEGINNING.to_string()),
        ("x-tc-token", "base-token"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert_eq!(
        body(&request),
        json!({
            "RoleArn": "qcs::cam::uin/1:roleName/vod",
            "RoleSessionName": "vodbridge",
            "DurationSeconds": 7200
        })
    );
    let authorization = request.header("authorization").unwrap();
    let parsed = Authorization::parse(authorization).unwrap();
    assert_eq!((parsed.secret_id, parsed.service), ("AKIDstatic", "sts"));
    let received = Received {
        authorization,
        timestamp: BEGINNING,
        now: BEGINNING,
        query: "",
        header: &|name| request.header(name),
        body: &request.body,
    };
    assert_eq!(parsed.verify(&received, "hunter2"), Ok(()));
}

#[tokio::test]
async fn a_pod_shows_the_token_that_its_file_holds_at_that_time() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "first\n").unwrap();
    let hands = Hands::new();
    let ends = hands.clone();
    let sts = Server::start(move |request| {
        session(&format!("AKID{}", body(request)["WebIdentityToken"].as_str().unwrap()), {
            let now = ends.clock()().duration_since(std::time::UNIX_EPOCH).unwrap();
            now.as_secs() + 7200
        })
    })
    .await;
    let mut settings = settings(Origin::TkeOidc, &pod(file.path()));
    settings.sts_endpoint.clone_from(&sts.endpoint);
    settings.clock = hands.clock();
    settings.session.name = "audit".to_owned();
    settings.session.duration = Duration::from_secs(3600);
    let credentials = Credentials::new(settings).unwrap();
    assert_eq!(id(&credentials).await, "AKIDfirst");
    std::fs::write(&file, "second").unwrap();
    hands.advance(7000);
    comes_to(&credentials, "AKIDsecond").await;

    let asked = sts.asked();
    for (request, token) in asked.iter().zip(["first", "second"]) {
        for (name, value) in [
            ("authorization", "SKIP"),
            ("x-tc-action", "AssumeRoleWithWebIdentity"),
            ("x-tc-version", "2018-08-13"),
            ("x-tc-region", "ap-nanjing"),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
        assert_eq!(
            body(request),
            json!({
                "ProviderId": "cls-1",
                "WebIdentityToken": token,
                "RoleArn": "arn:pod",
                "RoleSessionName": "audit",
                "DurationSeconds": 3600
            })
        );
    }
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn what_a_pod_lacks_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let all = pod(file.path());
    let told = failure(&Credentials::new(settings(Origin::TkeOidc, &all)).unwrap()).await;
    assert!(told.contains("it is missing or empty"), "{told}");
    for (name, _) in all {
        let rest: Vec<_> = all.into_iter().filter(|(other, _)| *other != name).collect();
        let told = failure(&Credentials::new(settings(Origin::TkeOidc, &rest)).unwrap()).await;
        assert!(told.starts_with(&format!("{name} is missing")), "{told}");
    }
    let mut bad = all;
    bad[0].1 = "ap\nnanjing";
    let told = failure(&Credentials::new(settings(Origin::TkeOidc, &bad)).unwrap()).await;
    assert!(told.starts_with("TKE_REGION is empty or has characters"), "{told}");
}

#[tokio::test]
async fn what_sts_answers_amiss_is_told() {
    let error = |code: &str| {
        let error = json!({"Code": code, "Message": "no", "RequestId": "x"});
        json!({"Response": {"Error": error, "RequestId": "r-1"}}).to_string()
    };
    let denied = error("UnauthorizedOperation.CamNoAuth");
    let late = error("AuthFailure.SignatureExpire");
    for (answer, expected) in [
        (Answer::ok(&denied), "AssumeRole failed with UnauthorizedOperation.CamNoAuth: no"),
        (Answer::ok(&denied), "request r-1"),
        (Answer::ok(&denied), "allow sts:AssumeRole"),
        (Answer::ok(&late), "set this machine's clock right"),
        (Answer::ok("<html>"), "what STS answered cannot be used"),
        (Answer::ok(r#"{"Response":{"RequestId":"r"}}"#), "it holds no whole credential"),
        (Answer::new(502, ""), "STS answered with HTTP status 502"),
        (Answer::new(307, "").with("Location: /elsewhere"), "HTTP status 307"),
        (session("AKID", u64::MAX), "it holds no whole credential"),
        (session("AKID", BEGINNING), "has ended already; check this machine's clock"),
        (session("", BEGINNING + 60), "the SecretId is empty"),
    ] {
        let answer = std::sync::Mutex::new(Some(answer));
        let sts = Server::start(move |_| answer.lock().unwrap().take().unwrap()).await;
        let told = failure(&role(&sts, from_static("k"))).await;
        assert!(told.contains(expected), "{told}");
        assert_eq!(sts.asked().len(), 1);
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_told() {
    let mut settings = settings(from_static("k"), &[]);
    settings.role_arn = Some("arn".to_owned());
    let told = failure(&Credentials::new(settings).unwrap()).await;
    assert!(told.starts_with("STS cannot be reached"), "{told}");
}

// Time is paused and goes on by itself while nothing happens: the bound is reached at once.
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_given_up_after_ten_seconds() {
    let sts = Server::held(|_| Answer::ok("")).await;
    let begun = tokio::time::Instant::now();
    let told = failure(&role(&sts, from_static("k"))).await;
    assert!(told.starts_with("STS did not answer within 10 s"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(11));
}
