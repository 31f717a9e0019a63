//! The processes that are driven: the bridge, and its listener alone.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime;
use vodbridge::http::{Ending, Limits, Listener, Response, Service};

/// The bridge's binary.
pub(crate) const BRIDGE: &str = env!("CARGO_BIN_EXE_vodbridge");

/// The argument with which this benchmark is a listener that answers at once.
pub(crate) const AT_ONCE: &str = "--answer-at-once";

/// A process that listens, ended on drop.
pub(crate) struct Child {
    process: process::Child,
    pub(crate) address: SocketAddr,
    admin: Option<SocketAddr>,
    /// From the start of the process to its word that it listens.
    pub(crate) started_in: Duration,
    _home: TempDir,
}

impl Child {
    /// The bridge with a journal of its own and these connectors; none: the journal.
    pub(crate) fn bridge(connectors: &str) -> Self {
        Self::bridge_in(tempfile::tempdir().unwrap(), connectors)
    }

    /// The same, over what lies in a folder already.
    pub(crate) fn bridge_in(home: TempDir, connectors: &str) -> Self {
        let config = home.path().join("vodbridge.yaml");
        let text = format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
             journal: {{ path: {:?}, size_max: 8GiB }}\nlog: {{ format: json }}\n{connectors}\n",
            home.path().join("journal")
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(BRIDGE);
        command.arg("run").arg("--config").arg(config);
        Self::start(command, home, true)
    }

    /// This program again, as the listener alone.
    pub(crate) fn answering_at_once() -> Self {
        Self::again(&[AT_ONCE])
    }

    /// This program again with other arguments, which make it listen.
    pub(crate) fn again(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments);
        Self::start(command, tempfile::tempdir().unwrap(), false)
    }

    fn start(mut command: Command, home: TempDir, has_admin: bool) -> Self {
        let began = SystemTime::now();
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut listens = |what: &str| {
            let address = log.by_ref().find_map(|line| {
                let line: Value = serde_json::from_str(&line.ok()?).ok()?;
                line["message"].as_str()?.contains(what).then(|| line["address"].clone())
            });
            address.expect("it listens").as_str().unwrap().parse().unwrap()
        };
        let address = listens("callbacks");
        let started_in = began.elapsed().unwrap_or_default();
        let admin = has_admin.then(|| listens("/metrics"));
        // Read on, so that the child can write on; the thread ends with the child.
        thread::spawn(move || log.for_each(drop));
        Self { process, address, admin, started_in, _home: home }
    }

    /// The processor time that it has taken, its threads together.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // proc_pid_stat(5): after the name in parentheses, utime and stime are the 12th and 13th.
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u64 = [11, 12].map(|n: usize| fields[n].parse::<u64>().unwrap()).iter().sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// The sum of a metric over its series.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let mut stream = TcpStream::connect(self.admin.expect("a bridge")).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let of = |line: &str| line.strip_prefix(name).is_some_and(|l| l.starts_with(['{', ' ']));
        let values = text.lines().filter(|line| of(line));
        values.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// The most memory that was resident.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself, which the benchmark has noticed then.
            kill_process(pid, Signal::TERM).ok();
        }
        self.process.wait().ok();
    }
}

/// Reads each body and answers 200, whatever it is.
#[derive(Clone)]
struct AtOnce;

impl Service for AtOnce {
    fn call(&self, request: Request<Incoming>) -> impl Future<Output = Response> + Send + 'static {
        let body = request.into_body();
        async move {
            // A body that breaks off ends with its connection.
            body.collect().await.ok();
            let answer =
                br#"{"code":0,"outcome":"delivered","id":"NewFileUpload:5285890784273533167"}"#;
            Response::new(Full::new(Bytes::from_static(answer)))
        }
    }
}

/// Listens until it is ended, answering at once.
pub(crate) fn answer_at_once() {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(listen(AtOnce));
}

/// Listens until it is ended, and says where, as the bridge does.
#[allow(clippy::print_stderr, reason = "the address is read from there, as the bridge's is")]
pub(crate) async fn listen(service: impl Service) {
    let limits = Limits {
        connections_max: 10_000,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
    };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(address, None, limits).await.unwrap();
    eprintln!(r#"{{"message":"callbacks","address":"{}"}}"#, listener.address());
    listener.serve(service, Ending::default()).await;
}
