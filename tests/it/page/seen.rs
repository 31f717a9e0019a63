//! What an operator sees and does, in a real browser.

use std::path::PathBuf;

use super::browser::Browser;
use super::stage::{HOLIDAY, Stage, TOKEN, event, movies};

const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// Where screenshots go; nowhere unless somebody wants them.
#[expect(clippy::disallowed_methods, reason = "tests are told what to write this way")]
fn pictures() -> Option<PathBuf> {
    let folder =
        std::env::var("VODBRIDGE_TEST_SCREENSHOTS").ok().filter(|folder| !folder.is_empty())?;
    Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder))
}

fn url(stage: &Stage) -> String {
    format!("http://{}/", stage.program.admin)
}

#[test]
fn an_operator_sees_an_event_arrive_an_outage_and_a_dead_letter_and_sends_that_again() {
    let pictures = pictures();
    let pictures = pictures.as_deref();
    let mut stage = Stage::set(", token: a-token-of-the-operators");
    let browser = Browser::open(1200, 1000);
    browser.go(&url(&stage));
    browser.shows("#conserved", "Nothing is missing.");
    browser.shows("#events-none", "No event has been delivered yet.");
    browser.shows("#letters-count", "2");

    for (event_type, task, file) in [
        ("NewFileUpload", "-", "5285890784273533167"),
        ("PullComplete", "1500012345-pull-8a1f", "5285890784273533168"),
        ("TranscodeComplete", "1500012345-transcode-31c0", "5285890784273533167"),
        ("ComposeMediaComplete", "1500012345-compose-77e2", "5285890784273533201"),
        ("FileDeleted", "-", "5285890784273533102"),
        ("ProcedureStateChanged", "1500012345-procedurev2-c0de", "5285890784273533168"),
    ] {
        stage.post(event_type, task, file);
    }
    browser.shows("#events-table td.type", "ProcedureStateChanged");
    browser.shows("#events-table", "5285890784273533167");
    browser.until("document.querySelectorAll('#events-table tbody tr').length === 6");
    browser.shows("#n-received", "6");
    browser.shows("[data-connector=edge]", "up");
    browser.shows("[data-connector=edge]", "a crash of the broker");
    browser.until("/\\d/.test(document.querySelector('#r-received').textContent)");
    browser.value("document.querySelector('#h-connectors').scrollIntoView()");
    browser.picture(pictures, "events");

    // Without a token an event opens, and its payload does not show.
    browser.click("#events-table tbody tr:first-child button");
    browser.shows("#detail-note", "admin.token");
    browser.until("!document.querySelector('#detail-payload').checkVisibility()");
    browser.press(ESCAPE);
    browser.until("!document.querySelector('#detail').open");

    browser.click("#access");
    browser.type_into("#token-input", "wrong");
    browser.press(ENTER);
    browser.shows("#token-error", "this is not the token");
    browser.until("document.querySelector('#token').open");
    browser.value("document.querySelector('#token-input').value = ''");
    browser.type_into("#token-input", TOKEN);
    browser.press(ENTER);
    browser.shows("#access", "Token in use");

    // The older letter, by the keyboard alone.
    browser.value("document.querySelector('#letters-table tr[data-seq=\"1\"] button').focus()");
    browser.press(ENTER);
    browser.shows("#detail-reason", "No route matches");
    browser.shows("#detail-payload", HOLIDAY);
    browser.shows("#detail-payload", "9007199254740993");
    browser.shows("#detail-way", "vod.PullComplete at edge");
    let before = stage.server.messages().len();
    browser.click("#detail-replay");
    browser.shows("#confirm-question", "Send PullComplete:owed again?");
    browser.value("document.querySelector('#letters').scrollIntoView()");
    browser.picture(pictures, "dead-letters");
    assert_eq!(stage.server.messages().len(), before, "it was not confirmed");
    browser.click("#confirm-no");
    browser.until("!document.querySelector('#confirm').checkVisibility()");
    browser.click("#detail-replay");
    browser.click("#confirm-yes");
    browser.shows("#toast", "Sent again and acknowledged; the letter is removed.");
    browser.until("!document.querySelector('#letters-table tr[data-seq=\"1\"]')");
    let messages = stage.server.messages();
    assert_eq!(messages.len(), before + 1);
    assert!(messages.last().unwrap().replay.is_some());
    browser.click("#letters-table tr[data-seq=\"2\"] button");
    browser.shows("#detail-payload", "{not json");
    browser.until("document.querySelector('#detail-replay').disabled");
    browser.click("#detail-remove");
    browser.click("#confirm-yes");
    browser.shows("#letters-none", "No dead letters.");

    // An outage, and its end.
    stage.server.nats.kill();
    for n in 0..3 {
        let body = event("PullComplete", &format!("late-{n}"), "5285890784273533300");
        assert_eq!(stage.program.post("/vod/clips", body.as_bytes()).status, 503);
    }
    browser.value("window.scrollTo(0, 0)");
    browser.shows("[data-connector=edge]", "down");
    // One of the three may be under way, to probe the broker for all.
    browser.until(
        "['#n-waiting', '#n-in-flight'].map((id) => +document.querySelector(id).textContent)\
         .reduce((sum, n) => sum + n) === 3",
    );
    browser.shows("#conserved", "Nothing is missing.");
    browser.shows("#status", "Degraded");
    browser.until("!document.querySelector('#toast').textContent");
    browser.picture(pictures, "outage");
    let Stage { server, .. } = &mut stage;
    server.runtime.block_on(server.nats.restart());
    browser.shows("[data-connector=edge]", "up");
    browser.shows("#n-waiting", "0");
    browser.shows("#conserved", "Nothing is missing.");

    let complaints = browser.complaints();
    let is_answer = |line: &&String| line.contains("status of 401");
    let others: Vec<_> = complaints.iter().filter(|line| !is_answer(line)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

#[test]
fn what_an_event_holds_is_text_whatever_it_says() {
    let stage = Stage::set(", token: a-token-of-the-operators");
    let browser = Browser::open(1200, 1000);
    browser.go(&url(&stage));
    let hostile = "<img src=x onerror=\"window.caught=1\"><script>window.caught=1</script>";
    movies(&stage.program, &event("TranscodeComplete", hostile, "</td><b id=caught>"));
    let named =
        event("PullComplete", "x", "1").replace("PullComplete\"", "<svg onload=window.caught=1>\"");
    movies(&stage.program, &named);
    browser.click("#access");
    browser.type_into("#token-input", TOKEN);
    browser.press(ENTER);
    browser.shows("#access", "Token in use");
    browser.shows("#events-table", "</td><b id=caught>");
    browser.until("document.querySelector('#events-table tbody tr')");
    let rows = browser
        .value("document.querySelectorAll('#events-table tbody tr').length")
        .as_u64()
        .unwrap();
    for n in 1..=rows {
        browser.click(&format!("#events-table tbody tr:nth-child({n}) button"));
        browser.shows("#detail-payload", HOLIDAY);
        browser.click("#detail-close");
    }
    browser
        .until("document.querySelector('#detail-attributes').textContent.includes('<img src=x')");
    assert_eq!(
        browser.value("window.caught || document.querySelector('#caught, main svg, main img')"),
        serde_json::Value::Null
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_page_fits_a_telephone_and_can_be_read_in_the_dark_and_aloud() {
    let stage = Stage::set("");
    stage.post("ProcedureStateChanged", "1500012345-procedurev2-c0de", "5285890784273533168");
    stage.post("TranscodeComplete", "1500012345-transcode-31c0", "5285890784273533167");
    let browser = Browser::open(1200, 1000);
    browser.go(&url(&stage));
    browser.shows("#events-table", "5285890784273533167");
    browser.resize(390, 844);
    browser.until("innerWidth < 520 && document.documentElement.scrollWidth <= innerWidth");
    let light = browser.value("getComputedStyle(document.body).backgroundColor");
    browser.prefer("dark");
    let dark = browser.value("getComputedStyle(document.body).backgroundColor");
    assert_ne!(light, dark);
    browser.value("document.querySelector('#h-events').scrollIntoView()");
    browser.picture(pictures().as_deref(), "telephone");
    assert!(
        browser.accessible_name("#events-table tbody button").starts_with("Open TranscodeComplete")
    );
    assert_eq!(browser.accessible_name("#find-text"), "Exactly");
    browser.click("#access");
    browser.shows("#token-text", "This bridge has no token");
    browser.shows("#token-how", "admin-token");
    assert_eq!(browser.accessible_name("dialog#token"), "Access");
    browser.press(ESCAPE);
    browser.type_into("#find-text", "no such file");
    browser.press(ENTER);
    browser.shows("#events-none", "No such event in the journal.");
    let unnamed = browser.value(
        "[...document.querySelectorAll('button, input, select, meter')]\
         .filter((e) => e.checkVisibility() && !(e.labels && e.labels.length))\
         .filter((e) => !e.ariaLabel && !e.textContent).length",
    );
    assert_eq!(unnamed, 0);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
