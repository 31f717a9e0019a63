//! Three brokers on one route, and one of them dies under load.

use std::collections::BTreeMap;
use std::env;
use std::thread;
use std::time::Duration;

use tokio::time::sleep;
use vodsim::callback::{Sender, file_id};

use super::{BROKERS, Broker, Three};
use crate::program::{Home, Program};

/// How long the dead one is away; 30 s when it is to be shown.
#[expect(clippy::disallowed_methods, reason = "a test's own knob is no configuration")]
fn away() -> Duration {
    let seconds = env::var("VODBRIDGE_TEST_AWAY_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(6))
}

/// What the caller waits for an answer at most, in this test.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

fn bridge(three: &Three, route: &str) -> Program {
    let connectors: Vec<_> =
        BROKERS.iter().map(|b| format!("{}: {{ {} }}", b.name(), three.keys(*b))).collect();
    Home::new(&format!(
        "applications: {{ default: {{ callback: {{ answer_within: 2s }} }} }}\n\
         connectors: {{ {} }}\nroutes: [{{ {route} }}]",
        connectors.join(", ")
    ))
    .start()
}

/// How often each event lies in a broker, by its file.
fn copies(three: &Three, broker: Broker) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for message in three.read(broker, "all") {
        let file = message["attributes"]["vodfileid"].as_str().unwrap();
        *copies.entry(file.to_owned()).or_default() += 1;
    }
    copies
}

#[test]
fn a_dead_broker_holds_back_its_own_and_doubles_nothing_in_the_others() {
    let mut three = Three::start();
    let program = bridge(&three, "to: [kafka, rabbitmq, nats]");
    let to = program.callbacks;
    let send = |numbers| Sender::new(to).connections(16).numbers(numbers);
    // Topics and queues are made with the first events, which takes longer than a caller waits.
    let all_are_well = (0..20).any(|_| send(0..200).run().answered(200) == 200);
    assert!(all_are_well, "three brokers that have just been started");

    let load = thread::spawn(move || {
        let load = Sender::new(to).connections(16).numbers(200..1_000_000);
        load.stop_after(away() + Duration::from_secs(4)).run()
    });
    let Three { nats, runtime, .. } = &mut three;
    runtime.block_on(async {
        sleep(Duration::from_secs(1)).await; // of load, before the fault
        nats.kill();
        sleep(away()).await; // that is the fault
        nats.restart().await;
    });
    let report = load.join().unwrap();
    // Much less than publish_timeout, and enough for a machine with other work.
    let slack = Duration::from_secs(10);
    assert!(report.quantile(1.0) < ANSWER_WITHIN + slack, "{:?}", report.quantile(1.0));
    assert!(report.answered(503) > 0, "the outage was noticed: {report:?}");
    let confirmed: Vec<u64> = report.confirmed().collect();
    let last = confirmed.iter().max().copied().unwrap();

    // The callers that were told 503 send again, as callers do, until they are told 200.
    let all_are_told = (0..20).any(|_| send(200..last + 1).run().answered(200) == last + 1 - 200);
    assert!(all_are_told, "after the outage");
    for broker in BROKERS {
        let copies = copies(&three, broker);
        let lost: Vec<_> = (0..=last).filter(|n| !copies.contains_key(&file_id(*n))).collect();
        assert_eq!(lost, [0; 0], "{broker:?}: told 200, and not there");
        if broker != Broker::Nats {
            let twice = copies.values().filter(|n| **n > 1).count();
            assert_eq!(twice, 0, "{broker:?} was well all the time");
        }
    }
    #[expect(clippy::print_stdout, reason = "the numbers of the run are worth reading")]
    {
        println!(
            "{} events, {} s without NATS: {} answered 200, {} answered 503, longest answer {:?}, \
             {} MiB resident at most",
            last + 1,
            away().as_secs(),
            report.answered(200),
            report.answered(503),
            report.quantile(1.0),
            program.memory_kib("VmHWM") / 1024,
        );
    }
    assert_eq!(program.unaccounted(), 0.0);
    let round_trip = program.metric("vodbridge_client_round_trip_seconds", "kafka");
    assert!(round_trip > 0.0, "librdkafka has counted by now");
}

#[test]
fn a_best_effort_broker_that_is_dead_holds_nothing_back() {
    let mut three = Three::start();
    let program = bridge(&three, "to: [kafka, nats], also: [rabbitmq]");
    three.rabbitmq.kill();
    let report = Sender::new(program.callbacks).connections(16).numbers(0..2000).run();
    assert_eq!(report.answered(200), 2000, "{report:?}");
    for broker in [Broker::Kafka, Broker::Nats] {
        let copies = copies(&three, broker);
        assert_eq!(copies.len(), 2000, "{broker:?}");
        assert!(copies.values().all(|n| *n == 1), "{broker:?}");
    }
}
