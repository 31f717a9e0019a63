//! `make bench-brokers`: callbacks per second into each real broker, beside two yardsticks of the
//! same run: the bare client publishing with as many in flight, and the least handler around that
//! client that answers after the acknowledgement.
//!
//! Every column is driven in turns; the table shows medians of the rounds. Broker, bridge and driver
//! share the machine's cores, which is why the ratios say more than the numbers.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to say")]

mod bare;
mod minimal;
#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::time::Duration;

use support::child::Child;
use support::measured::{Measured, argument, millis};
use support::running::{self, Running};
use tokio::runtime::Runtime;
use vodsim::callback::Sender;

/// Connections of the rows.
const CONNECTIONS: [usize; 3] = [1, 32, 128];

/// What is said of the aims.
const RATIO: f64 = 0.85;
const P99_FACTOR: f64 = 1.3;
const RESIDENT_MIB: f64 = 40.0;

/// The rounds of one row.
#[derive(Debug, Default)]
struct Row {
    bare: Vec<Measured>,
    minimal: Vec<Measured>,
    bridge: Vec<Measured>,
    resident_kib: u64,
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if let Some(at) = arguments.iter().position(|a| a == minimal::MINIMAL) {
        return minimal::run(&arguments[at + 1], &arguments[at + 2]);
    }
    let rounds = argument("--rounds", 3);
    let time = Duration::from_secs(argument("--seconds", 3));
    let wanted: Vec<_> =
        running::BROKERS.into_iter().filter(|b| arguments.iter().any(|a| a == b)).collect();
    let wanted = if wanted.is_empty() { running::BROKERS.to_vec() } else { wanted };
    println!(
        "{rounds} rounds of {} s; medians; answers per second, p50 / p99 in ms, CPU of the process \
         in us for each event",
        time.as_secs()
    );
    let runtime = Runtime::new().unwrap();
    for broker in wanted {
        let running = runtime.block_on(Running::start(broker));
        measure(&running, &runtime, rounds, time);
    }
}

fn measure(running: &Running, runtime: &Runtime, rounds: u64, time: Duration) {
    println!("\n{}", running.name());
    println!(
        "{:>11} {:>24} {:>29} {:>29} {:>9} {:>9} {:>9}",
        "connections",
        "(a) bare client",
        "(b) least handler",
        "(c) bridge",
        "c/a",
        "c/b",
        "resident"
    );
    let mut met = Vec::new();
    for connections in CONNECTIONS {
        let mut row = Row::default();
        for round in 0..rounds {
            let bare = bare::measure(running.broker(), running.address(), connections, time);
            row.bare.push(runtime.block_on(bare));
            let child = Child::again(&[minimal::MINIMAL, running.broker(), running.address()]);
            row.minimal.push(drive(&child, connections, time, round));
            drop(child);
            let child = Child::bridge(&running.connectors());
            row.bridge.push(drive(&child, connections, time, round));
            row.resident_kib = row.resident_kib.max(child.resident_kib());
        }
        met.push(print(connections, &row));
    }
    let ratios = met.iter().map(|(ratio, ..)| *ratio).fold(f64::MAX, f64::min);
    let resident = met.iter().map(|(.., resident)| *resident).fold(0.0, f64::max);
    let said = |met: bool| if met { "met" } else { "not met" };
    println!(
        "of the least handler {ratios:.2} at worst; aim {RATIO}: {}\n\
         p99 of one connection {:.2} of its; aim {P99_FACTOR}: {}\n\
         resident {resident:.1} MiB at most; aim {RESIDENT_MIB} MiB: {}",
        said(ratios >= RATIO),
        met[0].1,
        said(met[0].1 <= P99_FACTOR),
        said(resident <= RESIDENT_MIB),
    );
}

/// Posts callbacks that no earlier round has sent.
fn drive(child: &Child, connections: usize, time: Duration, round: u64) -> Measured {
    let send = |first: u64, time| {
        let sender = Sender::new(child.address).path("/vod/default").connections(connections);
        sender.numbers(first..first + 10_000_000).stop_after(time).run()
    };
    let first = round * 20_000_000;
    // Connections are made and topics are found.
    send(first + 10_000_000, Duration::from_millis(300));
    let before = child.cpu();
    let report = send(first, time);
    let cpu = child.cpu().saturating_sub(before);
    let answered = report.answered(200);
    assert!(answered > 0, "{report:?}");
    let cpu = cpu / u32::try_from(answered).unwrap();
    Measured { rate: report.rate(), p50: report.quantile(0.5), p99: report.quantile(0.99), cpu }
}

/// The ratio of the rates, that of the p99s, and the resident MiB.
fn print(connections: usize, row: &Row) -> (f64, f64, f64) {
    let [a, b, c] = [&row.bare, &row.minimal, &row.bridge].map(|r| Measured::median(r));
    let show =
        |m: Measured| format!("{:>7.0} {:>6.2} / {:>6.2}", m.rate, millis(m.p50), millis(m.p99));
    let cpu = |m: Measured| format!("{} {:>5.1}", show(m), m.cpu.as_secs_f64() * 1e6);
    let resident = row.resident_kib as f64 / 1024.0;
    println!(
        "{connections:>11} {:>24} {:>29} {:>29} {:>9.2} {:>9.2} {resident:>5.1} MiB",
        show(a),
        cpu(b),
        cpu(c),
        c.rate / a.rate,
        c.rate / b.rate,
    );
    (c.rate / b.rate, c.p99.as_secs_f64() / b.p99.as_secs_f64(), resident)
}
