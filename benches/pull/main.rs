//! `make bench-pull`: events per second from VOD's queue, beside callbacks of the same run, into
//! the journal and each real broker.
//!
//! (a) callbacks over 128 connections; (b) the queue without a limit of calls; (c) the queue with
//! VOD's own limit of 100 calls a second. The simulated VOD, broker and bridge share the machine's
//! cores, and the simulator costs more than the callback driver: the processor time of an event
//! says more than the rates.

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run has nothing to say")]

#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::time::Duration;

use support::child::Child;
use support::measured::{Measured, argument};
use support::running::{BROKERS, Running};
use tokio::runtime::Runtime;
use tokio::time::Instant;
use vodsim::callback::Sender;
use vodsim::{Options, Vod};

/// Connections of the callbacks.
const CONNECTIONS: usize = 128;

/// Events for each second of a round: more than any way in takes, and what the limit allows.
const UNLIMITED: u64 = 15_000;
const LIMITED: u64 = 1_600;

/// What is said of the aims.
const RATIO: f64 = 0.8;
const OF_THE_LIMIT: f64 = 0.95;
const CORE: f64 = 0.1;

/// Longer than any round.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let rounds = argument("--rounds", 3);
    let time = Duration::from_secs(argument("--seconds", 3));
    let wanted = |name: &str| {
        let named: Vec<_> =
            env::args().filter(|a| a == "journal" || BROKERS.contains(&a.as_str())).collect();
        named.is_empty() || named.iter().any(|a| a == name)
    };
    println!(
        "{rounds} rounds of about {} s; medians; events per second, processor time of the bridge \
         in us for each event\n",
        time.as_secs()
    );
    println!(
        "{:>9} {:>18} {:>18} {:>18} {:>6} {:>6}",
        "into", "(a) callbacks", "(b) pull, no limit", "(c) pull, limited", "b/a", "core"
    );
    let runtime = Runtime::new().unwrap();
    let mut rows = Vec::new();
    if wanted("journal") {
        rows.push(measure("journal", "", &runtime, rounds, time));
    }
    for broker in BROKERS.into_iter().filter(|broker| wanted(broker)) {
        let running = runtime.block_on(Running::start(broker));
        rows.push(measure(broker, &running.connectors(), &runtime, rounds, time));
    }
    let said = |met: bool| if met { "met" } else { "not met" };
    let least = |of: fn(&[f64; 3]) -> f64| rows.iter().map(of).fold(f64::MAX, f64::min);
    let core = rows.iter().map(|row| row[2]).fold(0.0, f64::max);
    println!(
        "\nof the callbacks' rate {:.2} at worst; aim {RATIO}: {}\n\
         of the limit {:.2} at worst; aim {OF_THE_LIMIT}: {}\n\
         of a core at the limit {:.0} % at worst; aim {:.0} %: {}",
        least(|row| row[0]),
        said(least(|row| row[0]) >= RATIO),
        least(|row| row[1]),
        said(least(|row| row[1]) >= OF_THE_LIMIT),
        100.0 * core,
        100.0 * CORE,
        said(core <= CORE),
    );
}

/// One row; the ratio of the rates, the part of the limit, the part of a core at the limit.
fn measure(
    name: &str,
    connectors: &str,
    runtime: &Runtime,
    rounds: u64,
    time: Duration,
) -> [f64; 3] {
    let (mut callbacks, mut unlimited, mut limited) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let first = round * 40_000_000;
        let child = Child::bridge(connectors);
        callbacks.push(drive(&child, first, time));
        drop(child);
        for (limit, each_second, column, first) in [
            (None, UNLIMITED, &mut unlimited, first + 20_000_000),
            (Some(100), LIMITED, &mut limited, first + 30_000_000),
        ] {
            let options = Options { calls_per_second: limit, ..Options::default() };
            let vod = runtime.block_on(Vod::start(options)).unwrap();
            let events = each_second * time.as_secs();
            column.push(runtime.block_on(pull(&vod, connectors, limit, first, events)));
        }
    }
    let [a, b, c] = [&callbacks, &unlimited, &limited].map(|rounds| Measured::median(rounds));
    let show = |m: Measured| format!("{:>8.0} {:>6.1} us", m.rate, m.cpu.as_secs_f64() * 1e6);
    let core = c.rate * c.cpu.as_secs_f64();
    println!(
        "{name:>9} {:>18} {:>18} {:>18} {:>6.2} {:>4.0} %",
        show(a),
        show(b),
        show(c),
        b.rate / a.rate,
        100.0 * core
    );
    [b.rate / a.rate, c.rate / LIMITED as f64, core]
}

/// Posts callbacks that no earlier round has sent.
fn drive(child: &Child, first: u64, time: Duration) -> Measured {
    let send = |first: u64, time| {
        let sender = Sender::new(child.address).path("/vod/default").connections(CONNECTIONS);
        sender.numbers(first..first + 10_000_000).stop_after(time).run()
    };
    // Connections are made and topics are found.
    send(first + 10_000_000, Duration::from_millis(500));
    let before = child.cpu();
    let report = send(first, time);
    let answered = u32::try_from(report.answered(200)).unwrap();
    let cpu = child.cpu().saturating_sub(before) / answered;
    Measured { rate: report.rate(), cpu, ..Measured::default() }
}

/// Pulls so many events until the last is confirmed.
async fn pull(
    vod: &Vod,
    connectors: &str,
    limit: Option<u32>,
    first: u64,
    events: u64,
) -> Measured {
    let child = Child::bridge(&format!(
        "{connectors}\napplications: {{ default: {{ callback: {{}}, pull: {{ endpoint: {:?}, \
         calls_per_second: {}, credentials: {{ from: static, secret_id: AKIDexample, secret_key: \
         example }} }} }} }}",
        vod.url(),
        limit.unwrap_or(10_000),
    ));
    // The connections are made and topics are found.
    vod.issue_numbered(None, first + 5_000_000..first + 5_000_100);
    vod.until(|now| now.confirmed == 100, PATIENCE).await.unwrap();
    let (before, began) = (child.cpu(), Instant::now());
    vod.issue_numbered(None, first..first + events);
    vod.until(|now| now.unconfirmed == 0, PATIENCE).await.unwrap();
    let cpu = child.cpu().saturating_sub(before) / u32::try_from(events).unwrap();
    let rate = events as f64 / began.elapsed().as_secs_f64();
    Measured { rate, cpu, ..Measured::default() }
}
