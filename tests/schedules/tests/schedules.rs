//! A few thousand schedules for every run of the tests; `make schedules` runs a million.

use std::hash::{BuildHasher, RandomState};
use std::io::Write;

use schedules::{Campaign, campaign, run};

fn holds(base: u64, count: u64) {
    let ended = campaign(Campaign { base, count, time: None, threads: 2 }, |_| {});
    if let Some(failure) = ended.failure {
        panic!("{failure}\nagain: cargo run -p schedules -- --seed {}", failure.seed());
    }
    assert_eq!(ended.progress.schedules, count);
}

#[test]
fn the_promise_holds_in_the_schedules_of_a_fixed_seed() {
    holds(1, 1_000);
}

#[test]
fn the_promise_holds_in_schedules_that_were_never_run_before() {
    let base = RandomState::new().hash_one(());
    writeln!(std::io::stderr().lock(), "schedules of --base {base}").unwrap();
    holds(base, 1_000);
}

#[test]
fn a_seed_tells_the_same_story_again() {
    for seed in 0..50 {
        let [first, second] = [run(seed, false), run(seed, true)].map(|r| r.ok());
        assert_eq!(first, second, "seed {seed}");
    }
}
