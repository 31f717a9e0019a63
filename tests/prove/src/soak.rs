//! Whether memory stays flat: half an hour of load, with an outage every minute.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::fault::Fault;
use crate::matrix::{Broker, Cell, Mode};
use crate::schedule::Step;
use crate::stage::Stage;

/// From one outage to the next.
const EVERY: Duration = Duration::from_secs(60);

/// When in its minute the broker goes away, and when it comes back.
const GOES_AT: Duration = Duration::from_secs(20);
const COMES_AT: Duration = Duration::from_secs(30);

/// Between two looks at the memory.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The minutes before the memory counts.
pub const WARM_UP: usize = 5;

/// One minute of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Minute {
    /// The most that was resident, in KiB.
    pub most_kib: u64,
    /// What was resident at its end, in KiB.
    pub last_kib: u64,
    /// The most that waited in the spool.
    pub waiting: f64,
    /// All that had settled by its end.
    pub settled: f64,
}

/// Lets events flow for so many minutes and tells of each.
///
/// # Errors
///
/// What does not come to rest at the end, or does not get through.
pub async fn soak(
    broker: Broker,
    mode: Mode,
    rate: u32,
    minutes: usize,
    program: &Path,
    mut tell: impl FnMut(usize, Minute),
) -> Result<Vec<Minute>, String> {
    let cell = Cell { fault: Fault::ProxyBlackHole, broker, mode };
    let mut stage = Stage::set(cell, program, rate).await;
    for _ in 0..4 {
        stage.load.fresh().await?;
    }
    stage.load.flow(rate);
    let mut all = Vec::new();
    for number in 1..=minutes {
        let minute = one(&mut stage).await;
        tell(number, minute);
        all.push(minute);
    }
    stage.load.rest().await;
    stage.load.fresh().await?;
    stage.load.drained().await?;
    let unaccounted = stage.at_rest().await?.unaccounted();
    if unaccounted != 0.0 {
        return Err(format!("{unaccounted} events are not accounted for"));
    }
    Ok(all)
}

async fn one(stage: &mut Stage) -> Minute {
    let began = Instant::now();
    let mut minute = Minute::default();
    look_until(stage, began + GOES_AT, &mut minute).await;
    stage.carry_out(Step::KillBroker).await;
    look_until(stage, began + COMES_AT, &mut minute).await;
    stage.carry_out(Step::StartBroker).await;
    look_until(stage, began + EVERY, &mut minute).await;
    minute
}

async fn look_until(stage: &Stage, end: Instant, minute: &mut Minute) {
    while Instant::now() < end {
        let bridge = &stage.bridges[0];
        if let Some(kib) = bridge.resident_kib() {
            minute.last_kib = kib;
            minute.most_kib = minute.most_kib.max(kib);
        }
        if let Some(account) = bridge.account().await {
            minute.waiting = minute.waiting.max(account.waiting);
            minute.settled = account.settled;
        }
        sleep(LOOK_EVERY).await;
    }
    sleep_until(end).await;
}

/// By how much the memory of the later minutes is above that of the first ones that count: the
/// mean of their peaks in the last third, over the same in the first third, less 1.
pub fn growth(minutes: &[Minute]) -> f64 {
    let counted = minutes.get(WARM_UP..).unwrap_or_default();
    let third = (counted.len() / 3).max(1);
    fn mean(part: impl Iterator<Item = Minute>) -> f64 {
        let peaks: Vec<_> = part.map(|minute| minute.most_kib as f64).collect();
        peaks.iter().sum::<f64>() / peaks.len() as f64
    }
    let (first, last) = (counted.iter().take(third), counted.iter().rev().take(third));
    if counted.is_empty() { 0.0 } else { mean(last.copied()) / mean(first.copied()) - 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(kib: impl IntoIterator<Item = u64>) -> Vec<Minute> {
        kib.into_iter().map(|most_kib| Minute { most_kib, ..Minute::default() }).collect()
    }

    #[test]
    fn growth_is_that_after_the_warm_up() {
        assert_eq!(growth(&minutes([1, 2, 3, 4, 5, 100, 100, 100])), 0.0);
        let growing = minutes((0..5).chain([100, 100, 110, 120, 150, 150]));
        assert!((growth(&growing) - 0.5).abs() < 0.01);
    }
}
