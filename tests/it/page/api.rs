//! What the API tells and does.

use std::fs;
use std::time::SystemTime;

use serde_json::Value;

use super::stage::{CALLBACK_TOKEN, HOLIDAY, Stage, TOKEN, event, movies};
use crate::program::{PATIENCE, raw};

const WITH_TOKEN: &str = ", token: a-token-of-the-operators";

/// Everything that can be read.
const READABLE: [&str; 7] = [
    "/api/state",
    "/api/events",
    "/api/events/1",
    "/api/events/h1",
    "/api/dead-letters",
    "/api/dead-letters/1",
    "/api/dead-letters/2",
];

fn stage_with_events(admin: &str) -> Stage {
    let stage = Stage::set(admin);
    stage.post("TranscodeComplete", "a", "5285890784273533167");
    stage.post("ComposeMediaComplete", "b", "5285890784273533168");
    stage.rows("/api/events", 2);
    stage
}

/// The words of the parser that stand in the second letter's reason.
const DETAIL: &str = "not JSON";

#[test]
fn without_a_token_there_are_state_and_what_is_known_of_events_and_no_payload() {
    let stage = stage_with_events("");
    for path in READABLE {
        // A token that somebody brings all the same opens nothing.
        for token in [None, Some(TOKEN), Some(CALLBACK_TOKEN)] {
            let reply = stage.get(path, token);
            assert_eq!(reply.status, 200, "{path}");
            for secret in [HOLIDAY, CALLBACK_TOKEN, TOKEN, DETAIL, "9007199254740993"] {
                assert!(!reply.body.contains(secret), "{path} tells {secret}: {}", reply.body);
            }
        }
    }
    let events = stage.get("/api/events", None).json();
    let row = &events["rows"][1];
    for (key, value) in [
        ("seq", "h1"),
        ("id", "TranscodeComplete:a"),
        ("event_type", "TranscodeComplete"),
        ("application", "movies"),
        ("file", "5285890784273533167"),
        ("task", "a"),
        ("route", "rest"),
        ("topic", "vod.TranscodeComplete"),
    ] {
        assert_eq!(row[key], value, "{row:#}");
    }
    assert_eq!(row["acknowledged"], serde_json::json!(["edge"]));
    let letters = stage.get("/api/dead-letters", None).json();
    let reasons: Vec<_> =
        letters["rows"].as_array().unwrap().iter().map(|r| &r["reason"]).collect();
    assert_eq!(reasons, ["not_json", "unrouted"]);
    for (method, path) in [
        ("POST", "/api/dead-letters/1/replay"),
        ("POST", "/api/events/h1/replay"),
        ("DELETE", "/api/dead-letters/1"),
    ] {
        let reply = stage.ask(method, path, Some(TOKEN));
        assert_eq!(reply.status, 403, "{method} {path}");
        assert!(reply.error().contains("admin: { token: { file:"), "{}", reply.error());
    }
    let withheld = stage.get("/api/dead-letters/1", None).json()["withheld"].clone();
    assert!(withheld.as_str().unwrap().contains("no token is configured"), "{withheld}");
    assert_eq!(stage.server.messages().len(), 1);
    assert_eq!(stage.rows("/api/dead-letters", 2).len(), 2);
}

#[test]
fn a_wrong_token_gets_nothing_none_gets_what_all_may_see_and_the_right_one_gets_payloads() {
    let stage = stage_with_events(WITH_TOKEN);
    for path in READABLE {
        for wrong in
            ["", "x", "a-token-of-the-operator", "a-token-of-the-operators2", CALLBACK_TOKEN]
        {
            let reply = stage.get(path, Some(wrong));
            assert_eq!(reply.status, 401, "{path} with {wrong:?}");
            assert!(
                reply.head.to_lowercase().contains("www-authenticate: bearer"),
                "{}",
                reply.head
            );
        }
        let open = stage.get(path, None);
        assert_eq!(open.status, 200);
        assert!(!open.body.contains(HOLIDAY) && !open.body.contains(DETAIL), "{}", open.body);
        assert!(!stage.get(path, Some(TOKEN)).body.contains(TOKEN), "{path}");
    }
    let basic = stage.program.ask("GET", "/api/state", &[("Authorization", "Basic YTpi")]);
    assert_eq!(basic.status, 401);
    for path in ["/api/dead-letters/1/replay", "/api/events/h1/replay"] {
        assert_eq!(stage.ask("POST", path, None).status, 401, "{path}");
        assert_eq!(stage.ask("POST", path, Some("x")).status, 401, "{path}");
    }
    assert_eq!(stage.ask("DELETE", "/api/dead-letters/1", None).status, 401);

    let shown = stage.get("/api/events/h1", Some(TOKEN)).json();
    let text = shown["payload"]["text"].as_str().unwrap();
    // Byte for byte: the number is larger than a float bears.
    assert!(text.contains(HOLIDAY) && text.contains("9007199254740993"), "{text}");
    assert_eq!(shown["attributes"]["vodsubappid"], "1500012345");
    assert_eq!(shown["replay"]["topic"], "vod.TranscodeComplete");
    let broken = stage.get("/api/dead-letters/2", Some(TOKEN)).json();
    assert_eq!(broken["payload"]["text"], "{not json");
    assert!(broken["detail"].as_str().unwrap().contains(DETAIL), "{broken:#}");
    assert_eq!(broken["replay"]["possible"], false);
    assert_eq!(stage.server.messages().len(), 1, "nothing was sent");
}

#[test]
fn a_letter_goes_out_by_the_routes_of_the_bridge_that_runs_and_goes_once_it_is_acknowledged() {
    let mut stage = Stage::set(WITH_TOKEN);
    let received = stage.program.metric("vodbridge_received_total", "");
    stage.server.nats.kill();
    let reply = stage.ask("POST", "/api/dead-letters/1/replay", Some(TOKEN));
    assert_eq!(reply.status, 503, "{}", reply.body);
    assert!(reply.error().contains("it stays as it is"), "{}", reply.error());
    assert_eq!(stage.rows("/api/dead-letters", 2).len(), 2, "it is still there, once");

    let Stage { server, .. } = &mut stage;
    server.runtime.block_on(server.nats.restart());
    stage.until("/api/state", |state| state["status"] == "ready");
    let sent = stage.ask("POST", "/api/dead-letters/1/replay", Some(TOKEN));
    assert_eq!(sent.status, 200, "{}", sent.body);
    let sent = sent.json();
    assert_eq!((&sent["replayed"], &sent["removed"]), (&Value::Bool(true), &Value::Bool(true)));
    let messages = stage.server.messages();
    let last = messages.last().unwrap();
    assert_eq!(
        (last.id.as_str(), last.subject.as_str()),
        ("PullComplete:owed", "vod.PullComplete")
    );
    assert_eq!(last.replay.as_deref(), sent["vodreplay"].as_str());
    assert_eq!(stage.ask("POST", "/api/dead-letters/1/replay", Some(TOKEN)).status, 404);

    let stays = stage.ask("POST", "/api/dead-letters/2/replay", Some(TOKEN));
    assert_eq!((stays.status, stays.error().as_str()), (409, "what came in is no event"));
    assert_eq!(stage.ask("DELETE", "/api/dead-letters/2", Some(TOKEN)).status, 200);
    assert_eq!(stage.ask("DELETE", "/api/dead-letters/2", Some(TOKEN)).status, 404);
    assert!(stage.get("/api/dead-letters", None).json()["rows"].as_array().unwrap().is_empty());
    assert_eq!(stage.program.metric("vodbridge_received_total", ""), received, "nobody sent it");
    assert_eq!(stage.program.unaccounted(), 0.0);
    assert!(stage.program.metric("vodbridge_published_total", "acknowledged") >= 1.0);
}

#[test]
fn of_two_who_send_a_letter_again_at_once_one_is_sent_away() {
    let mut stage = Stage::set(WITH_TOKEN);
    // A broker that says nothing: whoever is first waits for it.
    let Stage { server, .. } = &mut stage;
    server.runtime.block_on(server.nats.freeze());
    let request = format!(
        "POST /api/dead-letters/1/replay HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {TOKEN}\r\n\r\n"
    );
    let admin = stage.program.admin;
    let replay = || raw(admin, request.as_bytes()).expect("an answer");
    let mut answers = std::thread::scope(|scope| {
        let both = [scope.spawn(replay), scope.spawn(replay)];
        both.map(|one| one.join().unwrap())
    });
    answers.sort_by_key(|answer| answer.error().contains("another event"));
    let [first, second] = answers;
    assert_eq!((first.status, second.status), (503, 503));
    assert!(first.error().contains("not every required connector"), "{}", first.error());
    assert!(second.error().contains("another event is being sent again"), "{}", second.error());
    assert_eq!(stage.rows("/api/dead-letters", 2).len(), 2, "both are still there");
}

#[test]
fn an_event_is_sent_again_past_the_memory_of_duplicates_as_often_as_somebody_wants() {
    let stage = stage_with_events(WITH_TOKEN);
    // The callback that comes again is a duplicate; what an operator sends again is not.
    movies(&stage.program, &event("TranscodeComplete", "a", "5285890784273533167"));
    assert_eq!(stage.server.messages().len(), 1);
    for _ in 0..2 {
        assert_eq!(stage.ask("POST", "/api/events/h1/replay", Some(TOKEN)).status, 200);
    }
    let messages = stage.server.messages();
    let ids: Vec<_> = messages.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(ids, ["TranscodeComplete:a"; 3]);
    assert!(messages[1].replay.is_some() && messages[1].replay != messages[2].replay);
    // Into the journal of the bridge that runs, too, which no command beside it can.
    assert_eq!(stage.ask("POST", "/api/events/1/replay", Some(TOKEN)).status, 200);
    assert_eq!(stage.rows("/api/events?task=b", 2).len(), 2);
    // And the bridge knows the event as it did before.
    movies(&stage.program, &event("TranscodeComplete", "a", "5285890784273533167"));
    assert_eq!(stage.server.messages().len(), 3);
}

#[test]
fn the_state_accounts_for_every_event_and_shows_what_is_down() {
    let mut stage = stage_with_events("");
    let state = stage.get("/api/state", None).json();
    let sum = &state["conservation"];
    for (key, count) in [
        ("received", 2),
        ("recovered", 0),
        ("settled", 2),
        ("in_flight", 0),
        ("waiting", 0),
        ("missing", 0),
    ] {
        assert_eq!(sum[key], count, "{key} in {sum:#}");
    }
    assert_eq!(sum["outcomes"]["delivered"], 2);
    assert_eq!(state["routes"][0]["match"]["event"][0], "Compose*");
    assert_eq!(state["connectors"][0]["type"], "nats");
    assert_eq!(state["connectors"][0]["published"]["acknowledged"], 1);
    let shares = state["journal"]["shares"].as_array().unwrap();
    assert_eq!(shares.iter().find(|s| s["name"] == "dead_letters").unwrap()["rows"], 2);
    stage.until("/api/state", |state| {
        state["connectors"][0]["survives"]["process"]["answer"] == "yes"
    });

    stage.server.nats.kill();
    let body = event("PullComplete", "late", "1");
    assert_eq!(stage.program.post("/vod/clips", body.as_bytes()).status, 503);
    let state = stage.until("/api/state", |state| {
        state["connectors"][0]["up"] == false && unsettled(&state["conservation"]) == 1
    });
    assert_eq!(state["conservation"]["missing"], 0);
    assert!(state["connectors"][0]["error"].is_string());
    let clips = &state["applications"][0];
    assert_eq!((clips["name"].as_str(), unsettled(clips)), (Some("clips"), 1));
    assert!(clips["oldest_unsettled_seconds"].as_f64().unwrap() > 0.0);
}

/// What is kept, whether it waits or probes the broker just now.
fn unsettled(account: &Value) -> u64 {
    account["waiting"].as_u64().unwrap() + account["in_flight"].as_u64().unwrap()
}

#[test]
fn the_token_is_exchanged_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "old\n").unwrap();
    let stage = Stage::set(&format!(", token: [{{ file: {path:?} }}, second]"));
    let access = |token: &str| {
        let reply = stage.get("/api/state", Some(token));
        (reply.status == 200).then(|| reply.json()["access"].clone())
    };
    assert_eq!(access("old"), Some(Value::from("granted")));
    assert_eq!(access("second"), Some(Value::from("granted")));
    fs::write(&path, "new\n").unwrap();
    let give_up = SystemTime::now() + PATIENCE;
    while access("new").is_none() {
        assert!(SystemTime::now() < give_up, "the new token is not taken");
        std::thread::yield_now();
    }
    assert_eq!(access("old"), None);
    assert!(stage.home().path().exists());
}

#[test]
fn a_payload_is_shown_up_to_a_size_and_a_command_shows_the_rest() {
    let stage = Stage::set(WITH_TOKEN);
    let filler = "€".repeat(30_000);
    let body = event("TranscodeComplete", "large", "1").replace(HOLIDAY, &filler);
    assert_eq!(movies(&stage.program, &body).status, 200);
    stage.rows("/api/events", 1);
    let payload = &stage.get("/api/events/h1", Some(TOKEN)).json()["payload"];
    let (bytes, shown) =
        (payload["bytes"].as_u64().unwrap(), payload["shown_bytes"].as_u64().unwrap());
    assert_eq!(shown, 64 << 10);
    assert!(bytes > 90_000, "{bytes}");
    let text = payload["text"].as_str().unwrap();
    assert!(text.len() <= 64 << 10 && !text.contains('\u{fffd}'), "cut between characters");
    assert_eq!(payload["all"], "vodbridge events show h1 --data");
    assert_eq!(
        stage.home().vodbridge(&["events", "show", "h1", "--data"]).stdout.len() as u64,
        bytes
    );
}
