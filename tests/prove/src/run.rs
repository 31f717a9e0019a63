//! One run of one cell, from the start of its broker to the verdict.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::bridge::Bridge;
use crate::broker::Description;
use crate::callbacks::Answers;
use crate::matrix::{Broker, Cell};
use crate::oracle::{Verdict, judge};
use crate::readiness::Readiness;
use crate::record::Record;
use crate::stage::{Stage, warms_up};

/// No run takes longer, whatever hangs.
const RUN_WITHIN: Duration = Duration::from_secs(600);

/// RabbitMQ 3.10 forgets a quorum queue that is killed within seconds of its making.
const GROWS_OLD: Duration = Duration::from_secs(12);

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The bridge.
    pub program: PathBuf,
    /// The commit that it was built from.
    pub commit: String,
    /// How long events flow at least, in seconds; until the last step is done.
    pub seconds: u64,
    /// Events a second.
    pub rate: u32,
}

/// What a run has come to so far: a run that breaks off leaves this.
#[derive(Clone, Debug, Default)]
struct Outcome {
    description: Option<Description>,
    steps: u64,
    verdict: Verdict,
    answers: Answers,
    not_ready: Duration,
    unaccounted: Option<f64>,
    drained: Duration,
    failures: Vec<String>,
    printed: String,
}

/// Runs a cell with a seed. Whatever goes wrong is in the record, also a panic: every run counts.
/// Beside it what the bridges printed last, where something was wrong.
pub async fn run(cell: Cell, seed: u64, plan: &Plan) -> (Record, String) {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started = Instant::now();
    let mut task = JoinSet::new();
    let its = plan.clone();
    task.spawn(async move { play(cell, seed, &its).await });
    let broken = |why: String| Outcome { failures: vec![why], ..Outcome::default() };
    let outcome = match timeout(RUN_WITHIN, task.join_next()).await {
        Ok(Some(Ok(outcome))) => outcome,
        Ok(Some(Err(error))) => broken(format!("the run broke off: {}", told(error))),
        Ok(None) => broken("the run broke off".to_owned()),
        Err(_) => broken(format!("the run did not end within {RUN_WITHIN:?}")),
    };
    task.shutdown().await;
    let description = outcome
        .description
        .unwrap_or(Description { version: String::new(), settings: String::new() });
    let record = Record {
        commit: plan.commit.clone(),
        began: began.as_secs(),
        fault: cell.fault,
        broker: cell.broker,
        version: description.version,
        settings: description.settings,
        mode: cell.mode,
        seed,
        seconds: plan.seconds,
        rate: plan.rate,
        steps: outcome.steps,
        took_seconds: (started.elapsed().as_secs_f64() * 10.0).round() / 10.0,
        verdict: outcome.verdict,
        refused: outcome.answers.refused,
        unanswered: outcome.answers.unanswered,
        not_ready_ms: millis(outcome.not_ready),
        unaccounted: outcome.unaccounted,
        drained_ms: millis(outcome.drained),
        failures: outcome.failures,
        set_aside: None,
    };
    (record, outcome.printed)
}

async fn play(cell: Cell, seed: u64, plan: &Plan) -> Outcome {
    let mut outcome = Outcome::default();
    let mut stage = Stage::set(cell, &plan.program, plan.rate).await;
    outcome.description = Some(stage.broker.description());
    if let Err(failure) = warm_up(&stage, cell).await {
        outcome.failures.push(failure);
    }
    let readiness = Readiness::watch(stage.bridges.iter().map(Bridge::admin).collect());
    stage.load.flow(plan.rate);
    outcome.steps = faults(&mut stage, cell, seed, plan).await;
    stage.load.rest().await;

    let rests = Instant::now();
    let ends = async {
        stage.load.fresh().await?;
        stage.load.drained().await?;
        stage.at_rest().await
    };
    match ends.await {
        Ok(account) => {
            let unaccounted = account.unaccounted();
            outcome.unaccounted = Some(unaccounted);
            if unaccounted != 0.0 {
                outcome.failures.push(format!("{unaccounted} events not accounted for"));
            }
        }
        Err(failure) => outcome.failures.push(failure),
    }
    outcome.drained = rests.elapsed();
    outcome.not_ready = readiness.longest_not_ready();
    drop(readiness);
    let mut stops = Vec::new();
    outcome.printed = stage.printed();
    for bridge in &mut stage.bridges {
        stops.extend(bridge.stop().await.err());
    }
    outcome.failures.append(&mut stage.failures);
    outcome.failures.append(&mut stops);
    let found = stage.found().await;
    outcome.verdict = judge(&stage.load.ledger(cell.mode).await, &found);
    outcome.answers = stage.load.answers().await;
    outcome.failures.extend(outcome.verdict.failures());
    if outcome.failures.is_empty() {
        outcome.printed.clear();
    }
    outcome
}

/// Lets the first events of each type make their topics, a young queue grow old and the bridges say
/// that they are ready.
async fn warm_up(stage: &Stage, cell: Cell) -> Result<(), String> {
    if warms_up(cell.broker) {
        for _ in 0..4 {
            stage.load.fresh().await?;
        }
    }
    if cell.broker == Broker::RabbitMq3 {
        sleep_until(Instant::now() + GROWS_OLD).await;
    }
    for place in 0..stage.bridges.len() {
        stage.ready(place).await?;
    }
    Ok(())
}

/// Carries out the schedule under load; how many steps there were.
async fn faults(stage: &mut Stage, cell: Cell, seed: u64, plan: &Plan) -> u64 {
    let length = Duration::from_secs(plan.seconds);
    let schedule = cell.fault.schedule(cell, seed, length);
    let begun = Instant::now();
    let mut late = Duration::ZERO;
    for (at, step) in schedule.steps() {
        // A step that takes long moves the later ones, so that what is between them stays.
        sleep_until(begun + *at + late).await;
        let step_began = Instant::now();
        stage.carry_out(*step).await;
        late += step_began.elapsed();
    }
    sleep_until(begun + length).await;
    stage.end_faults();
    schedule.steps().len() as u64
}

fn told(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
            (Some(text), _) => text.clone(),
            (None, Some(text)) => (*text).to_owned(),
            (None, None) => "a panic".to_owned(),
        },
        Err(error) => error.to_string(),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The bridge that lies beside the running program: `vodbridge` in the folder of the executable or
/// the one above it, where a test's lies.
pub fn program_beside() -> Option<PathBuf> {
    let here = std::env::current_exe().ok()?;
    let folders = here.ancestors().skip(1).take(2).map(Path::to_owned);
    folders.map(|folder| folder.join("vodbridge")).find(|program| program.is_file())
}
