//! What is measured: that alerts and dashboard find what they ask for, that a scrape comes in time
//! whatever hangs, and that nobody outside can make series.

/// What alerts and dashboard use, read from their files.
mod used;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use brokers::kafka::Kafka;
use brokers::{Nats, NatsCertificates, NatsSettings, Port};
use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use vodbridge_vod::api::Action;
use vodsim::callback::{self, Sender};
use vodsim::{Fault, Options, Vod};

use crate::program::{Home, PATH, PATIENCE, Program};
use used::{Query, Selector};

/// A scrape that takes longer is none for Prometheus: its usual timeout is ten seconds, the chart's
/// five.
const IN_TIME: Duration = Duration::from_secs(2);

/// Labels of a series and its value.
type Series = (BTreeMap<String, String>, f64);

/// The series of a scrape by their names.
struct Scrape(BTreeMap<String, Vec<Series>>);

impl Scrape {
    fn of(program: &Program) -> Self {
        let reply = program.get("/metrics");
        assert_eq!(reply.status, 200);
        assert!(reply.body.ends_with("# EOF\n"), "a whole exposition");
        let mut series = BTreeMap::<_, Vec<_>>::new();
        for line in reply.body.lines().filter(|line| !line.starts_with('#')) {
            let (what, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = what.split_once('{').unwrap_or((what, "}"));
            let labels = labels.strip_suffix('}').unwrap();
            // No value of ours holds a comma or a quotation mark.
            let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            let pairs = pairs.map(|(k, v)| (k.to_owned(), v.trim_matches('"').to_owned()));
            let value = value.parse().unwrap();
            series.entry(name.to_owned()).or_default().push((pairs.collect(), value));
        }
        Self(series)
    }

    fn all(&self, metric: &str) -> &[Series] {
        self.0.get(metric).map_or(&[], Vec::as_slice)
    }

    /// The value of the one series whose labels hold these.
    fn value(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let is_it = |has: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| has.get(*label).is_some_and(|v| v == value))
        };
        let mut found = self.all(metric).iter().filter(|(has, _)| is_it(has));
        let value = found.next().map(|(_, value)| *value);
        assert!(found.next().is_none(), "{metric} {labels:?} is more than one");
        value
    }

    /// What a query asks for and is not there.
    fn missing(&self, query: &Query) -> Vec<String> {
        let mut missing = Vec::new();
        let mut labels = BTreeSet::new();
        for Selector { metric, matchers } in &query.selectors {
            let all = self.all(metric);
            labels.extend(all.iter().flat_map(|(labels, _)| labels.keys().map(String::as_str)));
            if all.is_empty() {
                missing.push(metric.clone());
            }
            for (label, operator, value) in matchers {
                let is_there = |(has, _): &Series| match operator.as_str() {
                    "=" => has.get(label) == Some(value),
                    _ => has.contains_key(label),
                };
                // Prometheus' own, or one of the dashboard's variables.
                let is_ours = query.labels.contains(label) && !value.starts_with('$');
                if is_ours && !all.iter().any(is_there) {
                    missing.push(format!("{metric}{{{label}{operator}{value:?}}}"));
                }
            }
        }
        let unknown = query.labels.iter().filter(|label| !labels.contains(label.as_str()));
        // A query without a metric of ours is about Prometheus' own.
        if !query.selectors.is_empty() {
            missing.extend(unknown.map(|label| format!("the label {label}")));
        }
        missing.into_iter().map(|what| format!("{what}, of {}", query.text)).collect()
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < give_up, "{what}: {why}"),
        }
        thread::yield_now();
    }
}

fn event(event_type: &str, task: &str) -> String {
    format!(r#"{{"EventType":"{event_type}","{event_type}Event":{{"TaskId":"{task}"}}}}"#)
}

#[test]
fn what_alerts_and_dashboard_ask_for_is_in_the_scrape_of_a_bridge_in_every_trouble() {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let certificates = NatsCertificates::make();
    let extra = certificates.block("server", "");
    let settings = NatsSettings { extra, ..NatsSettings::default() };
    let (kafka, nats) =
        runtime.block_on(async { tokio::join!(Kafka::start(), Nats::start(settings)) });
    let vod = runtime.block_on(Vod::start(Options::default())).unwrap();
    let nobody = Port::take();
    let file = |name: &str| certificates.file(name);
    let nats_keys = format!(
        "type: nats, servers: [{:?}], tls: {{ ca_file: {:?}, cert_file: {:?}, key_file: {:?} }}",
        nats.url(),
        file("ca.pem"),
        file("client.pem"),
        file("client.key")
    );
    let home = Home::new(&format!(
        "applications:\n  \
           movies:\n    \
             callback: {{ token: secret, answer_within: 1s }}\n    \
             pull: {{ endpoint: {:?}, credentials: {{ from: static, secret_id: AKIDexample, \
                      secret_key: example }} }}\n  \
           careless: {{ callback: {{ spool: \"off\", answer_within: 1s }} }}\n\
         connectors:\n  \
           events: {{ type: kafka, brokers: [{:?}], message_max: 4KiB }}\n  \
           edge: {{ {nats_keys}, require: [process] }}\n  \
           missing: {{ {nats_keys}, stream: NOWHERE, subjects: [\"nowhere.>\"], topology: verify }}\n  \
           away: {{ type: nats, servers: [\"nats://{}\"] }}\n\
         routes:\n  \
         - {{ match: {{ events: [\"NewFileUpload\"] }}, to: [events, edge] }}\n  \
         - {{ match: {{ events: [\"FileDeleted\"] }}, to: [missing], topic: \"nowhere.{{event_type}}\" }}\n  \
         - {{ match: {{ events: [\"PullComplete\"] }}, to: [away] }}\n",
        vod.url(),
        kafka.addresses()[0],
        nobody.address(),
    ));
    // VOD's clock is two minutes behind ours, and it refuses two calls.
    vod.set_clock_ahead(-120);
    for code in ["AuthFailure.SignatureExpire", "InternalError"] {
        vod.next(Action::PullEvents, Fault::Code(code.to_owned()));
    }
    vod.issue_numbered(None, 0..50);
    vod.issue(None, "no event at all");
    let program = home.start();

    let post = |path: &str, body: &str| program.post(path, body.as_bytes()).status;
    let good = String::from_utf8(callback::body(1000)).unwrap();
    assert_eq!(post("/vod/movies", &good), 401);
    until("Kafka and NATS take events", || match post("/vod/movies?token=secret", &good) {
        200 => Ok(()),
        other => Err(format!("{other}")),
    });
    assert_eq!(post("/vod/movies?token=secret", "no event"), 200, "it became a dead letter");
    assert_eq!(
        post("/vod/movies?token=secret", &event("WechatPublishComplete", "1")),
        200,
        "unrouted"
    );
    let large =
        good.replace("\"FileId\"", &format!("\"Title\":\"{}\",\"FileId\"", "x".repeat(9000)));
    assert_eq!(post("/vod/movies?token=secret", &large), 200, "refused by Kafka, and lettered");
    assert_eq!(
        post("/vod/movies?token=secret", &event("FileDeleted", "1")),
        503,
        "missing topology"
    );
    assert_eq!(post("/vod/movies?token=secret", &event("PullComplete", "1")), 503, "away");
    assert_eq!(post("/vod/careless", &event("PullComplete", "2")), 503, "and not kept");

    let queries: Vec<_> = used::by_alerts().into_iter().chain(used::by_dashboard()).collect();
    let scrape = until("everything is there", || {
        let scrape = Scrape::of(&program);
        let missing: Vec<_> = queries.iter().flat_map(|query| scrape.missing(query)).collect();
        if missing.is_empty() { Ok(scrape) } else { Err(format!("{missing:#?}")) }
    });

    let ours = until("the bridge knows what it is in", || {
        let scrape = Scrape::of(&program);
        let is = |metric, labels: &[(&str, &str)], wanted: f64| {
            let found = scrape.value(metric, labels);
            if found == Some(wanted) {
                Ok(())
            } else {
                Err(format!("{metric} {labels:?}: {found:?}"))
            }
        };
        for (connector, up, shut) in
            [("events", 1.0, 0.0), ("edge", 1.0, 0.0), ("missing", 1.0, 1.0), ("away", 0.0, 1.0)]
        {
            is("vodbridge_connector_up", &[("connector", connector)], up)?;
            is("vodbridge_connector_unavailable_topics", &[("connector", connector)], shut)?;
        }
        is("vodbridge_connector_up", &[("connector", "dead-letters")], 1.0)?;
        let edge = ("connector", "edge");
        is("vodbridge_connector_durability_required", &[edge, ("survives", "process")], 1.0)?;
        is("vodbridge_connector_durability_required", &[edge, ("survives", "all")], 0.0)?;
        is("vodbridge_journal_errors_total", &[("operation", "append")], 0.0)?;
        is("vodbridge_dead_letters_total", &[("reason", "unrouted")], 1.0)?;
        is("vodbridge_certificate_usable", &[("used_by", "connectors.edge.tls.cert_file")], 1.0)?;
        is("vodbridge_certificate_usable", &[("used_by", "connectors.edge.tls.ca_file")], 1.0)?;
        Ok(scrape)
    });
    let offset = ours.value("vodbridge_vod_clock_offset_seconds", &[]).unwrap();
    assert!((118.0..=122.0).contains(&offset), "{offset}");
    let waits = |s: &Scrape| {
        s.value("vodbridge_oldest_waiting_seconds", &[("application", "movies")]).unwrap()
    };
    assert!(waits(&ours) >= waits(&scrape), "it waits and waits");
    let spool = [("share", "spool")];
    let (has, most) = ("vodbridge_journal_bytes", "vodbridge_journal_max_bytes");
    assert!(ours.value(has, &spool).unwrap() > 0.0);
    assert!(ours.value(has, &spool).unwrap() < ours.value(most, &spool).unwrap());
    assert_eq!(program.unaccounted(), 0.0);
    drop((program, kafka, nats));
}

#[test]
fn a_scrape_comes_in_time_while_the_broker_and_the_disk_hang() {
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let nats = runtime.block_on(Nats::start(NatsSettings::default()));
    let home = Home::new(&format!(
        "applications: {{ default: {{ callback: {{ answer_within: 1s }} }} }}\n\
         connectors: {{ out: {{ type: nats, servers: [{:?}] }} }}\n",
        nats.url()
    ));
    let program = home.start();
    until("the topology is made", || match program.post(PATH, &callback::body(0)).status {
        200 => Ok(()),
        other => Err(format!("{other}")),
    });
    let errors = || program.metric("vodbridge_journal_errors_total", "append");
    assert_eq!(errors(), 0.0);

    runtime.block_on(nats.freeze());
    let other = Connection::open(home.path().join("journal/journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let to = program.callbacks;
    let load = thread::spawn(move || {
        Sender::new(to)
            .connections(32)
            .numbers(1..1_000_000)
            .stop_after(Duration::from_secs(8))
            .run()
    });
    let (mut scrapes, mut longest) = (0, Duration::ZERO);
    let give_up = Instant::now() + PATIENCE;
    // Until the journal's own patience with the other program has ended, and the load.
    while errors() == 0.0 || !load.is_finished() {
        let began = Instant::now();
        Scrape::of(&program);
        assert!(began.elapsed() < IN_TIME, "a scrape took {:?}", began.elapsed());
        longest = longest.max(began.elapsed());
        scrapes += 1;
        assert!(Instant::now() < give_up, "no failure of the journal was counted");
    }
    assert!(scrapes > 10, "only {scrapes}");
    let report = load.join().unwrap();
    assert!(report.answered(503) > 0 && report.answered(200) == 0, "{report:?}");
    other.execute_batch("ROLLBACK").unwrap();
    nats.thaw();
    until("all is well again", || match program.post(PATH, &callback::body(1_000_000)).status {
        200 => Ok(()),
        other => Err(format!("{other}")),
    });
    assert!(errors() > 0.0, "a counter counts on");
    drop(nats);
}

#[test]
fn nobody_outside_makes_a_series() {
    let program = Program::with_defaults();
    let series = |scrape: &Scrape| scrape.0.values().map(Vec::len).sum::<usize>();
    // What the first answers of each status bring.
    let send = |n: u32| {
        let strange = format!("Str\u{e4}nge{n}");
        for (path, body) in [
            (PATH.to_owned(), event(&strange, &n.to_string())),
            (format!("{PATH}?x={n}"), event("NewFileUpload", &n.to_string())),
            (format!("/vod/{n}"), event("X", "1")),
            (PATH.to_owned(), format!("{n} is no event")),
        ] {
            program.post(&path, body.as_bytes());
        }
        let method = format!("M{n}");
        program.request(&method, PATH, &[("content-encoding", &format!("e{n}"))], b"");
    };
    send(0);
    let before = Scrape::of(&program);
    (1..100).for_each(send);
    let after = Scrape::of(&program);
    assert_eq!(series(&after), series(&before));
    let other = [("event_type", "other"), ("mode", "callback")];
    assert_eq!(after.value("vodbridge_received_total", &other), Some(100.0));
    assert!(series(&after) < 400, "{}", series(&after));
}

#[test]
fn the_journal_takes_dead_letters_and_says_so() {
    let program = Program::with_defaults();
    until("it was asked", || {
        let scrape = Scrape::of(&program);
        let up = scrape.value("vodbridge_connector_up", &[("connector", "dead-letters")]);
        if up == Some(1.0) { Ok(()) } else { Err(format!("{up:?}")) }
    });
    let ready: serde_json::Value = serde_json::from_str(&program.get("/readyz").body).unwrap();
    assert_eq!(ready["connectors"]["dead-letters"]["required"], false, "{ready:#}");
}

#[test]
fn the_document_of_the_metrics_is_made_of_them() {
    let output = Command::new(env!("CARGO_BIN_EXE_vodbridge")).arg("metrics").output().unwrap();
    assert!(output.status.success());
    let document = fs::read_to_string(crate::brokers::project("docs/metrics.md")).unwrap();
    let made = String::from_utf8(output.stdout).unwrap();
    assert!(document == made, "stale: vodbridge metrics > docs/metrics.md");
}
