use std::collections::BTreeMap;
use std::env;
use std::ops::Range;
use std::time::Duration;

use brokers::kafka::{Kafka, Setup};
use brokers::{Nats, NatsSettings, Proxy, RabbitMq, RabbitMqOptions, RabbitMqVersion};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use vodbridge_vod::api::Action;
use vodsim::callback::file_id;
use vodsim::{Fault, Faults, Options, Vod};

use super::{BROKERS, Broker, Three};
use crate::program::{Home, Program};

/// The longest that anything here takes, however many events there are.
const PATIENCE: Duration = Duration::from_secs(1800);

/// A number from the environment, for runs that are to show more.
#[expect(clippy::disallowed_methods, reason = "a test's own knob is no configuration")]
fn knob(name: &str, usually: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usually)
}

/// A bridge's home whose application `movies` pulls from a VOD into these connectors.
fn home(vod: &Vod, keys: &str, connectors: &str) -> Home {
    Home::new(&format!(
        "applications: {{ movies: {{ pull: {{ endpoint: {:?}, credentials: {{ from: static, \
         secret_id: AKIDexample, secret_key: example }}{keys} }} }} }}\n\
         connectors: {{ {connectors} }}",
        vod.url()
    ))
}

/// How often each event lies in a broker, by its file.
fn copies(messages: &[Value]) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for message in messages {
        let file = message["attributes"]["vodfileid"].as_str().unwrap();
        *copies.entry(file.to_owned()).or_default() += 1;
    }
    copies
}

/// Events with these numbers that are not there, and how many copies of them there are beyond the
/// first.
fn lost_and_doubled(copies: &BTreeMap<String, usize>, numbers: Range<u64>) -> (usize, usize) {
    let copies: Vec<_> = numbers.map(|n| copies.get(&file_id(n)).copied().unwrap_or(0)).collect();
    let lost = copies.iter().filter(|count| **count == 0).count();
    (lost, copies.iter().map(|count| count.saturating_sub(1)).sum())
}

#[test]
#[expect(clippy::print_stdout, reason = "the numbers of the run are worth reading")]
fn every_event_of_the_queue_lies_in_each_broker_and_is_confirmed() {
    let events = knob("VODBRIDGE_TEST_EVENTS", 2000);
    let three = Three::start();
    for (limit, numbers) in [(Some(100), 0..events), (None, events..2 * events)] {
        let mut ends: Vec<_> = BROKERS.iter().map(|b| (b.name(), three.keys(*b))).collect();
        ends.push(("journal", "type: journal".to_owned()));
        for (name, keys) in ends {
            let options = Options { calls_per_second: limit, ..Options::default() };
            let vod = three.runtime.block_on(Vod::start(options)).unwrap();
            let more = if limit.is_none() { ", calls_per_second: 10000" } else { "" };
            let home = home(&vod, more, &format!("{name}: {{ {keys} }}"));
            let program = home.start();
            vod.issue_numbered(None, numbers.clone());
            let began = Instant::now();
            let summary = three.runtime.block_on(vod.until(|now| now.unconfirmed == 0, PATIENCE));
            let took = began.elapsed();
            let summary = summary.unwrap_or_else(|now| panic!("{name}: stuck at {now:?}"));
            let cpu = program.metric("process_cpu_seconds_total", "");
            let memory = program.memory_kib("VmHWM") / 1024;
            assert_eq!(program.unaccounted(), 0.0);
            assert!(program.terminate().success());
            let messages = match BROKERS.iter().find(|broker| broker.name() == name) {
                Some(broker) => three.read(*broker, "all"),
                None => home.listed(&["events"]),
            };
            let copies = if name == "journal" {
                let ids = messages.iter().map(|m| m["id"].as_str().unwrap());
                ids.map(|id| (id.trim_start_matches("NewFileUpload:").to_owned(), 1)).collect()
            } else {
                copies(&messages)
            };
            let (lost, doubled) = lost_and_doubled(&copies, numbers.clone());
            println!(
                "pull into {name}, {}: {events} events in {:.1} s, {:.0}/s, lost {lost}, doubled \
                 {doubled}, delivered again {}, {:.1} % of a core, {memory} MiB",
                limit.map_or("no limit".to_owned(), |calls| format!("{calls} calls/s")),
                took.as_secs_f64(),
                events as f64 / took.as_secs_f64(),
                summary.redelivered,
                100.0 * cpu / took.as_secs_f64(),
            );
            assert_eq!(lost, 0, "{name}");
        }
    }
}

#[test]
fn nothing_is_confirmed_while_a_brokers_acknowledgements_are_held_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    for broker in BROKERS {
        let proxy = runtime.block_on(Proxy::listen());
        let advertised = ("advertised.listeners", format!("PLAINTEXT://{}", proxy.address()));
        // What runs must stay until the end.
        let (mut kafka, mut rabbitmq, mut nats) = (None, None, None);
        let (upstream, keys) = match broker {
            Broker::Kafka => {
                let setup = Setup { properties: vec![advertised], ..Setup::default() };
                let started = kafka.insert(runtime.block_on(Kafka::with(1, setup)));
                (
                    started.addresses().remove(0),
                    format!("type: kafka, brokers: [{:?}]", proxy.address()),
                )
            }
            Broker::RabbitMq => {
                let options = RabbitMqOptions::new(RabbitMqVersion::V3);
                let started = rabbitmq.insert(runtime.block_on(RabbitMq::start(options)));
                let url = started.url();
                let address = url.trim_start_matches("amqp://").split('/').next().unwrap();
                let url = url.replace(address, &proxy.address());
                (address.to_owned(), format!("type: rabbitmq, urls: [{url:?}]"))
            }
            Broker::Nats => {
                let started = nats.insert(runtime.block_on(Nats::start(NatsSettings::default())));
                let url = format!("nats://{}", proxy.address());
                (started.url().replace("nats://", ""), format!("type: nats, servers: [{url:?}]"))
            }
        };
        proxy.lead_to(&upstream);
        let vod = runtime.block_on(Vod::start(Options::default())).unwrap();
        let program = home(&vod, "", &format!("b: {{ {keys} }}")).start();
        // The topology is made and the way is known.
        vod.issue_numbered(None, 0..50);
        let all = |wanted: u64| move |now: &vodsim::Summary| now.confirmed == wanted;
        runtime.block_on(vod.until(all(50), PATIENCE)).unwrap();

        proxy.hold_replies(true);
        vod.issue_numbered(None, 50..250);
        let handed_out = |now: &vodsim::Summary| now.delivered == 250;
        runtime.block_on(vod.until(handed_out, PATIENCE)).unwrap();
        let confirms = vod.calls(Action::ConfirmEvents);
        let under_way = || program.metric("vodbridge_in_flight", "movies");
        let all_under_way = async {
            while under_way() < 200.0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        runtime.block_on(timeout(Duration::from_secs(60), all_under_way)).unwrap();
        // Long enough to be tempted, too short for the client to give the connection up.
        runtime.block_on(sleep(Duration::from_secs(3)));
        assert_eq!(vod.calls(Action::ConfirmEvents), confirms, "{broker:?}");
        assert_eq!(vod.summary().confirmed, 50, "{broker:?}: confirmed before acknowledged");
        proxy.hold_replies(false);
        runtime.block_on(vod.until(all(250), PATIENCE)).unwrap();
        drop((program, kafka, rabbitmq, nats));
    }
}

/// Two bridges on one queue into all three brokers, while VOD fails in every way, brokers are
/// killed and frozen, and bridges are killed: for so many seconds, then all is well again.
#[test]
#[expect(clippy::print_stdout, reason = "the numbers of the run are worth reading")]
fn faults_everywhere_lose_nothing() {
    let seconds = knob("VODBRIDGE_TEST_FAULT_SECONDS", 25);
    let seed = knob("VODBRIDGE_TEST_SEED", 7);
    let mut three = Three::start();
    // Six times as fast, so that much comes again.
    let options = Options { time_scale: 6.0, calls_per_second: None, ..Options::default() };
    let vod = three.runtime.block_on(Vod::start(options)).unwrap();
    let connectors: Vec<_> = BROKERS
        .iter()
        .map(|b| format!("{}: {{ {}, publish_timeout: 3s }}", b.name(), three.keys(*b)))
        .collect();
    let keys = ", handle_life: 5s, margin: 1s";
    let homes = [0, 1].map(|_| home(&vod, keys, &connectors.join(", ")));
    let mut bridges: Vec<Program> = homes.iter().map(Home::start).collect();
    let code = |code: &str| Fault::Code(code.to_owned());
    vod.set_faults(Faults {
        seed,
        any: vec![
            (code("InternalError"), 0.03),
            (code("RequestLimitExceeded"), 0.01),
            (Fault::Status(502), 0.02),
            (Fault::NotJson, 0.02),
            (Fault::Truncated, 0.02),
            (Fault::Cut, 0.02),
            (Fault::LostReply, 0.03),
            (Fault::Slow(Duration::from_millis(500)), 0.03),
            (Fault::Hang(Duration::from_secs(2)), 0.01),
        ],
        lost_confirm: 0.1,
        duplicate: 0.05,
    });

    let began = Instant::now();
    let (mut issued, mut kills, mut broker_faults, mut turn) = (0, 0, 0, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        vod.issue_numbered(None, issued..issued + 200);
        issued += 200;
        let Three { kafka, rabbitmq, nats, runtime } = &mut three;
        let _inside = runtime.enter();
        // Each turn one broker fails or one bridge dies.
        match turn % 5 {
            0 => {
                rabbitmq.freeze();
                runtime.block_on(sleep(Duration::from_secs(1)));
                rabbitmq.thaw();
                broker_faults += 1;
            }
            1 | 4 => {
                let at = usize::try_from(kills % 2).unwrap();
                bridges.remove(at).kill();
                bridges.insert(at, homes[at].start());
                kills += 1;
                runtime.block_on(sleep(Duration::from_millis(700)));
            }
            2 => {
                nats.kill();
                runtime.block_on(async {
                    sleep(Duration::from_secs(1)).await;
                    nats.restart().await;
                });
                broker_faults += 1;
            }
            _ => {
                kafka.kill(0);
                runtime.block_on(kafka.restart(0));
                broker_faults += 1;
            }
        }
        turn += 1;
    }
    vod.set_faults(Faults::default());
    // The end of all faults, and one event more: it must get through.
    vod.issue_numbered(None, issued..issued + 1);
    issued += 1;
    let quiet = three.runtime.block_on(vod.until(|now| now.unconfirmed == 0, PATIENCE));
    let summary = quiet.unwrap_or_else(|now| panic!("stuck at {now:?}, seed {seed}"));
    for bridge in bridges {
        assert_eq!(bridge.unaccounted(), 0.0);
        assert!(bridge.terminate().success());
    }
    println!(
        "faults: seed {seed}, {issued} events in {:.0} s, {broker_faults} faults of brokers, \
         {kills} bridges killed, delivered again {}",
        began.elapsed().as_secs_f64(),
        summary.redelivered,
    );
    assert!(kills > 0 && broker_faults > 1, "{kills} kills, {broker_faults} faults of brokers");
    for broker in BROKERS {
        let copies = copies(&three.read(broker, "all"));
        let (lost, doubled) = lost_and_doubled(&copies, 0..issued);
        println!("faults: {}: lost {lost}, doubled {doubled}", broker.name());
        assert_eq!(lost, 0, "{broker:?}: confirmed and not there, seed {seed}");
    }
}
