//! The usual `process_*` metrics (Prometheus, "Writing client libraries", "Process metrics"), read
//! from proc(5) when they are asked for. Where there is no `/proc` they stay at zero.

use std::fs;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The process's own numbers.
#[derive(Debug, Default)]
pub(super) struct Process {
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    cpu_seconds: Counter<f64, AtomicU64>,
    open_files: Gauge,
    threads: Gauge,
    started_seconds: Gauge<f64, AtomicU64>,
}

impl Process {
    /// Registers them under their usual names.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let process = Self::default();
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        process.started_seconds.set(began.as_secs_f64());
        let r = registry;
        r.register(
            "process_resident_memory_bytes",
            "Resident memory",
            process.resident_bytes.clone(),
        );
        r.register("process_virtual_memory_bytes", "Virtual memory", process.virtual_bytes.clone());
        r.register("process_cpu_seconds", "User and system CPU time", process.cpu_seconds.clone());
        r.register("process_open_fds", "Open file descriptors", process.open_files.clone());
        r.register("process_threads", "Threads", process.threads.clone());
        r.register(
            "process_start_time_seconds",
            "When the process began, since the epoch",
            process.started_seconds.clone(),
        );
        process
    }

    /// Looks.
    pub(super) fn look(&self) {
        if let Some(stat) =
            fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(Stat::parse)
        {
            self.resident_bytes.set(stat.resident_bytes);
            self.virtual_bytes.set(stat.virtual_bytes);
            self.threads.set(stat.threads);
            let grown = stat.cpu.as_secs_f64() - self.cpu_seconds.get();
            self.cpu_seconds.inc_by(grown.max(0.0));
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            self.open_files.set(i64::try_from(open.count()).unwrap_or(i64::MAX));
        }
    }
}

/// What is read of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu: Duration,
    threads: i64,
    virtual_bytes: i64,
    resident_bytes: i64,
}

impl Stat {
    /// The fields behind the command's name, which may hold anything but ends with the last `)`.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        // proc(5) counts from 1 with the name as the second: `state` is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let page_bytes = rustix::param::page_size() as u64;
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        Some(Self {
            cpu: Duration::from_millis((field(14)? + field(15)?) * 1000 / ticks),
            threads: signed(field(20)?),
            virtual_bytes: signed(field(23)?),
            resident_bytes: signed(field(24)?.saturating_mul(page_bytes)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 100 50 13 14 15 16 7 18 19 4096000 25 0";
        let stat = Stat::parse(&format!("42 (a) b (c)) {tail}")).unwrap();
        assert_eq!((stat.threads, stat.virtual_bytes), (7, 4_096_000));
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(stat.cpu, Duration::from_millis(150_000 / ticks));
        assert_eq!(Stat::parse("42 (short) S 1 2"), None);
    }

    #[test]
    fn a_process_sees_itself() {
        let process = Process::register(&mut Registry::default());
        process.look();
        assert!(process.resident_bytes.get() > 0 && process.open_files.get() > 0);
    }
}
