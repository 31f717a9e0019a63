use std::process::Output;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
use vodbridge_vod::api::EventConfig;
use vodsim::{Options, Vod};

use crate::program::{Home, PATIENCE};

const APPLICATION: Option<u64> = Some(1_500_012_345);

/// A VOD whose application is in this mode, and a home that pulls from it.
fn vod(runtime: &Runtime, mode: &str) -> (Vod, Home) {
    let config = EventConfig {
        mode: Some(mode.to_owned()),
        notification_url: Some("https://old.example/vod?token=hunter2".to_owned()),
        upload_media_complete_event_switch: Some("OFF".to_owned()),
        ..Options::default().config
    };
    let options = Options { applications: vec![APPLICATION], config, ..Options::default() };
    let vod = runtime.block_on(Vod::start(options)).unwrap();
    let home = Home::new(&format!(
        "applications: {{ movies: {{ sub_app_id: 1500012345, pull: {{ endpoint: {:?}, credentials: \
         {{ from: static, secret_id: AKIDexample, secret_key: example }} }} }} }}",
        vod.url()
    ));
    (vod, home)
}

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

#[test]
fn status_tells_what_does_not_fit_and_no_token() {
    let runtime = Runtime::new().unwrap();
    let (vod, home) = vod(&runtime, "PUSH");
    let output = home.vodbridge(&["vod", "status"]);
    let told = text(&output);
    assert!(output.status.success(), "{told}");
    for part in [
        "movies (1500012345)",
        "PUSH mode but only pull is configured",
        "NewFileUpload events are switched OFF",
        "https://old.example/vod?[redacted]",
    ] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
    let output = home.vodbridge(&["vod", "status", "--format", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["mode"], &told["queue_events"]), (&json!("PUSH"), &json!(0)));
    drop(vod);
    let output = home.vodbridge(&["vod", "status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("pull.endpoint"), "{}", text(&output));
}

#[test]
fn check_looks_at_vod_and_changes_nothing() {
    let runtime = Runtime::new().unwrap();
    let (vod, home) = vod(&runtime, "PUSH");
    let before = vod.config(APPLICATION);
    let output = home.vodbridge(&["check"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("PUSH mode but only pull is configured"), "{}", text(&output));
    assert_eq!(vod.config(APPLICATION), before);
    let right = EventConfig { mode: Some("PULL".to_owned()), ..Options::default().config };
    vod.set_config(APPLICATION, right);
    let output = home.vodbridge(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

#[test]
fn configure_shows_the_difference_and_changes_it_only_when_it_is_told_to() {
    let runtime = Runtime::new().unwrap();
    let (vod, home) = vod(&runtime, "PUSH");
    let before = vod.config(APPLICATION);
    let change = ["vod", "configure", "--mode", "pull", "--uploads", "on"];
    let output = home.vodbridge(&change);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(64), "nobody can be asked: {told}");
    for part in ["PUSH -> PULL", "OFF -> ON", "ten minutes", "cut off", "--yes"] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    assert_eq!(vod.config(APPLICATION), before, "nothing was changed");

    let output = home.vodbridge(&[&change[..], &["--yes"]].concat());
    assert!(output.status.success(), "{}", text(&output));
    let now = vod.config(APPLICATION);
    assert_eq!(now.mode.as_deref(), Some("PULL"));
    assert_eq!(now.upload_media_complete_event_switch.as_deref(), Some("ON"));
    assert_eq!(now.notification_url, before.notification_url, "what was not named stays");
    let output = home.vodbridge(&[&change[..], &["--yes"]].concat());
    assert!(text(&output).contains("nothing is to be changed"), "{}", text(&output));

    // What would not fit afterwards is said before.
    let output = home.vodbridge(&["vod", "configure", "--mode", "push", "--url", ""]);
    assert!(text(&output).contains("then the application is in PUSH mode"), "{}", text(&output));
    let output = home.vodbridge(&["vod", "configure"]);
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn a_sign_key_comes_from_a_file_and_is_shown_nowhere() {
    let runtime = Runtime::new().unwrap();
    let (_vod, home) = vod(&runtime, "PUSH");
    let file = home.path().join("key");
    std::fs::write(&file, "Hunter2\n").unwrap();
    let arguments = ["vod", "configure", "--yes", "--sign-key-file", file.to_str().unwrap()];
    let output = home.vodbridge(&arguments);
    let told = text(&output);
    assert!(output.status.success() && told.contains("sign key"), "{told}");
    assert!(!told.contains("Hunter2"), "{told}");
    std::fs::write(&file, "no-key").unwrap();
    let output = home.vodbridge(&arguments);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output).contains("letters and digits"), "{}", text(&output));
}

/// A push that VOD gives up and a pull that it hides are both sent again by the other way.
#[test]
fn a_mode_that_changes_under_a_bridge_that_serves_both_loses_and_doubles_nothing() {
    let runtime = Runtime::new().unwrap();
    let options = Options { calls_per_second: None, ..Options::default() };
    let vod = runtime.block_on(Vod::start(options)).unwrap();
    let program = Home::new(&format!(
        "applications: {{ movies: {{ callback: {{}}, pull: {{ endpoint: {:?}, credentials: \
         {{ from: static, secret_id: AKIDexample, secret_key: example }} }} }} }}",
        vod.url()
    ))
    .start();
    let mode = |mode: &str| EventConfig {
        mode: Some(mode.to_owned()),
        notification_url: Some(format!("http://{}/vod/movies", program.callbacks)),
        ..Options::default().config
    };
    for (turn, name) in (0..).zip(["PUSH", "PULL", "PUSH", "PULL", "PUSH"]) {
        vod.set_config(None, mode(name));
        vod.issue_numbered(None, turn * 300..(turn + 1) * 300);
        // The next change comes while events of this one are under way.
        let some = |now: &vodsim::Summary| now.confirmed >= turn * 300 + 100;
        runtime.block_on(vod.until(some, 3 * PATIENCE)).unwrap();
    }
    runtime.block_on(vod.until(|now| now.unconfirmed == 0, 3 * PATIENCE)).unwrap();
    let settled = |label: &str| program.metric("vodbridge_settled_total", label);
    assert_eq!(settled("outcome=\"delivered\""), 1500.0);
    let modes = ["callback", "pull"].map(|mode| settled(&format!("mode=\"{mode}\"")));
    assert!(modes.iter().all(|count| *count >= 300.0), "{modes:?}");
    assert_eq!(program.unaccounted(), 0.0);
    let home = program.home();
    assert!(program.terminate().success());
    let ids: std::collections::BTreeSet<_> =
        home.listed(&["events"]).iter().map(|e| e["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 1500);
}
