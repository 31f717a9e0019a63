//! What passes through stays out of the logs.

use super::{Broker, Three};
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
