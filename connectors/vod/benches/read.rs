//! How long one event takes to read, in the median: `cargo bench -p vodbridge-vod [-- NAME]`.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]
#![allow(clippy::disallowed_types, reason = "it measures real time")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use vodbridge_vod::Content;

const ROUNDS: usize = 2_000;
const READS_PER_ROUND: u32 = 10;

fn main() {
    for path in [
        "NewFileUpload.callback.json",
        "variants/NewFileUpload.full.callback.json",
        "ProcedureStateChanged.callback.json",
        "AigcVideoTaskComplete.callback.json",
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(path);
        let message = Bytes::from(std::fs::read(file).expect("the sample is there"));
        report(path, &message, ROUNDS);
    }
    let base64 = "QUJD".repeat(10 << 18);
    let large = format!("{{\"XEvent\":{{\"FileId\":\"1\",\"Base64\":\"{base64}\"}}}}");
    report("10 MB of Base64", &Bytes::from(large), 20);
    let large = format!("{{\"XEvent\":{{\"a\":[{}0]}}}}", "{\"b\":0},".repeat(1 << 20));
    report("8 MB of small objects", &Bytes::from(large), 20);
}

fn report(name: &str, message: &Bytes, rounds: usize) {
    let mut filters = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    if filters.next().is_some_and(|filter| !name.contains(&filter)) {
        return;
    }
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..READS_PER_ROUND {
                black_box(Content::read(black_box(message)).expect("it is an event"));
            }
            begin.elapsed() / READS_PER_ROUND
        })
        .collect();
    times.sort_unstable();
    println!("{:>10} bytes  {:>12.2?}  {name}", message.len(), times[rounds / 2]);
}
