//! Apache Kafka without ZooKeeper, as child processes.

mod certificates;

pub use certificates::{Certificates, Flaw};

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{Port, Process, fetched};

/// A Java program on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Any 16 bytes in base64url: brokers of one cluster agree on it.
const CLUSTER_ID: &str = "dm9kYnJpZGdlLXRlc3QtMQ";

/// A Kafka cluster of one to three nodes, each broker and controller at once (KRaft).
#[derive(Debug)]
pub struct Kafka {
    nodes: Vec<Node>,
    /// A cluster that runs already, and is nobody's to stop.
    named: Vec<String>,
    certificates: Option<Certificates>,
}

/// What the cluster is like.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Lines of `server.properties` beside our own.
    pub properties: Vec<(&'static str, String)>,
    /// Users with their passwords, for SCRAM-SHA-256 and SCRAM-SHA-512 and for PLAIN on the
    /// listener that speaks TLS. There is none when there are no users.
    pub users: Vec<(&'static str, &'static str)>,
    /// The principals that ACLs do not bind; everybody else is denied what no ACL permits. Without
    /// one there are no ACLs at all.
    pub super_users: Option<&'static str>,
    /// The certificates of the listener that speaks TLS.
    pub certificates: Option<Certificates>,
}

#[derive(Debug)]
struct Node {
    ports: Ports,
    folder: TempDir,
    process: Option<Process>,
}

#[derive(Debug)]
struct Ports {
    plain: Port,
    controller: Port,
    secure: Port,
}

// === impl Kafka ===

impl Kafka {
    /// Starts one node that asks for nothing.
    pub async fn start() -> Self {
        Self::with(1, Setup::default()).await
    }

    /// The brokers that `VODBRIDGE_TEST_KAFKA` names (`host:port,...`), or one node started now: for
    /// what needs no fault.
    pub async fn started_or_named() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test's setting, not the bridge's")]
        let named = std::env::var("VODBRIDGE_TEST_KAFKA").unwrap_or_default();
        let named: Vec<_> =
            named.split(',').filter(|host| !host.is_empty()).map(str::to_owned).collect();
        if named.is_empty() {
            return Self::start().await;
        }
        Self { nodes: Vec::new(), named, certificates: None }
    }

    /// Starts a cluster.
    ///
    /// # Panics
    ///
    /// If it does not start, with what the brokers printed.
    pub async fn with(nodes: usize, setup: Setup) -> Self {
        prepare_archive().await;
        let ports: Vec<_> = (0..nodes).map(|_| Ports::take()).collect();
        let voters: Vec<_> = (1..)
            .zip(&ports)
            .map(|(id, ports)| format!("{id}@{}", ports.controller.address()))
            .collect();
        let voters = voters.join(",");
        // Java for the storage may run in here, and blocks.
        let nodes = (1..)
            .zip(ports)
            .map(|(id, ports)| Node::prepare(id, nodes, ports, &voters, &setup))
            .collect();
        let mut cluster = Self { nodes, named: Vec::new(), certificates: setup.certificates };
        for node in &mut cluster.nodes {
            node.launch();
        }
        for node in &cluster.nodes {
            node.is_ready().await;
        }
        cluster
    }

    /// `host:port` of every node, in clear text.
    pub fn addresses(&self) -> Vec<String> {
        let started = self.nodes.iter().map(|node| node.ports.plain.address());
        self.named.iter().cloned().chain(started).collect()
    }

    /// `localhost:port` of every node, for clients that speak SASL over TLS.
    pub fn secure_addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|n| format!("localhost:{}", n.ports.secure.number())).collect()
    }

    /// The certificates that the cluster was given.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Kills a node (signal 9), counted from 0; returns once it is gone.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].process = None;
    }

    /// Starts a killed node again with the data it had.
    pub async fn restart(&mut self, node: usize) {
        self.nodes[node].launch();
        self.nodes[node].is_ready().await;
    }

    /// Stops a node where it is, its connections open (SIGSTOP).
    pub fn freeze(&self, node: usize) {
        self.nodes[node].running().freeze();
    }

    /// Lets a frozen node go on.
    pub fn thaw(&self, node: usize) {
        self.nodes[node].running().thaw();
    }

    /// Runs one of Kafka's command line tools, as an operator does: its class, and its arguments
    /// after `--bootstrap-server`. Blocks for seconds.
    ///
    /// # Panics
    ///
    /// If it fails, with what it printed.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let bootstrap = self.addresses().join(",");
        let output = java()
            .args([class, "--bootstrap-server", &bootstrap])
            .args(arguments)
            .output()
            .expect("java can be run");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        assert!(output.status.success(), "{class} {arguments:?}: {printed}");
        printed
    }

    /// What the first node printed last.
    pub fn printed(&self) -> String {
        self.nodes[0].running().printed()
    }
}

// === impl Node ===

impl Node {
    fn prepare(id: usize, nodes: usize, ports: Ports, voters: &str, setup: &Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let properties = properties(id, nodes, &ports, voters, folder.path(), setup);
        fs::write(folder.path().join("server.properties"), properties).expect("it can be written");
        for (path, content) in formatted(id, folder.path(), setup) {
            let path = folder.path().join("data").join(path);
            fs::create_dir_all(path.parent().expect("it is below data")).expect("a folder");
            fs::write(path, content).expect("it can be written");
        }
        Self { ports, folder, process: None }
    }

    fn launch(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let mut java = java();
        java.arg("kafka.Kafka").arg(self.folder.path().join("server.properties"));
        self.process = Some(Process::start(&mut java));
    }

    async fn is_ready(&self) {
        self.running().says("Kafka Server started", STARTS_WITHIN).await;
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the node runs")
    }
}

// === impl Ports ===

impl Ports {
    fn take() -> Self {
        Self { plain: Port::take(), controller: Port::take(), secure: Port::take() }
    }
}

/// A Java that runs a class of Kafka's.
fn java() -> Command {
    let mut java = bare_java();
    if let Some(Some(archive)) = ARCHIVE.get() {
        java.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    java
}

fn bare_java() -> Command {
    let mut java = Command::new("java");
    // What counts in a test is the time to start, and room for several.
    java.args(["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        // It says when it has started.
        .arg("-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info")
        .arg("-cp")
        .arg(fetched("kafka").join("libs").join("*"));
    java
}

/// The classes that a broker loads, laid out for the next Java to map into its memory: less than
/// half of the time to start. Made once on a machine, by a broker that starts and ends for it;
/// nothing while another process makes it. A Java that it does not fit ignores it.
static ARCHIVE: OnceCell<Option<PathBuf>> = OnceCell::const_new();

async fn prepare_archive() {
    let prepare = async || {
        let archive = fetched("kafka").join("classes.jsa");
        let lock = File::create(archive.with_extension("lock")).expect("a lock can be made");
        flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
        if !archive.exists() {
            make_archive(&archive).await;
        }
        archive.exists().then_some(archive)
    };
    ARCHIVE.get_or_init(prepare).await;
}

async fn make_archive(archive: &Path) {
    let (folder, ports) = (tempfile::tempdir().expect("a temporary folder"), Ports::take());
    let voters = format!("1@{}", ports.controller.address());
    let setup = Setup::default();
    let file = folder.path().join("server.properties");
    fs::write(&file, properties(1, 1, &ports, &voters, folder.path(), &setup)).expect("written");
    let format = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"];
    let formatted = bare_java().args(format).arg(&file).output().expect("java can be run");
    assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
    let part = archive.with_extension("part");
    let mut java = bare_java();
    java.arg(format!("-XX:ArchiveClassesAtExit={}", part.display()));
    java.arg("kafka.Kafka").arg(&file);
    let mut process = Process::start(&mut java);
    process.says("Kafka Server started", STARTS_WITHIN).await;
    process.terminate();
    // Without it everything runs as well.
    fs::rename(part, archive).ok();
}

fn properties(
    id: usize,
    nodes: usize,
    ports: &Ports,
    voters: &str,
    folder: &Path,
    setup: &Setup,
) -> String {
    let plain = ports.plain.address();
    let controller = ports.controller.address();
    let secure = ports.secure.number();
    let (mut listeners, mut advertised) =
        (format!("PLAINTEXT://{plain},CONTROLLER://{controller}"), format!("PLAINTEXT://{plain}"));
    if setup.certificates.is_some() {
        write!(listeners, ",SASL_SSL://127.0.0.1:{secure}").expect("a String takes it");
        write!(advertised, ",SASL_SSL://localhost:{secure}").expect("a String takes it");
    }
    let min_isr = if nodes > 1 { 2 } else { 1 };
    let mut all = BTreeMap::from([
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", id.to_string()),
        ("controller.quorum.voters", voters.to_owned()),
        ("listeners", listeners),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL".to_owned(),
        ),
        ("advertised.listeners", advertised),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("log.dirs", folder.join("data").display().to_string()),
        ("offsets.topic.replication.factor", nodes.to_string()),
        ("transaction.state.log.replication.factor", nodes.to_string()),
        ("transaction.state.log.min.isr", min_isr.to_string()),
        ("offsets.topic.num.partitions", "1".to_owned()),
        ("transaction.state.log.num.partitions", "1".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("auto.create.topics.enable", "false".to_owned()),
        // A node that is gone or frozen is noticed within seconds.
        ("broker.session.timeout.ms", "3000".to_owned()),
        ("broker.heartbeat.interval.ms", "500".to_owned()),
        ("replica.lag.time.max.ms", "2000".to_owned()),
        ("controller.quorum.election.timeout.ms", "500".to_owned()),
        ("controller.quorum.fetch.timeout.ms", "1500".to_owned()),
    ]);
    if let Some(super_users) = setup.super_users {
        all.insert(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned(),
        );
        all.insert("super.users", format!("User:ANONYMOUS;{super_users}"));
    }
    if let Some(certificates) = &setup.certificates {
        let store = certificates.folder().join("server.pem").display().to_string();
        all.insert("ssl.keystore.type", "PEM".to_owned());
        all.insert("ssl.keystore.location", store);
        all.insert("ssl.truststore.type", "PEM".to_owned());
        all.insert("ssl.truststore.location", certificates.ca_file().display().to_string());
        all.insert("sasl.enabled.mechanisms", "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN".to_owned());
        let scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
        all.insert("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config", scram.to_owned());
        all.insert("listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config", scram.to_owned());
        let users: String = setup
            .users
            .iter()
            .map(|(user, password)| format!(" user_{user}=\"{password}\""))
            .collect();
        all.insert(
            "listener.name.sasl_ssl.plain.sasl.jaas.config",
            format!("org.apache.kafka.common.security.plain.PlainLoginModule required{users};"),
        );
    }
    all.extend(setup.properties.iter().cloned());
    all.iter().fold(String::new(), |mut text, (key, value)| {
        writeln!(text, "{key}={value}").expect("a String takes it");
        text
    })
}

type Files = Vec<(PathBuf, Vec<u8>)>;

/// What `StorageTool format` writes below `data`. It is another Java program to wait for, and
/// writes the same for the same users: once is enough for every node of this process.
fn formatted(id: usize, folder: &Path, setup: &Setup) -> Files {
    static KNOWN: Mutex<BTreeMap<String, Files>> = Mutex::new(BTreeMap::new());
    let key = format!("{:?}", setup.users);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut files = known.entry(key).or_insert_with(|| format_storage(folder, setup)).clone();
    // All that differs from node to node.
    let meta = format!(
        "version=1\ncluster.id={CLUSTER_ID}\nnode.id={id}\ndirectory.id=dm9kYnJpZGdlLWRpci{id}wAA\n"
    );
    files.retain(|(path, _)| path != Path::new("meta.properties"));
    files.push((PathBuf::from("meta.properties"), meta.into_bytes()));
    files
}

fn format_storage(folder: &Path, setup: &Setup) -> Files {
    let mut tool = java();
    tool.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(folder.join("server.properties"));
    for (user, password) in &setup.users {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            tool.arg("--add-scram")
                .arg(format!("{mechanism}=[name={user},password={password},iterations=4096]"));
        }
    }
    let output = tool.output().expect("java can be run");
    assert!(output.status.success(), "StorageTool: {}", String::from_utf8_lossy(&output.stderr));
    let data = folder.join("data");
    let entries = fs::read_dir(&data).expect("StorageTool has made it");
    entries
        .map(|entry| entry.expect("it can be listed"))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| {
            let content = fs::read(entry.path()).expect("it can be read");
            (PathBuf::from(entry.file_name()), content)
        })
        .collect()
}
