//! What is measured.

use std::fs;
use std::process::Command;

#[test]
fn the_document_of_the_metrics_is_made_of_them() {
    let output = Command::new(env!("CARGO_BIN_EXE_vodbridge")).arg("metrics").output().unwrap();
    assert!(output.status.success());
    let document = fs::read_to_string(crate::brokers::project("docs/metrics.md")).unwrap();
    let made = String::from_utf8(output.stdout).unwrap();
    assert!(document == made, "stale: vodbridge metrics > docs/metrics.md");
}
