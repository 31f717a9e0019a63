use vodbridge_vod::credentials::{Credentials, Origin};

use super::server::{Answer, Server};
use super::{BEGINNING, Text, settings, told, within};

/// Secrets, as they stand in whatever is fetched or given.
const SECRET: &str = "hunter";

#[tokio::test]
async fn no_secret_is_shown() {
    let whole = |ends: u64| {
        format!(
            r#"{{"Response":{{"Credentials":{{"Token":"hunter1","TmpSecretId":"AKID","TmpSecretKey":"hunter2"}},"ExpiredTime":{ends}}}}}"#
        )
    };
    let answers = [
        Answer::ok(&whole(BEGINNING + 7200)),
        Answer::ok(&whole(1)),
        Answer::ok(r#"{"Response":{"Credentials":"hunter3","ExpiredTime":"hunter4"}}"#),
        Answer::ok("hunter5"),
        Answer::new(403, "hunter6"),
    ];
    for answer in answers {
        let answer = std::sync::Mutex::new(Some(answer));
        let sts = Server::start(move |_| answer.lock().unwrap().take().unwrap()).await;
        let origin = Origin::Static {
            secret_id: "AKID".to_owned(),
            secret_key: Text::new("hunter7").lookup(),
            token: Some(Text::new("hunter8").lookup()),
        };
        let mut settings = settings(origin, &[("TENCENTCLOUD_SECRET_KEY", "hunter9")]);
        settings.sts_endpoint.clone_from(&sts.endpoint);
        settings.role_arn = Some("arn".to_owned());
        let shown = format!("{settings:?}");
        let credentials = Credentials::new(settings).unwrap();
        let result = within(credentials.current()).await;
        let error = result.as_ref().err().map(|error| told(error));
        let shown = format!("{shown}{credentials:?}{result:?}{error:?}{:?}", credentials.status());
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[tokio::test]
async fn a_secret_that_no_request_can_carry_is_not_shown_either() {
    for (key, token) in [("hunter2", "hunter\n3"), ("hunter2", "hunter\u{e9}")] {
        let origin = Origin::Static {
            secret_id: "AKID".to_owned(),
            secret_key: Text::new(key).lookup(),
            token: Some(Text::new(token).lookup()),
        };
        let error = within(Credentials::new(settings(origin, &[])).unwrap().current()).await;
        let error = error.unwrap_err();
        let shown = format!("{error:?} {}", told(&error));
        assert!(shown.contains("the token") && !shown.contains(SECRET), "{shown}");
    }
}

#[tokio::test]
async fn an_address_with_a_password_is_refused_without_it() {
    for address in ["http://me:hunter2@host", "ftp://hunter2", "https://host/hunter2", "hunter2"] {
        let mut settings = settings(Origin::CvmRole, &[]);
        settings.metadata_endpoint = address.to_owned();
        let error = Credentials::new(settings).unwrap_err();
        let shown = format!("{error:?} {error}");
        assert!(shown.contains("metadata_endpoint") && !shown.contains(SECRET), "{shown}");
    }
}
