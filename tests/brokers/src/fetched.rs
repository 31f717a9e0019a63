use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder that holds `broker` (`kafka`, `nats`, `rabbitmq3`, `rabbitmq4`), fetched now if it
/// was not yet. Blocks: some seconds the first time, a minute for RabbitMQ 4.
///
/// # Panics
///
/// If it cannot be had; the script says why on the test's output.
pub fn fetched(broker: &str) -> PathBuf {
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fetch"))
        .arg(broker)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("tests/brokers/fetch can be run: it needs bash");
    assert!(output.status.success(), "the broker {broker} cannot be fetched: see above");
    let folder = String::from_utf8(output.stdout).expect("a path in UTF-8");
    PathBuf::from(folder.trim_end())
}
