//! A bridge with something to show: events at a broker, and dead letters of an earlier run.

use std::time::SystemTime;

use serde_json::Value;

use crate::history::Server;
use crate::program::{Home, PATIENCE, Program, Reply};

pub(super) const TOKEN: &str = "a-token-of-the-operators";
pub(super) const CALLBACK_TOKEN: &str = "a-token-of-the-callbacks";

/// A NATS server, and a bridge before it.
pub(super) struct Stage {
    pub(super) server: Server,
    home: Home,
    pub(super) program: Program,
}

impl Stage {
    /// With two dead letters: one that no route matched then and one matches now, and one that is no
    /// event. `admin` are further keys of `admin`.
    pub(super) fn set(admin: &str) -> Self {
        let server = Server::start();
        let home = Home::new("");
        let configure = |events: &str, admin: &str| {
            home.configure(&format!(
                "ADMIN {admin}\n\
                 applications:\n  \
                   movies: {{ sub_app_id: 1500012345, callback: {{ token: {CALLBACK_TOKEN}, \
                              answer_within: 20s }} }}\n  \
                   clips: {{ callback: {{ answer_within: 1s }} }}\n\
                 connectors: {{ edge: {{ type: nats, servers: [{:?}] }}, local: {{ type: journal }} }}\n\
                 routes:\n  \
                   - {{ name: kept, match: {{ events: [\"Compose*\"] }}, to: [local] }}\n  \
                   - {{ name: rest, match: {{ events: [{events:?}] }}, to: [edge] }}",
                server.nats.url(),
            ));
        };
        configure("Never", "");
        let earlier = home.start();
        for (body, status) in [
            (event("PullComplete", "owed", "5285890784273533167"), 200),
            ("{not json".to_owned(), 200),
        ] {
            assert_eq!(movies(&earlier, &body).status, status);
        }
        assert!(earlier.terminate().success());
        configure("*", admin);
        // So that it is known from the beginning what an acknowledgement survives. It warns of what
        // NATS, as it comes, does not survive.
        home.vodbridge(&["check", "--create"]);
        let program = home.start();
        Self { server, home, program }
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// Posts an event of the application `movies`, which is authenticated.
    pub(super) fn post(&self, event_type: &str, task: &str, file: &str) {
        assert_eq!(movies(&self.program, &event(event_type, task, file)).status, 200);
    }

    /// What a path of the operator's port answers, with a token or without.
    pub(super) fn get(&self, path: &str, token: Option<&str>) -> Reply {
        self.ask("GET", path, token)
    }

    pub(super) fn ask(&self, method: &str, path: &str, token: Option<&str>) -> Reply {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let header = bearer.as_deref().map(|bearer| ("Authorization", bearer));
        self.program.ask(method, path, header.as_slice())
    }

    /// The rows of a listing, once there are so many: the history is written a moment later.
    pub(super) fn rows(&self, path: &str, count: usize) -> Vec<Value> {
        self.until(path, |answer| answer["rows"].as_array().unwrap().len() >= count)["rows"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// What a path answers once it `is` so.
    pub(super) fn until(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        let give_up = SystemTime::now() + PATIENCE;
        loop {
            let answer = self.get(path, None).json();
            if is(&answer) {
                return answer;
            }
            assert!(SystemTime::now() < give_up, "not in time: {answer:#}");
            std::thread::yield_now();
        }
    }
}

/// Posts a body as the authenticated application.
pub(super) fn movies(program: &Program, body: &str) -> Reply {
    program.post(&format!("/vod/movies?token={CALLBACK_TOKEN}"), body.as_bytes())
}

/// A body with something in it that is told nowhere but in the payload.
pub(super) fn event(event_type: &str, task: &str, file: &str) -> String {
    let (task, file) = (Value::from(task), Value::from(file));
    format!(
        r#"{{"EventType":"{event_type}","{event_type}Event":{{"TaskId":{task},"FileId":{file},"Status":"FINISH","ErrCode":0,"Name":"{HOLIDAY}","Size":9007199254740993}}}}"#
    )
}

/// Stands in every payload, and in nothing that is known beside it.
pub(super) const HOLIDAY: &str = "our holiday in Busan";

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub(super) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}
