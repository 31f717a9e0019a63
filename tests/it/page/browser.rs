//! A real browser without a window, driven by WebDriver as its standard says: a request of JSON
//! each. The ready-made clients change how `serde_json` works in the program under test, or bring a
//! licence that we do not take.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use brokers::Process;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::program::raw;

/// How the standard calls the one member of a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long the driver may take to be there.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long an expression may take to come true: shorter than an answer of the driver.
const SCRIPT_MILLIS: u32 = 50_000;

/// Debian's chromium with its driver, on a port of its own; ended on drop.
pub(super) struct Browser {
    address: SocketAddr,
    session: String,
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Opens a window of this size.
    pub(super) fn open(width: u32, height: u32) -> Self {
        let mut command = Command::new("chromedriver");
        let driver = Process::start(command.arg("--port=0"));
        let said = driver.says("started successfully on port", READY_WITHIN);
        Runtime::new().unwrap().block_on(said);
        let printed = driver.printed();
        let port = printed.split("started successfully on port ").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let profile = tempfile::tempdir().unwrap();
        let arguments = [
            "--headless=new".to_owned(),
            // It will not run as root otherwise.
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--force-prefers-reduced-motion".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "timeouts": { "script": SCRIPT_MILLIS },
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let mut browser =
            Self { address, session: String::new(), _driver: driver, _profile: profile };
        let session = browser.send("POST", "/session", &wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    pub(super) fn go(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// What an expression of JavaScript is worth in the page.
    pub(super) fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.ask("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until an expression is true.
    pub(super) fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[arguments.length - 1];\
             const look = () => {{ if ({expression}) {{ clearInterval(timer); done(true); }} }};\
             const timer = setInterval(look, 20);"
        );
        let body = json!({ "script": script, "args": [] });
        if let Err(why) = self.try_ask("POST", "/execute/async", &body) {
            let text = self.value("document.body.innerText");
            panic!("{expression} does not come true: {why}\n{}", text.as_str().unwrap_or_default());
        }
    }

    /// Waits until an element shows a text.
    pub(super) fn shows(&self, selector: &str, text: &str) {
        let (selector, text) = (Value::from(selector), Value::from(text));
        self.until(&format!(
            "[...document.querySelectorAll({selector})].some((e) => e.checkVisibility() && \
             e.innerText.includes({text}))"
        ));
    }

    /// Clicks where a person would.
    pub(super) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
    }

    /// Types into an element.
    pub(super) fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.ask("POST", &format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses a key wherever the focus is.
    pub(super) fn press(&self, key: &str) {
        let keys = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": [
            { "type": "keyDown", "value": key }, { "type": "keyUp", "value": key },
        ] }] });
        self.ask("POST", "/actions", &keys);
    }

    /// The name that a screen reader says of an element.
    pub(super) fn accessible_name(&self, selector: &str) -> String {
        let element = self.element(selector);
        let name = self.ask("GET", &format!("/element/{element}/computedlabel"), &Value::Null);
        name.as_str().unwrap().to_owned()
    }

    pub(super) fn resize(&self, width: u32, height: u32) {
        self.ask("POST", "/window/rect", &json!({ "width": width, "height": height }));
    }

    /// Whether the window says that it likes it dark.
    pub(super) fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let command =
            json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.ask("POST", "/goog/cdp/execute", &command);
    }

    /// What the browser has complained of since the last look.
    pub(super) fn complaints(&self) -> Vec<String> {
        let entries = self.ask("POST", "/se/log", &json!({ "type": "browser" }));
        let message = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        entries.as_array().unwrap().iter().map(message).collect()
    }

    /// Writes what the window shows into a file, if a folder is named.
    pub(super) fn picture(&self, folder: Option<&Path>, name: &str) {
        let Some(folder) = folder else { return };
        let png = self.ask("GET", "/screenshot", &Value::Null);
        let png = STANDARD.decode(png.as_str().unwrap()).unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name).with_extension("png"), png).unwrap();
    }

    fn element(&self, selector: &str) -> String {
        let found = json!({ "using": "css selector", "value": selector });
        let found = self.ask("POST", "/element", &found);
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_ask(method, path, body).unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    fn try_ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.try_send(method, &format!("{}{path}", self.session), body)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        self.try_send(method, path, body).unwrap_or_else(|why| panic!("{method} {path}: {why}"))
    }

    fn try_send(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let reply = raw(self.address, request.as_bytes()).ok_or("no answer")?;
        let mut answer: Value = serde_json::from_str(&reply.body).map_err(|e| e.to_string())?;
        let value = answer["value"].take();
        if reply.status == 200 { Ok(value) } else { Err(value["message"].to_string()) }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser; killed itself, it would leave that behind.
        if !self.session.is_empty() {
            self.try_ask("DELETE", "", &Value::Null).ok();
        }
    }
}
