//! The short form of `make prove`: a few cells for some seconds each, with the program that lies
//! beside this test.

use std::path::PathBuf;

use prove::fault::Fault;
use prove::matrix::{Broker, Cell, Mode};
use prove::oracle::Verdict;
use prove::record::Record;
use prove::run::{Plan, program_beside, run};
use tokio::runtime::Runtime;

/// Events a second: enough to have some under way at any moment, on a machine with other work.
const RATE: u32 = 100;

fn program() -> PathBuf {
    program_beside().expect("vodbridge lies beside the tests: cargo build -p vodbridge")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Runs a cell, which loses nothing and ends well.
fn check(fault: Fault, broker: Broker, mode: Mode, seed: u64) -> Record {
    let plan = Plan { program: program(), commit: "test".to_owned(), seconds: 3, rate: RATE };
    let (record, printed) = runtime().block_on(run(Cell { fault, broker, mode }, seed, &plan));
    assert!(record.is_well(), "{record:#?}\n{printed}");
    assert!(record.steps > 0, "nothing went wrong: {record:#?}");
    assert!(record.verdict.acknowledged > 0, "{record:#?}");
    record
}

#[test]
fn a_killed_bridge_loses_no_callback_that_it_had_read() {
    check(Fault::BridgeKilled, Broker::Nats, Mode::Ahead, 1);
}

#[test]
fn a_stopped_bridge_loses_nothing_that_its_journal_keeps() {
    check(Fault::BridgeStopped, Broker::Journal, Mode::Off, 2);
}

#[test]
fn a_killed_broker_loses_nothing_that_was_answered() {
    check(Fault::BrokerKilled, Broker::Nats, Mode::Off, 3);
}

#[test]
fn acknowledgements_that_are_lost_confirm_nothing_to_vod() {
    check(Fault::ProxyLostAcks, Broker::Kafka, Mode::Pull, 4);
}

#[test]
fn a_bridge_that_answers_and_stores_nothing_is_found_out() {
    let liar = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/liar.py"));
    let plan = Plan { program: liar, commit: "test".to_owned(), seconds: 1, rate: RATE };
    let cell = Cell { fault: Fault::None, broker: Broker::Nats, mode: Mode::Off };
    let (record, _) = runtime().block_on(run(cell, 5, &plan));
    let Verdict { acknowledged, lost, .. } = record.verdict;
    assert!(acknowledged > 0 && lost == acknowledged, "{record:#?}");
    let told = format!("{lost} acknowledged and lost");
    assert!(record.failures.contains(&told), "{record:#?}");
}

#[test]
fn a_run_that_breaks_off_counts_as_failed() {
    // It ends at once, and so never says that it listens.
    let plan = Plan {
        program: PathBuf::from("/bin/true"),
        commit: "test".to_owned(),
        seconds: 1,
        rate: RATE,
    };
    let cell = Cell { fault: Fault::None, broker: Broker::Journal, mode: Mode::Off };
    let (record, _) = runtime().block_on(run(cell, 6, &plan));
    assert!(record.failures[0].contains("broke off"), "{record:?}");
}
