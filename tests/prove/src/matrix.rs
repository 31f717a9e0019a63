//! The squares of the matrix: faults x brokers x modes.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// Where events go.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[value(rename_all = "lower")]
#[serde(rename_all = "lowercase")]
pub enum Broker {
    /// Apache Kafka, one node.
    Kafka,
    /// RabbitMQ 4, one node, a quorum queue.
    RabbitMq4,
    /// RabbitMQ 3 as in Debian 12, one node, a quorum queue.
    RabbitMq3,
    /// NATS JetStream, one server, file storage.
    Nats,
    /// The embedded journal alone.
    Journal,
}

/// How events come in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[value(rename_all = "lower")]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Callbacks, written to the journal as they come (`spool: ahead`).
    Ahead,
    /// Callbacks, kept in memory (`spool: off`): what got 503 is no loss.
    Off,
    /// Pulled from VOD's queue and confirmed.
    Pull,
}

/// One square of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// What goes wrong.
    pub fault: Fault,
    /// Where events go.
    pub broker: Broker,
    /// How they come in.
    pub mode: Mode,
}

/// Which cells are wanted; an empty list means all. RabbitMQ 3 is run only where it is named.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Where events go.
    pub brokers: Vec<Broker>,
    /// How they come in.
    pub modes: Vec<Mode>,
}

// === impl Broker ===

impl Broker {
    /// As on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::RabbitMq4 => "rabbitmq4",
            Self::RabbitMq3 => "rabbitmq3",
            Self::Nats => "nats",
            Self::Journal => "journal",
        }
    }
}

// === impl Mode ===

impl Mode {
    /// As on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Off => "off",
            Self::Pull => "pull",
        }
    }

    /// Whether events come in as callbacks.
    pub fn is_push(self) -> bool {
        self != Self::Pull
    }
}

// === impl Cell ===

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.fault.name(), self.broker.name(), self.mode.name())
    }
}

// === impl Selection ===

impl Selection {
    /// The cells in the order in which they run: each round has every fault once, with another
    /// broker or mode than the round before, so that a run that is ended early has seen something
    /// of everything.
    pub fn cells(&self) -> Vec<Cell> {
        let faults = if self.faults.is_empty() { Fault::ALL.to_vec() } else { self.faults.clone() };
        let usual = [Broker::Kafka, Broker::RabbitMq4, Broker::Nats, Broker::Journal];
        let brokers = if self.brokers.is_empty() { usual.to_vec() } else { self.brokers.clone() };
        let all = [Mode::Ahead, Mode::Off, Mode::Pull];
        let modes = if self.modes.is_empty() { all.to_vec() } else { self.modes.clone() };
        let columns: Vec<_> = brokers
            .iter()
            .flat_map(|&broker| modes.iter().map(move |&mode| (broker, mode)))
            .collect();
        let mut cells = Vec::new();
        for round in 0..columns.len() {
            cells.extend(faults.iter().enumerate().map(|(place, &fault)| {
                let (broker, mode) = columns[(place + round) % columns.len()];
                Cell { fault, broker, mode }
            }));
        }
        cells
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_cell_comes_once_and_every_fault_in_each_round() {
        let cells = Selection::default().cells();
        let distinct: BTreeSet<_> = cells.iter().collect();
        assert_eq!((cells.len(), distinct.len()), (Fault::ALL.len() * 12, cells.len()));
        let first: Vec<_> = cells.iter().take(Fault::ALL.len()).map(|cell| cell.fault).collect();
        assert_eq!(first, Fault::ALL);
    }
}
