//! `make bench`: callbacks answered per second and how long they took, from the bridge into its
//! journal, beside two yardsticks of the same run: the same listener answering at once, and the
//! bare group commit of the journal's engine.
//!
//! Every column is driven in turns, so that a slow minute of the machine falls on all of them; the
//! table shows medians of the rounds. All of it shares the machine's cores with its own driver,
//! which is why the ratios say more than the numbers.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to say")]

mod bare;
#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::fs;
use std::time::Duration;

use support::child::{self, Child};
use support::measured::{Measured, argument, millis};
use vodsim::callback::Sender;

/// Connections of the rows.
const CONNECTIONS: [usize; 3] = [1, 32, 128];

/// The rounds of one row.
#[derive(Debug, Default)]
struct Row {
    at_once: Vec<Measured>,
    bare: Vec<Measured>,
    bridge: Vec<Measured>,
    resident_kib: u64,
}

fn main() {
    if env::args().any(|a| a == child::AT_ONCE) {
        return child::answer_at_once();
    }
    let rounds = argument("--rounds", 5);
    let time = Duration::from_secs(argument("--seconds", 3));

    let size = fs::metadata(child::BRIDGE).unwrap().len();
    println!("the binary has {:.1} MiB", size as f64 / 1_048_576.0);
    println!(
        "{rounds} rounds of {} s; medians; answers per second, p50 / p99 in ms",
        time.as_secs()
    );
    println!();
    println!(
        "{:>11} {:>24} {:>24} {:>24} {:>7} {:>7} {:>9}",
        "connections",
        "(a) answering at once",
        "(b) bare group commit",
        "(c) the bridge",
        "c/a",
        "c/b",
        "resident"
    );

    let mut started = Vec::new();
    let mut rows = Vec::new();
    for connections in CONNECTIONS {
        let mut row = Row::default();
        for round in 0..rounds {
            let child = Child::answering_at_once();
            row.at_once.push(drive(&child, connections, time, round));
            drop(child);
            row.bare.push(bare::group_commit(connections, time));
            let child = Child::bridge("");
            started.push(child.started_in);
            row.bridge.push(drive(&child, connections, time, round));
            row.resident_kib = row.resident_kib.max(child.resident_kib());
        }
        print(connections, &row);
        rows.push(row);
    }
    started.sort();
    aims(&rows, started[started.len() / 2]);
}

/// Posts callbacks that no earlier round has sent.
fn drive(child: &Child, connections: usize, time: Duration, round: u64) -> Measured {
    let first = round * 10_000_000;
    let sender = Sender::new(child.address).path("/vod/default").connections(connections);
    let report = sender.numbers(first..first + 10_000_000).stop_after(time).run();
    let confirmed = report.confirmed().count() as u64;
    assert_eq!(confirmed, report.answered(200) + report.unanswered(), "{report:?}");
    let (rate, cpu) = (report.rate(), Duration::ZERO);
    Measured { rate, p50: report.quantile(0.5), p99: report.quantile(0.99), cpu }
}

fn print(connections: usize, row: &Row) {
    let [a, b, c] = [&row.at_once, &row.bare, &row.bridge].map(|r| Measured::median(r));
    let show =
        |m: Measured| format!("{:>8.0} {:>6.2} / {:>5.2}", m.rate, millis(m.p50), millis(m.p99));
    println!(
        "{connections:>11} {:>24} {:>24} {:>24} {:>7.2} {:>7.2} {:>5.1} MiB",
        show(a),
        show(b),
        show(c),
        c.rate / a.rate,
        c.rate / b.rate,
        row.resident_kib as f64 / 1024.0
    );
}

fn aims(rows: &[Row], started: Duration) {
    let said = |met: bool| if met { "met" } else { "not met" };
    let [first, .., last] = rows else { return };
    let [a, b, c] = [&last.at_once, &last.bare, &last.bridge].map(|r| Measured::median(r));
    let ratio = c.rate / a.rate.min(b.rate);
    let [alone, commit] = [&first.bridge, &first.bare].map(|r| Measured::median(r).p99);
    let over = millis(alone) - millis(commit);
    let resident = rows.iter().map(|r| r.resident_kib).max().unwrap_or(0) as f64 / 1024.0;
    println!();
    println!(
        "at 128 connections {ratio:.2} of the smaller yardstick; aim 0.7: {}",
        said(ratio >= 0.7)
    );
    println!(
        "p99 of one connection {over:.2} ms above one commit's; aim 1 ms: {}",
        said(over <= 1.0)
    );
    println!("resident {resident:.1} MiB at most; aim 40 MiB: {}", said(resident <= 40.0));
    println!(
        "listening {:.0} ms after the start; aim 100 ms: {}",
        millis(started),
        said(started < Duration::from_millis(100))
    );
}
