//! The vendor's own Python SDK as the judge: it talks to the simulator as it does to the real VOD,
//! and says whether our signatures are those that it would make.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use vodbridge_vod::api::Action;
use vodbridge_vod::tc3::{Credential, Request};
use vodsim::callback::file_id;
use vodsim::{Options, Vod};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_pulls_and_confirms_until_the_queue_is_empty() {
    let vod = Vod::start(Options { time_scale: 10.0, ..Options::default() }).await.unwrap();
    vod.issue_numbered(None, 0..40);
    let told = pull(&vod).await;

    assert_eq!(told["waiting"], 40);
    assert_eq!(told["batches"], json!([16, 16, 8]));
    assert_eq!(told["files"], json!((0..40).map(file_id).collect::<Vec<_>>()));
    assert_eq!(told["end"], "ResourceNotFound");
    assert_eq!(told["config"], json!(["PULL", "ON", "OFF"]));
    assert_eq!(told["confirming_again"], "InvalidParameterValue");
    let summary = vod.summary();
    assert_eq!((summary.confirmed, summary.redelivered), (40, 0), "{summary:?}");
    assert_eq!(vod.calls(Action::PullEvents), 4);
    let switch = vod.config(None).delete_media_complete_event_switch;
    assert_eq!(switch.as_deref(), Some("OFF"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_sees_a_wrong_key_as_a_wrong_signature() {
    let vod = Vod::start(Options::default()).await.unwrap();
    let [port, secret_id, _] = arguments(&vod);
    let output = run("pull.py", &[port, secret_id, "other".to_owned()], "").await;

    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("code:AuthFailure.SignatureFailure"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_we_sign_the_sdk_signs_alike() {
    let credential =
        Credential { secret_id: "AKID".into(), secret_key: "geheim/€".into(), token: None };
    let bodies =
        ["{}", r#"{"SubAppId":1500000000,"EventHandles":["8078360634045903972"]}"#, "{\"å\":1}"];
    let hosts = ["vod.tencentcloudapi.com", "127.0.0.1:7070"];
    for ((body, host), timestamp) in bodies
        .iter()
        .flat_map(|body| hosts.map(|host| (*body, host)))
        .zip([0, 951_782_399, 1_767_225_599, 1_767_225_600, 1_795_000_000, 4_107_542_400])
    {
        let content_type = "application/json";
        let request =
            Request { service: "vod", host, content_type, timestamp, body: body.as_bytes() };
        let sent = |body: &str| {
            json!({
                "secret_id": credential.secret_id,
                "secret_key": credential.secret_key,
                "service": "vod",
                "body": body,
                "headers": {
                    "Authorization": request.authorization(&credential),
                    "Content-Type": content_type,
                    "Host": host,
                    "X-TC-Timestamp": timestamp.to_string(),
                },
            })
            .to_string()
        };
        let good = run("verify.py", &[], &sent(body)).await;
        assert!(good.status.success(), "{body} {host} {timestamp}: {good:?}");
        let changed = run("verify.py", &[], &sent(&format!("{body} "))).await;
        assert_eq!(changed.status.code(), Some(1), "{changed:?}");
        assert!(String::from_utf8_lossy(&changed.stderr).starts_with("the SDK says TC3-HMAC-"));
    }
}

/// What `pull.py` says that it was told.
async fn pull(vod: &Vod) -> Value {
    let output = run("pull.py", &arguments(vod), "").await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one line of JSON")
}

fn arguments(vod: &Vod) -> [String; 3] {
    let url = vod.url();
    let port = url.rsplit(':').next().expect("an address has a port");
    [port.to_owned(), "AKIDexample".to_owned(), "example".to_owned()]
}

/// Runs a script of `tests/sdk` with the SDK, which must end within a minute.
async fn run(script: &str, arguments: &[String], input: &str) -> Output {
    let mut command = tokio::process::Command::new(sdk().join("venv/bin/python3"));
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/").to_owned() + script)
        .args(arguments)
        // A proxy would come between.
        .env_clear()
        .env("PYTHONWARNINGS", "ignore")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("the environment has a Python");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A script that reads nothing may have gone already.
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    let output = timeout(Duration::from_secs(60), child.wait_with_output()).await;
    output.expect("the script ends within a minute").expect("its output can be read")
}

/// The folder with the SDK, fetched now if it was not yet. Blocks.
fn sdk() -> PathBuf {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../brokers/fetch"))
        .arg("sdk")
        .stdin(Stdio::null())
        .output()
        .expect("tests/brokers/fetch can be run: it needs bash");
    assert!(
        output.status.success(),
        "the vendor's Python SDK is missing and could not be fetched; `tests/brokers/fetch sdk` \
         gets it, with Python 3, its venv module and the package index:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let folder = String::from_utf8(output.stdout).expect("a path in UTF-8");
    PathBuf::from(folder.trim_end())
}
