//! The program itself, started by a test on free ports with a journal of its own, and killed on
//! drop.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing in these tests takes longer, and a wait that does has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The path of the callbacks where the configuration says nothing else.
pub(crate) const PATH: &str = "/vod/default";

/// A running bridge.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<Value>,
    reader: Option<JoinHandle<Vec<Value>>>,
    pub(crate) callbacks: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Outlives the process.
    _home: Home,
}

/// A configuration file and a journal, which outlive the program.
#[derive(Clone)]
pub(crate) struct Home(std::sync::Arc<Folder>);

struct Folder {
    folder: TempDir,
    journal: PathBuf,
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Its lines of headers, lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

// === impl Home ===

impl Home {
    /// A home whose configuration adds `yaml` to free ports and a journal in it.
    pub(crate) fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("journal");
        Self::with_journal(folder, journal, yaml)
    }

    /// The same, with the journal somewhere else.
    pub(crate) fn with_journal(folder: TempDir, journal: PathBuf, yaml: &str) -> Self {
        let home = Self(std::sync::Arc::new(Folder { folder, journal }));
        home.configure(yaml);
        home
    }

    /// Writes the configuration anew; `journal:` keys go into the flow mapping `JOURNAL`, those of
    /// `http:` and `admin:` stand behind `HTTP` and `ADMIN`.
    pub(crate) fn configure(&self, yaml: &str) {
        let (journal_keys, rest) = match yaml.strip_prefix("JOURNAL ") {
            Some(rest) => rest.split_once('\n').unwrap_or((rest, "")),
            None => ("", yaml),
        };
        let keys = |word| rest.lines().find_map(|l| l.strip_prefix(word)).unwrap_or_default();
        let (http, admin) = (keys("HTTP "), keys("ADMIN "));
        let is_other = |line: &&str| !line.starts_with("HTTP ") && !line.starts_with("ADMIN ");
        let text = format!(
            "http: {{ listen: \"127.0.0.1:0\"{http} }}\n\
             admin: {{ listen: \"127.0.0.1:0\"{admin} }}\n\
             journal: {{ path: {:?}{journal_keys} }}\n{}{}",
            self.0.journal,
            if rest.contains("log:") { "" } else { "log: { format: json }\n" },
            rest.lines().filter(is_other).collect::<Vec<_>>().join("\n"),
        );
        fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.0.folder.path().join("vodbridge.yaml")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.folder.path()
    }

    /// Runs a subcommand on this home's configuration, and waits for it.
    pub(crate) fn vodbridge(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vodbridge"));
        command.args(arguments).arg("--config").arg(self.config()).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// What a listing prints, as values.
    pub(crate) fn listed(&self, arguments: &[&str]) -> Vec<Value> {
        let format = ["--format", "json", "--oldest-first", "--limit", "1000000"];
        let output = self.vodbridge(&[arguments, &format].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Starts the bridge and waits until it listens.
    pub(crate) fn start(&self) -> Program {
        self.try_start().unwrap_or_else(|log| panic!("the bridge did not start: {log:#?}"))
    }

    /// Starts the bridge with more in its environment.
    pub(crate) fn start_with(&self, variables: &[(&str, &str)]) -> Program {
        let started = self.try_start_with(variables);
        started.unwrap_or_else(|log| panic!("the bridge did not start: {log:#?}"))
    }

    /// Starts the bridge; what it logged if it ended instead.
    pub(crate) fn try_start(&self) -> Result<Program, Vec<Value>> {
        self.try_start_with(&[])
    }

    pub(crate) fn try_start_with(&self, variables: &[(&str, &str)]) -> Result<Program, Vec<Value>> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vodbridge"))
            .arg("run")
            .arg("--config")
            .arg(self.config())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = channel();
        let reader = thread::spawn(move || {
            let mut log = Vec::new();
            for line in stderr.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                log.push(line.clone());
                // A test that has seen enough listens no more.
                send.send(line).ok();
            }
            log
        });
        let unknown = SocketAddr::from(([0; 4], 0));
        let reader = Some(reader);
        let _home = self.clone();
        let mut program =
            Program { child, lines, reader, callbacks: unknown, admin: unknown, _home };
        loop {
            let Some(line) = program.wait_for_line("") else { return Err(program.end().1) };
            let message = line["message"].as_str().unwrap();
            let address = || line["address"].as_str().unwrap().parse().unwrap();
            if message.starts_with("callbacks are taken in") {
                program.callbacks = address();
            } else if message.starts_with("/livez") {
                program.admin = address();
                return Ok(program);
            }
        }
    }
}

// === impl Program ===

impl Program {
    /// A bridge with defaults and a home of its own.
    pub(crate) fn with_defaults() -> Self {
        Home::new("").start()
    }

    /// Its configuration and journal, which outlive it.
    pub(crate) fn home(&self) -> Home {
        self._home.clone()
    }

    /// The next log line whose message contains `text`; none if the program ends before.
    pub(crate) fn wait_for_line(&self, text: &str) -> Option<Value> {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line["message"].as_str().is_some_and(|m| m.contains(text)) {
                return Some(line);
            }
        }
        None
    }

    /// Whether a line whose message contains `text` has come since the last look.
    pub(crate) fn saw_line(&self, text: &str) -> bool {
        self.lines.try_iter().any(|line| line["message"].as_str().is_some_and(|m| m.contains(text)))
    }

    /// Posts a body and reads the answer.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.request("POST", path, &[], body)
    }

    /// Sends any request with a `Content-Length`.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for (name, value) in headers {
            bytes += &format!("{name}: {value}\r\n");
        }
        bytes += &format!("Content-Length: {}\r\n\r\n", body.len());
        raw(self.callbacks, &[bytes.as_bytes(), body].concat()).expect("an answer")
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[])
    }

    /// Sends a request without a body to the operator's port.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        raw(self.admin, (request + "\r\n").as_bytes()).expect("an answer")
    }

    /// The sum of a metric over its series whose labels contain `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> f64 {
        sum(&self.get("/metrics").body, name, labels)
    }

    /// What is unaccounted for now; see [`unaccounted`].
    pub(crate) fn unaccounted(&self) -> f64 {
        unaccounted(&self.get("/metrics").body)
    }

    /// Events that no connector has taken yet. One of those that are kept may be under way: it
    /// probes the broker for all, so that `waiting` alone may be one less.
    pub(crate) fn unsettled(&self) -> f64 {
        let scrape = self.get("/metrics").body;
        sum(&scrape, "vodbridge_in_flight", "") + sum(&scrape, "vodbridge_waiting", "")
    }

    /// Rows of the spool.
    pub(crate) fn spooled(&self) -> f64 {
        let state: serde_json::Value =
            serde_json::from_str(&self.get("/api/state").body).expect("the state is JSON");
        let shares = state["journal"]["shares"].as_array().unwrap();
        let spool = shares.iter().find(|share| share["name"] == "spool");
        spool.unwrap()["rows"].as_f64().unwrap()
    }

    /// A field of /proc/PID/status in KiB: VmRSS, VmHWM.
    pub(crate) fn memory_kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end().0
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.end();
    }

    /// Waits for the end, which something else brings about; the status and the whole log.
    pub(crate) fn end(&mut self) -> (ExitStatus, Vec<Value>) {
        let status = self.child.wait().unwrap();
        let log = self.reader.take().map(|r| r.join().unwrap()).unwrap_or_default();
        (status, log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The sum of a metric of a scrape over its series whose labels contain `labels`.
pub(crate) fn sum(scrape: &str, name: &str, labels: &str) -> f64 {
    let series = scrape.lines().filter(|l| {
        l.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])) && l.contains(labels)
    });
    series.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Received less settled, in flight and waiting: what may never be unequal to zero at rest.
pub(crate) fn unaccounted(scrape: &str) -> f64 {
    sum(scrape, "vodbridge_received_total", "") + sum(scrape, "vodbridge_recovered_total", "")
        - sum(scrape, "vodbridge_settled_total", "")
        - sum(scrape, "vodbridge_in_flight", "")
        - sum(scrape, "vodbridge_waiting", "")
}

/// Sends bytes and reads one answer; none if the connection closes without one.
pub(crate) fn raw(to: SocketAddr, bytes: &[u8]) -> Option<Reply> {
    raw_over(connect(to), bytes)
}

fn raw_over(mut stream: TcpStream, bytes: &[u8]) -> Option<Reply> {
    // Who refuses a body may close before all of it is sent.
    stream.write_all(bytes).ok();
    reply(&mut stream)
}

/// Gets a page of a port that may be closed: then none.
pub(crate) fn try_get(from: SocketAddr, path: &str) -> Option<Reply> {
    let stream = TcpStream::connect_timeout(&from, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    raw_over(stream, request.as_bytes())
}

pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads one answer to its `Content-Length`.
pub(crate) fn reply(stream: &mut TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
            let length = head
                .lines()
                .filter_map(|l| l.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, value)| value.trim().parse().unwrap());
            if bytes.len() >= at + 4 + length {
                let body = String::from_utf8_lossy(&bytes[at + 4..at + 4 + length]).into_owned();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Some(Reply { status, head: head.to_ascii_lowercase(), body });
            }
        }
        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            Ok(_) | Err(_) => return None,
        }
    }
}
