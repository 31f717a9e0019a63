use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;
use prove::fault::Fault;
use prove::matrix::{Broker, Mode};

const MODES: [Mode; 3] = [Mode::Ahead, Mode::Off, Mode::Pull];

/// `prove faults`
#[derive(Debug, Args)]
pub(super) struct Faults {}

impl Faults {
    pub(super) fn run(self) -> ExitCode {
        let mut out = io::stdout().lock();
        for &fault in Fault::ALL {
            // A reader that has gone is no failure.
            writeln!(out, "{:<24}{}", fault.name(), fault.about()).ok();
            let brokers = [Broker::Kafka, Broker::RabbitMq4, Broker::Nats, Broker::Journal];
            let reasons: BTreeSet<_> = brokers
                .into_iter()
                .flat_map(|broker| MODES.into_iter().filter_map(move |m| fault.without(broker, m)))
                .collect();
            for reason in reasons {
                writeln!(out, "{:<24}not where {reason}", "").ok();
            }
        }
        ExitCode::SUCCESS
    }
}
