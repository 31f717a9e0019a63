//! `make bench-spool`: what keeping callbacks first (`spool: ahead`) costs against `off`, into each
//! broker, in turns of one run; and what a spool with very many rows costs at a start.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to say")]

mod rows;
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
const CONNECTIONS: [usize; 2] = [1, 128];

/// What is said of the aims.
const RATIO: f64 = 0.6;
const LATER_MILLIS: f64 = 0.3;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let rounds = argument("--rounds", 3);
    let time = Duration::from_secs(argument("--seconds", 3));
    let waiting = argument("--rows", 1_000_000);
    let wanted: Vec<_> =
        running::BROKERS.into_iter().filter(|b| arguments.iter().any(|a| a == b)).collect();
    let wanted = if wanted.is_empty() { running::BROKERS.to_vec() } else { wanted };
    println!(
        "{rounds} rounds of {} s; medians; answers per second, p50 / p99 in ms, CPU of the bridge in \
         us for each event\n",
        time.as_secs()
    );
    println!(
        "{:>9} {:>11} {:>30} {:>30} {:>6} {:>9}",
        "into", "connections", "spool: off", "spool: ahead", "ratio", "p50 later"
    );
    let runtime = Runtime::new().unwrap();
    let (mut ratio, mut later) = (f64::MAX, f64::MIN);
    for broker in wanted {
        let running = runtime.block_on(Running::start(broker));
        let [alone, many] = CONNECTIONS.map(|connections| {
            let [off, ahead] = measure(&running, connections, rounds, time);
            print(&running, connections, off, ahead);
            (ahead.rate / off.rate, millis(ahead.p50) - millis(off.p50))
        });
        ratio = ratio.min(many.0);
        later = later.max(alone.1);
    }
    let said = |met: bool| if met { "met" } else { "not met" };
    println!(
        "\nof the rate without, at 128 connections, {ratio:.2} at worst; aim {RATIO}: {}\n\
         p50 of one connection {later:.2} ms later at worst; aim {LATER_MILLIS} ms: {}",
        said(ratio >= RATIO),
        said(later <= LATER_MILLIS),
    );
    if waiting > 0 {
        let running = runtime.block_on(Running::start("nats"));
        rows::measure(&running, &runtime, waiting, time);
    }
}

fn measure(running: &Running, connections: usize, rounds: u64, time: Duration) -> [Measured; 2] {
    let mut measured = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for (n, spool) in ["off", "ahead"].into_iter().enumerate() {
            let child = Child::bridge(&config(running, spool));
            let first = (round * 2 + n as u64) * 20_000_000;
            measured[n].push(drive(&child, connections, time, first));
        }
    }
    measured.map(|rounds| Measured::median(&rounds))
}

fn config(running: &Running, spool: &str) -> String {
    format!(
        "applications: {{ default: {{ callback: {{ spool: {spool} }} }} }}\n{}",
        running.connectors()
    )
}

/// Posts callbacks, of which none was sent before.
fn drive(child: &Child, connections: usize, time: Duration, first: u64) -> Measured {
    let send = |first: u64, time| {
        let sender = Sender::new(child.address).path("/vod/default").connections(connections);
        sender.numbers(first..first + 10_000_000).stop_after(time).run()
    };
    send(first + 10_000_000, Duration::from_millis(300));
    let before = child.cpu();
    let report = send(first, time);
    let answered = report.answered(200);
    assert!(answered > 0, "{report:?}");
    let cpu = child.cpu().saturating_sub(before) / u32::try_from(answered).unwrap();
    Measured { rate: report.rate(), p50: report.quantile(0.5), p99: report.quantile(0.99), cpu }
}

fn print(running: &Running, connections: usize, off: Measured, ahead: Measured) {
    let show = |m: Measured| {
        let cpu = m.cpu.as_secs_f64() * 1e6;
        format!("{:>7.0} {:>6.2} / {:>6.2} {cpu:>5.1}", m.rate, millis(m.p50), millis(m.p99))
    };
    println!(
        "{:>9} {connections:>11} {:>30} {:>30} {:>6.2} {:>6.2} ms",
        running.broker(),
        show(off),
        show(ahead),
        ahead.rate / off.rate,
        millis(ahead.p50) - millis(off.p50),
    );
}
