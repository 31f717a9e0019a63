//! A start with very many rows in the spool.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use vodbridge::normalize::{DataForm, Normalizer, Reception, Trace};
use vodbridge::telemetry::metrics::Mode;
use vodbridge_core::Timestamp;
use vodbridge_journal::{Settings, Store};
use vodbridge_vod::Content;
use vodsim::callback;

use crate::support::child::Child;
use crate::support::running::Running;
use crate::{config, drive};

/// Rows that are written at a time.
const WRITTEN_TOGETHER: u64 = 4096;

const START_MILLIS: u128 = 200;
const RESIDENT_MIB: f64 = 60.0;
const DRAIN_RATIO: f64 = 0.5;

/// Fills a spool, starts a bridge over it and waits until all has gone.
pub(crate) fn measure(running: &Running, runtime: &Runtime, rows: u64, time: Duration) {
    let child = Child::bridge(&config(running, "ahead"));
    let callbacks = drive(&child, 128, time, 1_000_000_000).rate;
    drop(child);

    let home = tempfile::tempdir().unwrap();
    let journal = home.path().join("journal");
    runtime.block_on(fill(&journal, rows));
    let before = size_of(&journal);
    let child = Child::bridge_in(home, &config(running, "ahead"));
    let (started_in, began) = (child.started_in, SystemTime::now());
    let resident_at_start = child.resident_kib() as f64 / 1024.0;
    while child.metric("vodbridge_waiting") + child.metric("vodbridge_in_flight") > 0.0 {
        std::thread::yield_now();
    }
    let drained = rows as f64 / began.elapsed().unwrap().as_secs_f64();
    let resident = child.resident_kib() as f64 / 1024.0;
    // Once more as many bytes find their place in what has become free.
    drive(&child, 128, time, 1_100_000_000);
    let after = size_of(&journal);
    let said = |met: bool| if met { "met" } else { "not met" };
    println!(
        "\n{rows} rows in the spool, {:.0} MiB:\n\
         listening {} ms after the start; aim {START_MILLIS} ms: {}\n\
         resident {resident_at_start:.1} MiB then, {resident:.1} MiB at most; aim {RESIDENT_MIB} MiB: {}\n\
         sent on at {drained:.0}/s, {:.2} of the rate of callbacks ({callbacks:.0}/s); aim {DRAIN_RATIO}: {}\n\
         the file afterwards {:.0} MiB, having taken {:.0} s of callbacks more: {}",
        before / 1024.0 / 1024.0,
        started_in.as_millis(),
        said(started_in.as_millis() <= START_MILLIS),
        said(resident <= RESIDENT_MIB),
        drained / callbacks,
        said(drained / callbacks >= DRAIN_RATIO),
        after / 1024.0 / 1024.0,
        time.as_secs_f64(),
        if after <= before * 1.05 { "reused" } else { "it grew" },
    );
}

fn size_of(journal: &Path) -> f64 {
    fs::metadata(journal.join("journal.db")).unwrap().len() as f64
}

async fn fill(path: &Path, rows: u64) {
    let store = Store::open(Settings { size_max_bytes: 8 << 30, ..Settings::new(path) }).unwrap();
    let normalizer = Normalizer::new("default", None, "com.tencentcloud.vod", DataForm::Payload);
    let mut writing = JoinSet::new();
    for n in 0..rows {
        let message = bytes::Bytes::from(callback::body(n));
        let at = Timestamp::from_millis(1_700_000_000_000 + n);
        let reception = Reception { mode: Mode::callback, at, trace: Trace::default() };
        let event = normalizer.event(Content::read(&message).unwrap(), &message, &reception);
        let store = store.clone();
        writing.spawn(async move { store.spool(&event, None, at).await.unwrap() });
        if n % WRITTEN_TOGETHER == 0 {
            while writing.join_next().await.is_some() {}
        }
    }
    while writing.join_next().await.is_some() {}
    store.close().await;
}
