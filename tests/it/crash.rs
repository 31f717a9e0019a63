//! `kill -9` in the middle of a storm of callbacks, and what stands in the journal afterwards.

use std::collections::HashMap;
use std::thread;

use vodsim::callback::{self, Sender};

use crate::program::{Home, PATH};

/// How often the process is killed.
const KILLS: u64 = 10;

/// Callbacks of one storm.
const CALLBACKS: u64 = 20_000;

/// Where in a storm the process is killed: a different place each time.
fn place_of(kill: u64) -> u64 {
    1000 + kill * (CALLBACKS - 4000) / KILLS
}

#[test]
#[allow(clippy::print_stderr, reason = "the numbers of the run are worth reading")]
fn every_200_ever_given_is_in_the_journal_after_kill_9() {
    let home = Home::new("applications: { default: { callback: { spool: off } } }\n");
    let mut confirmed = Vec::new();
    for kill in 0..KILLS {
        let program = home.start();
        let storm = Sender::new(program.callbacks)
            .path(PATH)
            .connections(64)
            .numbers(kill * CALLBACKS..(kill + 1) * CALLBACKS)
            .stop_at_disconnect();
        let storm = thread::spawn(move || storm.run());
        while program.metric("vodbridge_settled_total", "") < place_of(kill) as f64 {
            thread::yield_now();
        }
        program.kill();
        let report = storm.join().unwrap();
        let answered: Vec<u64> = report.confirmed().collect();
        assert!(answered.len() as u64 >= place_of(kill) - 64, "kill {kill} came too early");
        assert!((answered.len() as u64) < CALLBACKS, "kill {kill} came too late");
        confirmed.extend(answered);
    }
    let program = home.start();
    let mut stored: HashMap<String, u32> = HashMap::new();
    for event in home.listed(&["events"]) {
        *stored.entry(event["vodfileid"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let lost: Vec<_> =
        confirmed.iter().filter(|n| !stored.contains_key(&callback::file_id(**n))).collect();
    assert!(lost.is_empty(), "{} of {} answered and gone", lost.len(), confirmed.len());
    let twice = stored.values().filter(|times| **times > 1).count();
    assert_eq!(twice, 0, "the same id more than once");
    eprintln!(
        "{KILLS} kills: {} answered 200, {} stored, lost 0, twice 0",
        confirmed.len(),
        stored.len()
    );
    assert!(program.terminate().success());
}
