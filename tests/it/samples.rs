//! Every sample that VOD documents, posted to the running program, stands in its journal.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use vodbridge_vod::{Content, sign};

use crate::cloud_events::callbacks;
use crate::program::{Home, PATH};

pub(crate) const SIGN_KEY: &str = "Abc123XYZ789";

/// The body with a file and a task of its own, so that no sample is the duplicate of another,
/// and with a clock inside the window if it is signed.
pub(crate) fn of_its_own(n: usize, body: &[u8]) -> Vec<u8> {
    let mut text = String::from_utf8(body.to_vec()).unwrap();
    let content = Content::read(&body.to_vec().into()).unwrap();
    // A number where the sample has one; above 2^53, as VOD's are.
    if let Some(file) = &content.file {
        text = text.replace(file.as_str(), &format!("5285890784{n:09}"));
    }
    if let Some(task) = &content.task {
        text = text.replace(task.as_str(), &format!("1256768367-Task-{n:032x}t0"));
    }
    if let Some(signature) = &content.signature {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let t = i64::try_from(now).unwrap() + 600;
        text = text.replace(&signature.t.to_string(), &t.to_string());
        text = text.replace(&signature.sign, &sign::compute(SIGN_KEY, t));
    }
    text.into_bytes()
}

#[test]
fn every_sample_is_answered_200_and_stands_in_the_journal_as_it_came() {
    let home = Home::new(&format!(
        "applications:\n  plain: {{ callback: {{}} }}\n  \
         signed: {{ callback: {{ sign_key: {SIGN_KEY} }} }}"
    ));
    let program = home.start();
    let mut sent = Vec::new();
    for (n, (path, body)) in callbacks().into_iter().enumerate() {
        let body = of_its_own(n, &body);
        let content = Content::read(&body.clone().into()).unwrap();
        let to = if content.signature.is_some() { "/vod/signed" } else { "/vod/plain" };
        let reply = program.post(to, &body);
        assert_eq!(reply.status, 200, "{}: {}", path.display(), reply.body);
        let answer: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(answer["outcome"], "delivered", "{}", path.display());
        assert_eq!(answer["id"], content.identity.id.as_str(), "{}", path.display());
        sent.push((path, content));
    }
    let events = home.listed(&["events"]);
    assert_eq!(events.len(), sent.len());
    for (seq, (event, (path, content))) in events.iter().zip(&sent).enumerate() {
        assert_eq!(event["id"], content.identity.id.as_str(), "{}", path.display());
        let event_type = content.event_type.as_str();
        assert_eq!(event["type"], format!("com.tencentcloud.vod.{event_type}"));
        let seq = (seq + 1).to_string();
        let data = home.vodbridge(&["events", "show", &seq, "--data"]).stdout;
        assert_eq!(data, content.payload, "{}", path.display());
        let shown = home.vodbridge(&["events", "show", &seq]).stdout;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains(&format!("vod.{event_type}\n")), "no topic in\n{shown}");
    }
    assert_eq!(program.unaccounted(), 0.0);
    assert!(program.terminate().success());
}

#[test]
fn the_same_callback_again_is_a_duplicate_and_stored_once() {
    let home = Home::new("");
    let program = home.start();
    let (_, body) = callbacks().remove(0);
    for outcome in ["delivered", "duplicate", "duplicate"] {
        let reply = program.post(PATH, &body);
        assert_eq!(reply.status, 200);
        assert!(reply.body.contains(outcome), "{}", reply.body);
    }
    assert_eq!(home.listed(&["events"]).len(), 1);
    assert_eq!(program.unaccounted(), 0.0);
}
