use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{Port, Process, fetched};

/// How long a server may take to be ready, with the data that it reads again.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A nats-server with JetStream on a port of its own, with its data in a temporary folder.
#[derive(Debug)]
pub struct Nats {
    process: Option<Process>,
    binary: PathBuf,
    config: PathBuf,
    port: Port,
    monitoring: Port,
    _folder: TempDir,
}

/// What a server is told beyond its ports.
#[derive(Clone, Debug, Default)]
pub struct NatsSettings {
    /// Whether it flushes each message before it acknowledges.
    pub sync_always: bool,
    /// Lines of configuration, as in nats-server's manual.
    pub extra: String,
}

/// Three servers that are one cluster.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<Nats>,
    _routes: Vec<Port>,
}

/// Certificates for tests, as PEM files in a temporary folder.
#[derive(Debug)]
pub struct NatsCertificates {
    folder: TempDir,
}

// === impl Nats ===

impl Nats {
    /// Starts a server and waits until it is ready.
    pub async fn start(settings: NatsSettings) -> Self {
        let server = Self::begin(&settings, "alone", "");
        server.ready().await;
        server
    }

    /// `nats://host:port` of a server that somebody runs and named in `VODBRIDGE_TEST_NATS`, for
    /// tests that need no faults.
    #[expect(clippy::disallowed_methods, reason = "tests are told of running brokers this way")]
    pub fn running() -> Option<String> {
        std::env::var("VODBRIDGE_TEST_NATS").ok().filter(|url| !url.is_empty())
    }

    /// `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.port.address())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// `http://127.0.0.1:<port>`, where it tells about itself.
    pub fn monitoring_url(&self) -> String {
        format!("http://{}", self.monitoring.address())
    }

    /// Kills it (signal 9) and returns once it is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it again with the data it had, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.kill();
        self.launch();
        self.ready().await;
    }

    /// Gives it other lines of configuration, by which it goes at its next start.
    pub fn configure(&self, settings: &NatsSettings) {
        write(&self.config, &self.port, &self.monitoring, settings, "alone", "");
    }

    /// Stops it where it is (SIGSTOP), and returns once all of it stands still.
    ///
    /// # Panics
    ///
    /// If it goes on for 10 s.
    pub async fn freeze(&self) {
        let process = self.process();
        process.freeze();
        // The signal is on its way when kill(2) returns; threads stop one after the other, and
        // there is no event to await.
        let stopped = async {
            while !stands_still(process.id()) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), stopped).await.expect("a stopped process stands still");
    }

    /// Tells it to leave: it ends its JetStream, lets nobody in and sends its clients away.
    ///
    /// # Panics
    ///
    /// If it cannot be told.
    pub fn leave(&self) {
        let signal = format!("ldm={}", self.process().id());
        let told = Command::new(&self.binary).arg("--signal").arg(signal).status();
        assert!(told.is_ok_and(|status| status.success()), "a server can be told to leave");
    }

    /// Lets it read its configuration again while it runs: users, passwords and rights change.
    ///
    /// # Panics
    ///
    /// If it cannot be told.
    pub fn reload(&self) {
        let signal = format!("reload={}", self.process().id());
        let told = Command::new(&self.binary).arg("--signal").arg(signal).status();
        assert!(told.is_ok_and(|status| status.success()), "a server can be told to reload");
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        self.process().thaw();
    }

    /// The last lines that it printed.
    pub fn printed(&self) -> String {
        self.process().printed()
    }

    fn begin(settings: &NatsSettings, name: &str, cluster: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut server = Self {
            process: None,
            binary: fetched("nats").join("nats-server"),
            config: folder.path().join("server.conf"),
            port: Port::take(),
            monitoring: Port::take(),
            _folder: folder,
        };
        write(&server.config, &server.port, &server.monitoring, settings, name, cluster);
        server.launch();
        server
    }

    fn launch(&mut self) {
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(&self.config);
        self.process = Some(Process::start(&mut command));
    }

    async fn ready(&self) {
        self.process().says("Server is ready", READY_WITHIN).await;
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the server runs")
    }
}

/// Whether every thread is stopped: `<tid> (<name>) T ...` (proc(5)).
fn stands_still(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process has threads");
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" T"))
    })
}

fn write(
    config: &Path,
    port: &Port,
    monitoring: &Port,
    settings: &NatsSettings,
    name: &str,
    cluster: &str,
) {
    let data = config.with_file_name("data");
    let sync = if settings.sync_always { "sync_interval: always" } else { "" };
    let text = format!(
        "server_name: {name}\n\
         listen: \"{}\"\n\
         http: \"{}\"\n\
         jetstream {{ store_dir: \"{}\", max_file_store: 4GB, {sync} }}\n\
         {cluster}\n\
         {}\n",
        port.address(),
        monitoring.address(),
        data.display(),
        settings.extra,
    );
    fs::write(config, text).expect("a configuration can be written");
}

// === impl NatsCluster ===

impl NatsCluster {
    /// Starts three servers and waits until they have a leader for their streams.
    pub async fn start(settings: NatsSettings) -> Self {
        let routes: Vec<_> = (0..3).map(|_| Port::take()).collect();
        let all: Vec<_> = routes.iter().map(|port| format!("nats://{}", port.address())).collect();
        let all = all.join(", ");
        let servers: Vec<_> = (0..3)
            .map(|number| {
                let cluster = format!(
                    "cluster {{ name: three, listen: \"{}\", routes: [{all}] }}",
                    routes[number].address()
                );
                Nats::begin(&settings, &format!("n{number}"), &cluster)
            })
            .collect();
        for server in &servers {
            server.ready().await;
            server.process().says("metadata leader", READY_WITHIN).await;
        }
        Self { servers, _routes: routes }
    }

    /// The addresses of all three.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Nats::url).collect()
    }

    /// One of them.
    pub fn server(&mut self, number: usize) -> &mut Nats {
        &mut self.servers[number]
    }
}

// === impl NatsCertificates ===

impl NatsCertificates {
    /// An authority; a server's certificate for 127.0.0.1 and localhost, one for another name and
    /// one that has expired; a client's certificate.
    ///
    /// # Panics
    ///
    /// If they cannot be made or written.
    pub fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut params = CertificateParams::new([]).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = || KeyPair::generate().expect("a key can be made");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("a file can be written");
        };
        write("ca.pem", &authority.pem());
        for (name, subject, expired) in [
            ("server", "127.0.0.1", false),
            ("stranger", "elsewhere.example", false),
            ("expired", "127.0.0.1", true),
            ("client", "bridge", false),
        ] {
            let names = [subject.to_owned(), "localhost".to_owned()];
            // The one for another name is for no other.
            let names = if name == "stranger" { &names[..1] } else { &names[..] };
            let mut params = CertificateParams::new(names).expect("valid names");
            params.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            if expired {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }
            let key = key();
            let certificate = params.signed_by(&key, &authority).expect("it can be signed");
            write(&format!("{name}.pem"), &certificate.pem());
            write(&format!("{name}.key"), &key.serialize_pem());
        }
        Self { folder }
    }

    /// A file: `ca.pem`, `server.pem`, `server.key`, and so for `stranger`, `expired`, `client`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The server's `tls` block with the certificate `name`.
    pub fn block(&self, name: &str, extra: &str) -> String {
        let file = |suffix: &str| self.file(&format!("{name}.{suffix}")).display().to_string();
        format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", {extra} }}",
            file("pem"),
            file("key"),
            self.file("ca.pem").display(),
        )
    }
}
