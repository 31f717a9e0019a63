//! How fast the store takes events, beside the bare engine in the same run.
//!
//! `cargo bench -p vodbridge-journal --features bare`; the database goes to the directory for
//! temporary files, which should lie on a disk.

#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use vodbridge_core::{ContentDigest, Event, Extension, KnownBy, Timestamp, Topic};
use vodbridge_journal::{Settings, Store, Table, bare};

const BODY_BYTES: usize = 1024;
const RUNS: usize = 5;

fn main() {
    println!("appends/s of {BODY_BYTES} byte events, median of {RUNS} runs");
    println!("{:>9} {:>10} {:>10} {:>6}", "appenders", "engine", "store", "ratio");
    for (appenders, rows) in [(1, 5_000), (32, 100_000), (128, 200_000)] {
        let (mut engine, mut store) = (Vec::new(), Vec::new());
        // In turns, so that a slower minute of the machine slows both.
        for _ in 0..RUNS {
            engine.push(per_second(rows, engine_run(appenders, rows)));
            store.push(per_second(rows, store_run(appenders, rows)));
        }
        let (engine, store) = (median(engine), median(store));
        println!("{appenders:>9} {engine:>10.0} {store:>10.0} {:>6.2}", store / engine);
    }
}

fn engine_run(appenders: usize, rows: usize) -> Duration {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    bare::group_commit(directory.path(), appenders, rows, BODY_BYTES).expect("the engine works")
}

fn store_run(appenders: usize, rows: usize) -> Duration {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let store = Store::open(Settings::new(directory.path())).expect("the store opens");
    let (event, topic) = (event(), Topic::new("vod.NewFileUpload").expect("a topic"));
    bare::time(appenders, rows, || {
        let (store, event, topic) = (store.clone(), event.clone(), topic.clone());
        move || {
            let (store, event, topic) = (store.clone(), event.clone(), topic.clone());
            async move {
                let now = Timestamp::from(SystemTime::now());
                store.append(Table::Events, &event, &topic, now).await.is_ok()
            }
        }
    })
}

/// As large as what comes in, with the attributes that each has.
fn event() -> Event {
    let message = Bytes::from(vec![b'x'; BODY_BYTES]);
    let extension =
        |name: &'static str, value: &str| Extension { name: name.into(), value: value.into() };
    Event {
        id: "NewFileUpload:387702292285462759".into(),
        source: "//vod.tencentcloudapi.com/applications/1500012345".into(),
        ty: "com.tencentcloud.vod.NewFileUpload".into(),
        subject: Some("387702292285462759".into()),
        time: Timestamp::from(SystemTime::now()),
        extensions: vec![
            extension("partitionkey", "387702292285462759"),
            extension("vodapplication", "movies"),
            extension("vodeventtype", "NewFileUpload"),
            extension("vodfileid", "387702292285462759"),
            extension("vodmode", "callback"),
            extension("vodsubappid", "1500012345"),
        ],
        content_type: vodbridge_core::ContentType::Json,
        data: message.slice(30..BODY_BYTES - 1),
        message,
        content: ContentDigest::default(),
        known_by: KnownBy::Key,
    }
}

fn per_second(rows: usize, took: Duration) -> f64 {
    rows as f64 / took.as_secs_f64()
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
