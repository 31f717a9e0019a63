//! One run as a line of JSON, as it stands in the results: machine readable, and all that the
//! document is made from.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::matrix::{Broker, Mode};
use crate::oracle::Verdict;

/// One run of one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The commit that was built, `-dirty` behind it if something was changed.
    pub commit: String,
    /// When it began, in seconds since 1970.
    pub began: u64,
    /// What went wrong.
    pub fault: Fault,
    /// Where events went.
    pub broker: Broker,
    /// The broker's version; empty where it never started.
    pub version: String,
    /// What its acknowledgement rests on.
    pub settings: String,
    /// How events came in.
    pub mode: Mode,
    /// The seed of the schedule.
    pub seed: u64,
    /// How long events flowed at least, in seconds.
    pub seconds: u64,
    /// Events a second.
    pub rate: u32,
    /// Steps of the schedule that were carried out.
    pub steps: u64,
    /// From the start of the broker to the verdict, in seconds.
    pub took_seconds: f64,
    /// What the oracle found.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Answers to callbacks other than 2xx.
    pub refused: u64,
    /// Attempts of callbacks without a whole answer.
    pub unanswered: u64,
    /// The longest time that no bridge was ready, in milliseconds.
    pub not_ready_ms: u64,
    /// Received and recovered less settled, in flight and waiting, at rest; `None` where it never
    /// came to rest.
    pub unaccounted: Option<f64>,
    /// From the end of the load to rest, in milliseconds.
    pub drained_ms: u64,
    /// What was wrong, a clause each: none where all is well.
    pub failures: Vec<String>,
    /// Why the run says nothing of the bridge: written into the results by hand when the fault was
    /// found in what measures. It counts in no cell and is told for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<String>,
}

/// A cell that was not run, and why: it is told, not silently missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    /// What would have gone wrong.
    pub fault: Fault,
    /// Where events would have gone.
    pub broker: Broker,
    /// How they would have come in.
    pub mode: Mode,
    /// Why it was not run.
    pub left_out: String,
}

/// One line of the results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A run.
    Run(Box<Record>),
    /// A cell without one.
    LeftOut(LeftOut),
}

// === impl Record ===

impl Record {
    /// Whether all was well.
    pub fn is_well(&self) -> bool {
        self.failures.is_empty()
    }

    /// Events that were promised and are nowhere, of all three promises.
    pub fn lost(&self) -> u64 {
        self.verdict.lost + self.verdict.kept_lost + self.verdict.sent_lost
    }

    /// The command that does the same again.
    pub fn command(&self) -> String {
        format!(
            "prove run --fault {} --broker {} --mode {} --seed {} --seconds {} --rate {} --runs 1",
            self.fault.name(),
            self.broker.name(),
            self.mode.name(),
            self.seed,
            self.seconds,
            self.rate,
        )
    }
}

// === impl Line ===

impl Line {
    /// Writes it behind the others.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn append(&self, file: &Path) -> io::Result<()> {
        let mut line = serde_json::to_string(self).expect("numbers and texts can be written");
        line.push('\n');
        OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
    }

    /// Reads all that stand in a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a line is none; the message says which.
    pub fn read(file: &Path) -> io::Result<Vec<Self>> {
        let lines = BufReader::new(std::fs::File::open(file)?).lines();
        let parsed = |(number, line): (usize, io::Result<String>)| {
            serde_json::from_str(&line?).map_err(|error| {
                let place = format!("{}:{number}: {error}", file.display());
                io::Error::new(io::ErrorKind::InvalidData, place)
            })
        };
        (1..).zip(lines).map(parsed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Verdict;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.jsonl");
        let record = Record {
            commit: "abc".to_owned(),
            began: 1,
            fault: Fault::BrokerKilled,
            broker: Broker::Nats,
            version: "2".to_owned(),
            settings: "1 server".to_owned(),
            mode: Mode::Off,
            seed: u64::MAX,
            seconds: 8,
            rate: 200,
            steps: 4,
            took_seconds: 1.5,
            verdict: Verdict { issued: 3, lost: 1, examples: vec![2], ..Verdict::default() },
            refused: 0,
            unanswered: 0,
            not_ready_ms: 10,
            unaccounted: None,
            drained_ms: 20,
            failures: vec!["1 acknowledged and lost".to_owned()],
            set_aside: None,
        };
        let left_out = LeftOut {
            fault: Fault::BrokerKilled,
            broker: Broker::Journal,
            mode: Mode::Off,
            left_out: "no broker".to_owned(),
        };
        let lines = [Line::Run(Box::new(record)), Line::LeftOut(left_out)];
        for line in &lines {
            line.append(&file).unwrap();
        }
        assert_eq!(Line::read(&file).unwrap(), lines);
        std::fs::write(&file, "{}\n").unwrap();
        assert!(Line::read(&file).unwrap_err().to_string().contains("results.jsonl:1"));
    }
}
