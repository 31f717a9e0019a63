//! What is seen of the runs: a line each, and on a terminal the one that is under way.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use prove::matrix::Cell;
use prove::record::Record;
use tokio::time::Instant;

/// How much there is to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Total {
    /// So many runs.
    Runs(u64),
    /// As many as there is time for.
    Time(Duration),
    /// As many as it takes for so many events.
    Events(u64),
}

/// Tells how it stands, on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    total: Total,
    began: Instant,
    is_terminal: bool,
    runs: u64,
    events: u64,
}

// === impl Progress ===

impl Progress {
    pub(super) fn new(total: Total) -> Self {
        let is_terminal = io::stderr().is_terminal();
        Self { total, began: Instant::now(), is_terminal, runs: 0, events: 0 }
    }

    /// Whether there is more to do.
    pub(super) fn goes_on(&self) -> bool {
        match self.total {
            Total::Runs(runs) => self.runs < runs,
            Total::Time(time) => self.began.elapsed() < time,
            Total::Events(events) => self.events < events,
        }
    }

    /// A run begins.
    pub(super) fn begins(&self, cell: Cell, seed: u64) {
        if self.is_terminal {
            write!(io::stderr().lock(), "\r\x1b[K{} {cell} seed {seed} ...", self.place()).ok();
        }
    }

    /// A run has ended.
    pub(super) fn ended(&mut self, cell: Cell, record: &Record, printed: &str) {
        self.runs += 1;
        self.events += record.verdict.issued;
        let verdict = &record.verdict;
        let (well, failed) = if self.is_terminal {
            ("\x1b[32mok\x1b[0m", "\x1b[31mFAILED\x1b[0m")
        } else {
            ("ok", "FAILED")
        };
        let mut out = io::stderr().lock();
        let clear = if self.is_terminal { "\r\x1b[K" } else { "" };
        // Where standard error cannot be written to, nobody is there to be told.
        writeln!(
            out,
            "{clear}{} {cell:<34} seed {:<5} lost {} / {} acknowledged, {} duplicated, {} recovered, \
             not ready {:.1} s, {:.0} s  {}",
            self.place(),
            record.seed,
            record.lost(),
            verdict.acknowledged,
            verdict.duplicated,
            verdict.recovered,
            record.not_ready_ms as f64 / 1000.0,
            record.took_seconds,
            if record.is_well() { well } else { failed },
        )
        .ok();
        if !record.is_well() {
            for failure in &record.failures {
                writeln!(out, "    {failure}").ok();
            }
            if !verdict.examples.is_empty() {
                writeln!(out, "    events {:?}", verdict.examples).ok();
            }
            for line in printed.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev() {
                writeln!(out, "    | {line}").ok();
            }
            writeln!(out, "    again: {}", record.command()).ok();
        }
    }

    fn place(&self) -> String {
        let elapsed = minutes(self.began.elapsed());
        match self.total {
            Total::Runs(runs) => format!("[{}/{runs} {elapsed}]", self.runs),
            Total::Time(time) => format!("[{} {elapsed}/{}]", self.runs, minutes(time)),
            Total::Events(events) => {
                format!("[{} {}/{events} events {elapsed}]", self.runs, self.events)
            }
        }
    }
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}
