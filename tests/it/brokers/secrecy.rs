//! What passes through stays out of the logs.

use super::{BROKERS, Broker, Three};
use crate::program::{Home, PATH};

#[test]
fn what_rabbitmq_returns_is_in_no_log() {
    let three = Three::shared();
    let keys = three.keys(Broker::RabbitMq);
    let home = Home::new(&format!(
        "applications: {{ default: {{ callback: {{ answer_within: 2s }} }} }}\n\
         connectors: {{ x: {{ {keys}, exchange: nobody, queue: null }} }}"
    ));
    let mut program = home.start();
    let body =
        r#"{"EventType":"NewFileUpload","FileUploadEvent":{"FileId":"1","Title":"hunter2"}}"#;
    let reply = program.post(PATH, body.as_bytes());
    assert_eq!(reply.status, 503, "no queue is bound: {}", reply.body);
    program.signal(rustix::process::Signal::TERM);
    let (_, log) = program.end();
    let log = format!("{log:?}");
    assert!(log.contains("no queue is bound"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

/// In the words of a `Debug` of bytes, too: that is how frames are told.
#[test]
fn no_password_and_no_body_is_in_the_most_detailed_log() {
    let three = Three::shared();
    let connectors: Vec<_> = BROKERS
        .into_iter()
        .map(|broker| format!("{}: {{ {} }}", broker.name(), three.keys(broker)))
        .collect();
    let home = Home::new(&format!(
        "log: {{ level: trace, format: json }}\nconnectors: {{ {} }}",
        connectors.join(", ")
    ));
    let mut program = home.start();
    let body =
        r#"{"EventType":"NewFileUpload","FileUploadEvent":{"FileId":"1","Title":"hunter2"}}"#;
    assert_eq!(program.post(PATH, body.as_bytes()).status, 200);
    program.signal(rustix::process::Signal::TERM);
    let (_, log) = program.end();
    let log = format!("{log:?}");
    assert!(log.contains("vodbridge::"), "it is no detailed log: {log}");
    for secret in ["hunter2", "\0guest\0guest"] {
        let bytes: Vec<_> = secret.bytes().map(|byte| byte.to_string()).collect();
        let [told, bytes] = [secret.to_owned(), bytes.join(", ")].map(|s| log.contains(&s));
        assert!(!told && !bytes, "{secret:?} is in the log");
    }
}
