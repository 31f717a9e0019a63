//! A rolling restart: two bridges behind one address, each told to stop, awaited and started again
//! while VOD goes on sending.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use brokers::{Nats, NatsSettings};
use rustix::process::Signal;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use vodbridge_vod::Content;
use vodsim::callback::{Report, Sender, body};

use super::samples::base64;
use super::{Broker, read};
use crate::balancer::Balancer;
use crate::program::{Home, PATIENCE, Program, sum, try_get, unaccounted};

/// Callbacks on each kind of connection: twenty seconds of them.
const CALLBACKS: u64 = 1000;

/// On each kind of connection; both together are a hundred.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();

/// What the bridges are given to end.
const GRACE: Duration = Duration::from_secs(15);

#[test]
#[expect(clippy::print_stdout, reason = "the numbers of the run are worth reading")]
fn a_rolling_restart_leaves_no_callback_unanswered_and_loses_none() {
    let runtime = Runtime::new().unwrap();
    let nats = runtime.block_on(Nats::start(NatsSettings::default()));
    let connector = format!("edge: {{ type: nats, servers: [{:?}] }}", nats.url());
    let yaml = format!("drain_delay: 2s\ngrace: 15s\nconnectors: {{ {connector} }}\n");
    let homes = [(); 2].map(|()| Home::new(&yaml));
    let mut bridges: Vec<_> = homes.iter().map(Home::start).collect();
    let balancer = Balancer::start(&runtime);
    for (place, bridge) in bridges.iter().enumerate() {
        balancer.lead_to(place, bridge.callbacks, bridge.admin);
        balancer.await_ready(place);
    }

    let sender = Sender::new(balancer.address()).per_second(PER_SECOND);
    let kept_alive = sender.clone().connections(4).numbers(0..CALLBACKS);
    let fresh = sender.connections(4).fresh().numbers(CALLBACKS..2 * CALLBACKS);
    let load = [kept_alive, fresh].map(|sender| thread::spawn(move || sender.run()));
    let (mut restarts, mut slowest, mut received) = (0, Duration::ZERO, 0.0);
    while !load.iter().any(|sending| sending.is_finished()) {
        for (place, home) in homes.iter().enumerate() {
            let (took, last) = end(bridges.remove(place));
            slowest = slowest.max(took);
            received += settled_in_order(&last);
            bridges.insert(place, home.start());
            balancer.lead_to(place, bridges[place].callbacks, bridges[place].admin);
            balancer.await_ready(place);
            restarts += 1;
        }
    }
    let reports = load.map(|sending| sending.join().unwrap());
    for bridge in bridges {
        received += settled_in_order(&end(bridge).1);
    }

    let sent = 2 * CALLBACKS;
    println!("{restarts} restarts, the slowest end after {slowest:?}: {reports:?}");
    assert!(restarts >= 4, "each of them twice while callbacks come");
    let count = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    assert_eq!(count(Report::unanswered), 0);
    assert_eq!(count(|report| report.answered(200)), sent);
    assert_eq!(received, sent as f64, "received by all processes together");
    let mut missing: BTreeMap<String, String> = (0..sent).map(as_published).collect();
    for message in read(Broker::Nats, &nats.url(), "all") {
        let id = message["attributes"]["id"].as_str().unwrap();
        let payload = missing.remove(id).unwrap_or_else(|| panic!("{id}: twice, or never sent"));
        assert_eq!(message["body"], payload, "{id}");
    }
    assert!(missing.is_empty(), "answered and not there: {:?}", missing.keys());
}

/// SIGTERM; how long it took to end in order, and what its last scrape said.
fn end(mut bridge: Program) -> (Duration, String) {
    let began = Instant::now();
    bridge.signal(Signal::TERM);
    let mut last = String::new();
    while let Some(scrape) = try_get(bridge.admin, "/metrics") {
        last = scrape.body;
        assert!(began.elapsed() < PATIENCE, "it does not end");
    }
    let (status, log) = bridge.end();
    assert_eq!(status.code(), Some(0), "{log:#?}");
    let took = began.elapsed();
    assert!(took < GRACE, "{took:?}");
    (took, last)
}

/// That nothing is unaccounted for, under way or waiting; how many callbacks this process received.
fn settled_in_order(last: &str) -> f64 {
    assert_eq!(unaccounted(last), 0.0, "{last}");
    assert_eq!(sum(last, "vodbridge_in_flight", "") + sum(last, "vodbridge_waiting", ""), 0.0);
    sum(last, "vodbridge_received_total", "")
}

/// The id and the payload of a callback, as they are to lie in the broker.
fn as_published(number: u64) -> (String, String) {
    let content = Content::read(&body(number).into()).unwrap();
    (content.identity.id.to_string(), base64(&content.payload))
}
