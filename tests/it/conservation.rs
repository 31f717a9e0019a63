use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use vodbridge::delivery::Outcome;
use vodbridge::duplicates::Receipt;
use vodbridge::outlet::Admitted;
use vodbridge::telemetry::metrics::{Ending, Metrics, Mode};

use crate::support::{Answer, Bridge, Scrape, Setup, event, of_type, soon, topic};

/// Types of events, each with a topic of its own.
const EVENT_TYPES: usize = 3;

/// The longest that a source waits before it drops its receipt.
const PATIENCE_MS: u64 = 60_000;

/// What happens to all events and connectors of one run.
#[derive(Clone, Debug)]
struct Schedule {
    connectors: usize,
    room_events: usize,
    /// How the connectors, and after them the letter box, answer the attempts of each event.
    weather: Vec<Vec<Vec<Answer>>>,
    comings: Vec<Coming>,
}

/// One event that comes in, for the first time or again.
#[derive(Clone, Copy, Debug)]
struct Coming {
    event: usize,
    after_ms: u64,
    /// How long its source waits, first for room and then for the outcome.
    patience_ms: u64,
}

/// What a source was told.
type Told = (usize, Outcome);

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => Just(Answer::Taken),
        2 => (1..30_000_u64).prop_map(|ms| Answer::TakenAfter(Duration::from_millis(ms))),
        3 => Just(Answer::Outage),
        1 => Just(Answer::Topology),
        2 => Just(Answer::Refused),
        1 => Just(Answer::Hangs),
        1 => Just(Answer::Panics),
    ]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    (1..=3_usize, 1..=12_usize, 1..=6_usize).prop_flat_map(|(connectors, events, room_events)| {
        let answers = prop::collection::vec(answer(), 0..6);
        let of_events = prop::collection::vec(answers, events);
        let weather = prop::collection::vec(of_events, connectors + 1);
        let patience_ms = prop_oneof![Just(0), 1..PATIENCE_MS];
        let coming = (0..events, 0..5_000_u64, patience_ms)
            .prop_map(|(event, after_ms, patience_ms)| Coming { event, after_ms, patience_ms });
        let comings = prop::collection::vec(coming, 1..40);
        (weather, comings).prop_map(move |(weather, comings)| Schedule {
            connectors,
            room_events,
            weather,
            comings,
        })
    })
}

// 256 schedules a run; the environment variable PROPTEST_CASES says otherwise, and a failure prints
// the schedule in its smallest form and its seed.
proptest! {
    #[test]
    fn whatever_the_weather_what_is_answered_is_stored_and_nothing_is_forgotten(
        schedule in schedule(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(&schedule))?;
    }
}

fn id(event: usize) -> String {
    format!("event {event}")
}

fn event_type(event: usize) -> String {
    format!("Type{}", event % EVENT_TYPES)
}

async fn run(schedule: &Schedule) -> TestCaseResult {
    let Schedule { connectors, room_events, .. } = *schedule;
    let bridge = Setup { connectors, room_events, ..Setup::default() }.build();
    let fakes = bridge.connectors.iter().chain([&bridge.letter_box]);
    for (fake, of_events) in fakes.zip(&schedule.weather) {
        for (event, answers) in of_events.iter().enumerate() {
            fake.first(&id(event), answers);
        }
    }
    let stop = CancellationToken::new();
    for target in &bridge.targets {
        bridge.tracker.spawn(std::sync::Arc::clone(target).probe(stop.clone()));
    }

    let (told, scrapes) = weather(&bridge, &schedule.comings).await;
    for (event, outcome) in told {
        answered_truly(&bridge, event, outcome)?;
    }
    prop_assert!(scrapes.iter().all(|n| *n >= 0), "more ends than beginnings: {scrapes:?}");

    // The weather ends.
    for fake in bridge.connectors.iter().chain([&bridge.letter_box]) {
        (0..schedule.weather[0].len()).for_each(|event| fake.first(&id(event), &[]));
    }
    sleep(Duration::from_secs(60)).await;
    prop_assert_eq!(bridge.in_flight(), 0, "a delivery nobody waits for is still under way");
    for ty in 0..EVENT_TYPES {
        let fresh = of_type(&format!("fresh {ty}"), &event_type(ty));
        prop_assert_eq!(bridge.outcome(fresh).await, Outcome::Delivered, "shut for ever");
    }
    for event in schedule.comings.iter().map(|c| c.event) {
        let outcome = resent(&bridge, event).await;
        prop_assert!(outcome < Outcome::Deferred, "what was deferred never ends");
        answered_truly(&bridge, event, outcome)?;
        for (n, fake) in bridge.connectors.iter().enumerate() {
            prop_assert!(fake.taken(&id(event)) <= 1, "c{n} has event {event} twice");
        }
        prop_assert!(lettered_by(&bridge, event).values().all(|n| *n == 1), "lettered twice");
    }
    stop.cancel();
    bridge.rest().await;

    let scrape = bridge.scrape();
    prop_assert_eq!(scrape.unaccounted(), 0, "received and neither settled nor in flight");
    prop_assert_eq!(scrape.sum("in_flight", &[]), 0);
    Ok(())
}

/// Lets every event come in at its time, and gathers what their sources are told and what a scrape
/// at each step finds unaccounted for.
async fn weather(bridge: &Bridge, comings: &[Coming]) -> (Vec<Told>, Vec<i64>) {
    let mut at = 0;
    let sources = comings.iter().map(|coming| {
        at += coming.after_ms;
        source(bridge, *coming, Duration::from_millis(at))
    });
    let sources = futures_util::future::join_all(sources);
    let over = CancellationToken::new();
    let scraping = async {
        let mut scrapes = Vec::new();
        while !over.is_cancelled() {
            scrapes.push(bridge.scrape().unaccounted());
            sleep(Duration::from_millis(997)).await;
        }
        scrapes
    };
    let sources = async {
        let told = sources.await;
        over.cancel();
        told.into_iter().flatten().collect()
    };
    tokio::join!(sources, scraping)
}

/// One coming of one event: what its source is told before its patience ends. The truth of an
/// answer is looked at when it is given, not later.
async fn source(bridge: &Bridge, coming: Coming, at: Duration) -> Option<Told> {
    sleep(at).await;
    let patience = Duration::from_millis(coming.patience_ms);
    let told = timeout(patience, resent(bridge, coming.event)).await.ok()?;
    let truth = answered_truly(bridge, coming.event, told);
    truth.unwrap_or_else(|why| panic!("{why}"));
    Some((coming.event, told))
}

async fn resent(bridge: &Bridge, which: usize) -> Outcome {
    let receipt: Receipt = match bridge.offer(of_type(&id(which), &event_type(which))) {
        Admitted::New(departure, receipt) => {
            departure.depart().await;
            receipt
        }
        Admitted::Joined(receipt, _) => receipt,
        // A duplicate is confirmed: as good as an answer, and as bad if it is not true.
        Admitted::Duplicate(_) => {
            let lettered = lettered_by(bridge, which).is_empty();
            return if lettered { Outcome::Delivered } else { Outcome::Rejected };
        }
    };
    soon(receipt.outcome()).await
}

/// Delivered: every connector has it. Rejected: every connector has it or its letter is in the
/// letter box, and at least one is. Anything may be deferred.
fn answered_truly(bridge: &Bridge, which: usize, outcome: Outcome) -> TestCaseResult {
    let letters = lettered_by(bridge, which);
    for (n, fake) in bridge.connectors.iter().enumerate() {
        let has = fake.taken(&id(which)) > 0;
        let lettered = letters.contains_key(&format!("c{n}"));
        match outcome {
            Outcome::Delivered => prop_assert!(has, "delivered, and c{n} has no event {which}"),
            Outcome::Rejected => {
                prop_assert!(has || lettered, "rejected, and c{n} owes event {which}");
            }
            Outcome::Deferred => {}
        }
    }
    match outcome {
        Outcome::Delivered => prop_assert!(letters.is_empty(), "delivered with a letter"),
        Outcome::Rejected => prop_assert!(!letters.is_empty(), "rejected without a letter"),
        Outcome::Deferred => {}
    }
    Ok(())
}

/// The connectors whose refusal of an event is in the letter box or in the journal behind it, and how
/// often.
fn lettered_by(bridge: &Bridge, which: usize) -> BTreeMap<String, usize> {
    let mut by = BTreeMap::new();
    let letters = [&bridge.letter_box, &bridge.journal].map(|c| c.all_taken());
    for letter in letters.iter().flatten().filter(|l| l.id == id(which)) {
        let connector = letter.extension("vodconnector").unwrap_or_default().to_owned();
        *by.entry(connector).or_default() += 1;
    }
    by
}

#[tokio::test(start_paused = true)]
async fn a_503_and_a_join_count_nothing_twice() {
    let bridge = Bridge::to(1);
    bridge.connector().usually(Answer::Topology);
    let lead = bridge.send(event("a")).await;
    let joined = bridge.send(event("a")).await;
    soon(bridge.connector().begun(3)).await;
    let scrape = bridge.scrape();
    assert_eq!((scrape.sum("received_total", &[]), scrape.sum("in_flight", &[])), (2, 2));
    drop(lead);
    assert_eq!(bridge.scrape().sum("in_flight", &[]), 2, "an answer is no settling");
    bridge.connector().on_topic(&topic("NewFileUpload"), Answer::Taken);
    assert_eq!(soon(joined.outcome()).await, Outcome::Delivered);
    let scrape = bridge.scrape();
    assert_eq!((scrape.settled("delivered"), scrape.settled("duplicate")), (1, 1));
    assert_eq!(scrape.unaccounted(), 0);
}

#[test]
fn no_scrape_shows_more_ends_than_beginnings_while_other_threads_count() {
    let metrics = Metrics::new();
    let intake = metrics.intake("movies", Mode::pull, &["other"]);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| (0..50_000).for_each(|_| intake.begin(0).end(Ending::delivered)));
        }
        for _ in 0..500 {
            let unaccounted = Scrape::new(&metrics).unaccounted();
            assert!(unaccounted >= 0, "{unaccounted}");
        }
    });
    assert_eq!(Scrape::new(&metrics).unaccounted(), 0);
}
