use std::time::{Duration, UNIX_EPOCH};

use vodbridge_vod::credentials::{Credentials, Origin};

use super::server::{Answer, Server};
use super::{BEGINNING, failure, metadata, settings, within};

const PATH: &str = "/latest/meta-data/cam/security-credentials/";

fn credentials(server: &Server) -> Credentials {
    let mut settings = settings(Origin::CvmRole, &[]);
    settings.metadata_endpoint.clone_from(&server.endpoint);
    Credentials::new(settings).unwrap()
}

#[tokio::test]
async fn a_cvm_is_asked_for_its_role_and_then_for_the_roles_credential() {
    let server = Server::start(|request| metadata(request, "AKIDcvm", BEGINNING + 7200)).await;
    let credentials = credentials(&server);
    let credential = within(credentials.current()).await.unwrap();
    assert_eq!(credential.secret_id, "AKIDcvm");
    assert_eq!(credential.secret_key, "key-of-it");
    assert_eq!(credential.token.as_deref(), Some("token-of-it"));
    let asked: Vec<_> = server.asked().into_iter().map(|r| (r.method, r.path)).collect();
    let get = |path: String| ("GET".to_owned(), path);
    assert_eq!(asked, [get(PATH.to_owned()), get(format!("{PATH}vod"))]);
    let status = credentials.status();
    assert_eq!(status.from, "cvm_role vod");
    assert_eq!(status.ends, Some(UNIX_EPOCH + Duration::from_secs(BEGINNING + 7200)));
}

#[tokio::test]
async fn the_sample_of_the_vendor_is_read() {
    let sample = include_str!("../../../samples/api/cvm-role-metadata.response.json");
    let server = Server::start(move |request| match request.path.as_str() {
        PATH => Answer::ok("vod"),
        _ => Answer::ok(sample),
    })
    .await;
    let credential = within(credentials(&server).current()).await.unwrap();
    assert_eq!(credential.secret_id, "AKIDtemporaryEXAMPLE0000000000000001");
}

#[tokio::test]
async fn what_a_cvm_answers_amiss_is_told() {
    for (list, role, expected) in [
        (Answer::new(404, ""), "", "no role is bound to this CVM"),
        (Answer::ok(""), "", "it names no role"),
        (Answer::ok("<html>"), "", "it names no role"),
        (Answer::new(302, "").with("Location: /elsewhere"), "", "HTTP status 302"),
        (Answer::new(500, ""), "", "HTTP status 500"),
        (Answer::ok(&"x".repeat(100_000)), "", "longer than 64 KiB"),
        (Answer::ok("vod"), "<html>", "it is not a role's credential"),
        (Answer::ok("vod"), r#"{"Code":"Failure"}"#, "its Code is \"Failure\""),
        (Answer::ok("vod"), "{}", "its Code is \"none\""),
        (Answer::ok("vod"), r#"{"Code":"Success"}"#, "it is not a role's credential"),
        (
            Answer::ok("vod"),
            r#"{"Code":"Success","TmpSecretId":"i","TmpSecretKey":"k","Token":"t"}"#,
            "it is not a role's credential",
        ),
        (
            Answer::ok("vod"),
            r#"{"Code":"Success","TmpSecretId":"i","TmpSecretKey":"k","Token":"t","ExpiredTime":18446744073709551615}"#,
            "it is not a role's credential",
        ),
        (
            Answer::ok("vod"),
            r#"{"Code":"Success","TmpSecretId":"i","TmpSecretKey":"k","Token":"t","ExpiredTime":1}"#,
            "check this machine's clock",
        ),
    ] {
        let list = std::sync::Mutex::new(Some(list));
        let server = Server::start(move |request| match request.path.as_str() {
            PATH => list.lock().unwrap().take().unwrap(),
            _ => Answer::ok(role),
        })
        .await;
        let told = failure(&credentials(&server)).await;
        assert!(told.contains(expected), "{told}");
    }
}
