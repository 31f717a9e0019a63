//! What goes wrong: the rows of the matrix, a schedule each.

use std::time::Duration;

use brokers::Weather;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::matrix::{Broker, Cell, Mode};
use crate::schedule::{Schedule, Step};
use crate::stage::clock;

macro_rules! faults {
    ($($variant:ident $name:literal $about:literal)*) => {
        /// What goes wrong in a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Fault {
            $(#[doc = $about] $variant,)*
        }

        impl Fault {
            /// All of them, in the order of the rows.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// As on the command line and in results.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// A sentence about it.
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $about,)* }
            }
        }
    };
}

faults! {
    None "none" "Nothing goes wrong."
    BrokerKilled "broker-killed" "The broker is killed (signal 9) and started again."
    BrokerFrozen "broker-frozen" "The broker stands still (SIGSTOP) for some seconds."
    ProxyCut "proxy-cut" "All connections to the broker are cut, again and again."
    ProxyDelay "proxy-delay" "Everything between bridge and broker is delayed by 100 to 400 ms."
    ProxyThrottle "proxy-throttle" "Between bridge and broker pass 16 to 64 KiB a second."
    ProxyHalfOpen "proxy-half-open" "The broker's side of all connections vanishes and the bridge is not told."
    ProxyBlackHole "proxy-black-hole" "Nothing passes between bridge and broker for some seconds, then all of it."
    ProxyLostAcks "proxy-lost-acks" "The broker's answers are held back, then the connections are cut."
    BridgeKilled "bridge-killed" "The bridge is killed (signal 9) at random moments and started again."
    BridgeKilledInOutage "bridge-killed-in-outage" "The broker is away and the bridge is killed (signal 9) meanwhile."
    BridgeStopped "bridge-stopped" "The bridge is stopped (SIGTERM) under load and started again."
    BridgeRolling "bridge-rolling" "Two bridges behind one address are stopped and started one after the other."
    TopologyRemoved "topology-removed" "Topics, queue or stream are deleted while the bridge runs."
    RightsRemoved "rights-removed" "The right to publish is taken away and given back."
    PasswordRotated "password-rotated" "The password is changed at the broker and in the secret's file."
    DiskFull "disk-full" "The disk below the journal is full for some seconds."
    NoDescriptors "no-descriptors" "The bridge can open no further file or socket for some seconds."
    ClockJump "clock-jump" "The bridge's wall clock jumps an hour ahead and back."
    VodClock "vod-clock" "VOD's clock is ten minutes off for some seconds."
    VodFaults "vod-faults" "VOD's API loses replies, repeats events, throttles, hangs and answers nonsense."
}

// === impl Fault ===

impl Fault {
    /// Why it makes no sense in a cell, or cannot be had on this machine; nothing if it is to run.
    pub fn without(self, broker: Broker, mode: Mode) -> Option<&'static str> {
        let is_journal = broker == Broker::Journal;
        let needs_broker = [
            Self::BrokerKilled,
            Self::BrokerFrozen,
            Self::TopologyRemoved,
            Self::RightsRemoved,
            Self::PasswordRotated,
        ];
        let needs_network = [
            Self::ProxyCut,
            Self::ProxyDelay,
            Self::ProxyThrottle,
            Self::ProxyHalfOpen,
            Self::ProxyBlackHole,
            Self::ProxyLostAcks,
            Self::BridgeKilledInOutage,
        ];
        let needs_api = [Self::VodFaults, Self::VodClock];
        if is_journal && needs_broker.contains(&self) {
            return Some("the journal is a part of the bridge: no broker, no rights, no password");
        }
        if is_journal && needs_network.contains(&self) {
            return Some("no network leads to the journal");
        }
        if mode.is_push() && needs_api.contains(&self) {
            return Some("callbacks do not call VOD's API");
        }
        let lacks_clock = self == Self::ClockJump && clock::library().is_none();
        lacks_clock.then_some("libfaketime is not installed on this machine")
    }

    /// How many bridges run.
    pub fn bridges(self) -> usize {
        if self == Self::BridgeRolling { 2 } else { 1 }
    }

    /// Whether the bridge logs in to the broker.
    pub fn needs_login(self) -> bool {
        matches!(self, Self::RightsRemoved | Self::PasswordRotated)
    }

    /// What is done in a run, which ends well by itself: the last step of each fault undoes it.
    pub fn schedule(self, cell: Cell, seed: u64, length: Duration) -> Schedule {
        let calm = Schedule::new(seed, length).after(300, 1000);
        let weather = |weather: Weather| {
            move |s: Schedule| {
                let s = s.step(Step::Weather(weather)).after(1500, 3000);
                s.step(Step::Weather(Weather::Clear)).after(500, 1500)
            }
        };
        let between = |on: Step, off: Step, from_ms, to_ms| {
            move |s: Schedule| s.step(on).after(from_ms, to_ms).step(off).after(700, 2000)
        };
        match self {
            Self::None => calm,
            Self::BrokerKilled => {
                calm.repeat(between(Step::KillBroker, Step::StartBroker, 200, 3000))
            }
            Self::BrokerFrozen => {
                calm.repeat(between(Step::FreezeBroker, Step::ThawBroker, 500, 5000))
            }
            Self::ProxyCut => calm.repeat(|s| s.step(Step::Cut).after(50, 1200)),
            Self::ProxyDelay => calm.repeat(|mut s| {
                let delay = Duration::from_millis(100 + s.draw(300));
                weather(Weather::Delay(delay))(s)
            }),
            Self::ProxyThrottle => calm.repeat(|mut s| {
                let bytes_per_second = 1024 * (16 + s.draw(48));
                weather(Weather::Throttle { bytes_per_second })(s)
            }),
            Self::ProxyHalfOpen => calm.repeat(|s| s.step(Step::Abandon).after(1500, 4000)),
            Self::ProxyBlackHole => {
                let dark = Step::Weather(Weather::BlackHole);
                calm.repeat(between(dark, Step::Weather(Weather::Clear), 500, 5000))
            }
            Self::ProxyLostAcks => calm.repeat(|s| {
                let s = s.step(Step::HoldReplies(true)).after(20, 800).step(Step::Cut);
                s.step(Step::HoldReplies(false)).after(300, 1500)
            }),
            Self::BridgeKilled => calm.repeat(|s| s.step(Step::KillBridge).after(300, 1500)),
            Self::BridgeKilledInOutage => calm.repeat(|s| {
                let s = s.step(Step::Weather(Weather::BlackHole)).after(200, 1500);
                let s = s.step(Step::KillBridge).after(200, 1500);
                s.step(Step::Weather(Weather::Clear)).after(700, 2000)
            }),
            Self::BridgeStopped => calm.repeat(|s| s.step(Step::StopBridge).after(500, 2000)),
            Self::BridgeRolling => calm.repeat(|s| s.step(Step::RollBridges).after(1000, 2500)),
            Self::TopologyRemoved => {
                calm.repeat(|s| s.after(500, 1500).step(Step::RemoveTopology).after(2500, 4000))
            }
            Self::RightsRemoved => {
                calm.repeat(between(Step::TakeRights, Step::GiveRights, 500, 3000))
            }
            Self::PasswordRotated => {
                calm.repeat(|s| s.step(Step::RotatePassword).after(1500, 3000))
            }
            Self::DiskFull => calm.repeat(between(Step::FillDisk, Step::FreeDisk, 1000, 3000)),
            Self::NoDescriptors => {
                calm.repeat(between(Step::LowerDescriptors, Step::RaiseDescriptors, 500, 3000))
            }
            Self::ClockJump => {
                calm.repeat(between(Step::SetClock(3600), Step::SetClock(0), 500, 3000))
            }
            Self::VodClock => calm.repeat(|mut s| {
                let ahead = if s.draw(2) == 0 { 600 } else { -600 };
                between(Step::SetVodClock(ahead), Step::SetVodClock(0), 500, 3000)(s)
            }),
            Self::VodFaults => {
                let calm = calm.step(Step::VodFails(Some(seed)));
                let calm = calm.repeat(|s| s.after(1000, 1000));
                debug_assert_eq!(cell.mode, Mode::Pull, "callbacks have no API");
                calm.step(Step::VodFails(None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(fault: Fault, seed: u64) -> Vec<(Duration, Step)> {
        let cell = Cell { fault, broker: Broker::Nats, mode: Mode::Pull };
        fault.schedule(cell, seed, Duration::from_secs(8)).steps().to_vec()
    }

    #[test]
    fn the_same_seed_is_the_same_schedule_and_another_another() {
        for &fault in Fault::ALL.iter().filter(|fault| **fault != Fault::None) {
            assert_eq!(schedule(fault, 7), schedule(fault, 7), "{fault:?}");
            assert_ne!(schedule(fault, 7), schedule(fault, 8), "{fault:?}");
            assert!(schedule(fault, 7).is_sorted_by_key(|(at, _)| *at), "{fault:?}");
        }
    }

    #[test]
    fn what_is_begun_is_ended() {
        let ends = |on: Step, off: Step| {
            for &fault in Fault::ALL {
                let steps = schedule(fault, 3);
                let last = |step: Step| steps.iter().rposition(|(_, s)| *s == step);
                if let Some(on) = last(on) {
                    assert!(last(off).is_some_and(|off| off > on), "{fault:?}: {steps:?}");
                }
            }
        };
        ends(Step::KillBroker, Step::StartBroker);
        ends(Step::FreezeBroker, Step::ThawBroker);
        ends(Step::Weather(Weather::BlackHole), Step::Weather(Weather::Clear));
        ends(Step::HoldReplies(true), Step::HoldReplies(false));
        ends(Step::TakeRights, Step::GiveRights);
        ends(Step::FillDisk, Step::FreeDisk);
        ends(Step::LowerDescriptors, Step::RaiseDescriptors);
        ends(Step::SetClock(3600), Step::SetClock(0));
    }

    #[test]
    fn names_on_the_command_line_and_in_results_are_the_same() {
        for &fault in Fault::ALL {
            assert_eq!(fault.to_possible_value().unwrap().get_name(), fault.name());
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        }
    }
}
