//! What `docs/subscribing.md` tells people to run.

use std::fs;

use super::{BROKERS, Three, project, python};
use crate::program::{Home, PATH};

#[test]
fn the_document_shows_the_consumers_that_are_tested() {
    let document = fs::read_to_string(project("docs/subscribing.md")).unwrap();
    for broker in BROKERS {
        let consumer = format!("docs/subscribers/{}_consumer.py", broker.name());
        let consumer = fs::read_to_string(project(&consumer)).unwrap();
        let shown = format!("```python\n{consumer}```\n");
        assert!(document.contains(&shown), "docs/subscribing.md is stale: {broker:?}");
    }
}

#[test]
fn a_consumer_of_twenty_lines_sees_the_events_of_its_broker() {
    let three = Three::start();
    for broker in BROKERS {
        let home = Home::new(&format!("connectors: {{ x: {{ {} }} }}", three.keys(broker)));
        let program = home.start();
        for file in ["1", "2", "3"] {
            let body = format!(
                r#"{{"EventType":"NewFileUpload","FileUploadEvent":{{"FileId":"{file}"}}}}"#
            );
            let reply = program.post(PATH, body.as_bytes());
            assert_eq!(reply.status, 200, "{broker:?}: {}", reply.body);
        }
        let consumer = format!("docs/subscribers/{}_consumer.py", broker.name());
        let output =
            python().arg(project(&consumer)).args([&three.address(broker), "3"]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{broker:?}: {errors}");
        let mut lines: Vec<_> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        let line = |file| {
            format!(
                "NewFileUpload:{file} com.tencentcloud.vod.NewFileUpload {file} {{'FileId': '{file}'}}"
            )
        };
        assert_eq!(lines, [1, 2, 3].map(line), "{broker:?}");
    }
}
