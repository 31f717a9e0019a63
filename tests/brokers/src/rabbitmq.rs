use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Port, Process, fetched};

/// How long a start may take on a machine that has much else to do.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// How long the management API may take for an answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// `guest:guest`, in Base64.
const GUEST: &str = "Z3Vlc3Q6Z3Vlc3Q=";

/// Which RabbitMQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RabbitMqVersion {
    /// Debian 12's 3.10, on this system.
    V3,
    /// Debian 13's 4.0, in a root of its own.
    V4,
}

/// What a RabbitMQ is started with.
#[derive(Clone, Debug)]
pub struct RabbitMqOptions {
    /// Which one.
    pub version: RabbitMqVersion,
    /// Whether the management API is there.
    pub management: bool,
    /// Certificates for a second listener with TLS, as PEM.
    pub tls: Option<RabbitMqTls>,
    /// More lines of `rabbitmq.conf`.
    pub configuration: String,
}

/// What a RabbitMQ shows of itself, and whose client certificates it believes.
#[derive(Clone, Debug)]
pub struct RabbitMqTls {
    /// Its certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The authority that client certificates are from.
    pub authority: String,
}

/// One RabbitMQ node with data of its own; `guest` with the password `guest` may do everything.
/// Killed on drop.
#[derive(Debug)]
pub struct RabbitMq {
    options: RabbitMqOptions,
    /// Its name among nodes.
    node: String,
    amqp: Port,
    amqps: Port,
    distribution: Port,
    management: Port,
    epmd_port: Port,
    /// Ends after the node: fields are dropped in this order.
    server: Option<Process>,
    _epmd: Process,
    folder: TempDir,
}

// === impl RabbitMqOptions ===

impl RabbitMqOptions {
    /// Without management and TLS.
    pub fn new(version: RabbitMqVersion) -> Self {
        Self { version, management: false, tls: None, configuration: String::new() }
    }
}

// === impl RabbitMq ===

impl RabbitMq {
    /// Starts one and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(options: RabbitMqOptions) -> Self {
        let [amqp, amqps, distribution, management, epmd_port] =
            std::array::from_fn(|_| Port::take());
        let parent = match options.version {
            RabbitMqVersion::V3 => std::env::temp_dir(),
            RabbitMqVersion::V4 => root().join("tmp"),
        };
        let folder = tempfile::Builder::new()
            .prefix("vodbridge-rabbitmq-")
            .tempdir_in(parent)
            .expect("a folder for data can be made");
        let node = format!("vodbridge-{}@localhost", amqp.number());
        // A node starts one by itself where there is none, and that would outlive the test.
        let epmd = Process::start(
            Command::new("epmd")
                .args(["-port", &epmd_port.number().to_string()])
                .env("ERL_EPMD_ADDRESS", "127.0.0.1"),
        );
        let mut rabbitmq = Self {
            options,
            node,
            amqp,
            amqps,
            distribution,
            management,
            epmd_port,
            server: None,
            _epmd: epmd,
            folder,
        };
        rabbitmq.configure();
        rabbitmq.restart().await;
        rabbitmq
    }

    /// Its version, such as `4.0.5`: the folder of its installation is named after it.
    pub fn version(&self) -> String {
        let installed = match self.options.version {
            RabbitMqVersion::V3 => PathBuf::from("/usr/lib/rabbitmq/lib"),
            RabbitMqVersion::V4 => root().join("usr/lib/rabbitmq/lib"),
        };
        let folders = std::fs::read_dir(installed).into_iter().flatten().flatten();
        let mut names = folders.map(|folder| folder.file_name().to_string_lossy().into_owned());
        let version =
            names.find_map(|name| Some(name.strip_prefix("rabbitmq_server-")?.to_owned()));
        version.unwrap_or_default()
    }

    /// `amqp://127.0.0.1:<port>`, the virtual host `/`.
    pub fn url(&self) -> String {
        format!("amqp://{}", self.amqp.address())
    }

    /// `amqps://localhost:<port>`.
    pub fn tls_url(&self) -> String {
        format!("amqps://localhost:{}", self.amqps.number())
    }

    /// `http://127.0.0.1:<port>`.
    pub fn management_url(&self) -> String {
        format!("http://{}", self.management.address())
    }

    /// Kills it (signal 9).
    pub fn kill(&mut self) {
        drop(self.server.take());
    }

    /// Ends it as an operator would, so that everything is on disk.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.terminate();
        }
    }

    /// Starts it with the data that it had.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.kill();
        let server =
            Process::start(&mut self.command("/usr/lib/rabbitmq/bin/rabbitmq-server", &[]));
        server.says("completed with", STARTS_WITHIN).await;
        self.server = Some(server);
    }

    /// Stops it where it is (SIGSTOP).
    pub fn freeze(&self) {
        if let Some(server) = &self.server {
            server.freeze();
        }
    }

    /// Lets it go on (SIGCONT).
    pub fn thaw(&self) {
        if let Some(server) = &self.server {
            server.thaw();
        }
    }

    /// Runs `rabbitmqctl`. Blocks for the second that it takes.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn ctl(&self, arguments: &[&str]) {
        let output = self
            .command("/usr/lib/rabbitmq/bin/rabbitmqctl", arguments)
            .output()
            .expect("rabbitmqctl can be run");
        let (out, err) = (&output.stdout, &output.stderr);
        assert!(
            output.status.success(),
            "rabbitmqctl {arguments:?}: {} {}",
            String::from_utf8_lossy(out),
            String::from_utf8_lossy(err)
        );
    }

    /// Asks the management API for something, as `guest`: `("PUT", "/api/vhosts/x", "")`.
    ///
    /// # Panics
    ///
    /// If it does not answer, or says no.
    pub async fn api(&self, method: &str, path: &str, body: &str) -> String {
        let asking = async {
            let mut stream = TcpStream::connect(self.management.address()).await?;
            let request = format!(
                "{method} {path} HTTP/1.0\r\nAuthorization: Basic {GUEST}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = timeout(ANSWERS_WITHIN, asking).await.expect("it answers in time");
        let answer = answer.expect("the management API can be asked");
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(status.starts_with('2'), "{method} {path}: {answer}");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }

    fn configure(&self) {
        let plugins = if self.options.management {
            "[rabbitmq_management,rabbitmq_auth_mechanism_ssl]."
        } else {
            "[rabbitmq_auth_mechanism_ssl]."
        };
        let mut lines = format!(
            "loopback_users = none\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
             auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = EXTERNAL\n\
             ssl_cert_login_from = common_name\ndisk_free_limit.absolute = 1MB\n\
             vm_memory_high_watermark.relative = 0.6\n",
            self.management.number()
        );
        if let Some(tls) = &self.options.tls {
            for (name, pem) in [
                ("certificate", &tls.certificate),
                ("key", &tls.key),
                ("authority", &tls.authority),
            ] {
                self.write(name, pem);
            }
            let inside = self.inside();
            let inside = inside.display();
            lines += &format!(
                "listeners.ssl.1 = 127.0.0.1:{}\nssl_options.certfile = {inside}/certificate\n\
                 ssl_options.keyfile = {inside}/key\nssl_options.cacertfile = {inside}/authority\n\
                 ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = false\n",
                self.amqps.number()
            );
        }
        lines += &self.options.configuration;
        self.write("rabbitmq.conf", &lines);
        self.write("enabled_plugins", plugins);
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).expect("the folder can be written");
    }

    /// The folder as the node sees it.
    fn inside(&self) -> PathBuf {
        match self.options.version {
            RabbitMqVersion::V3 => self.folder.path().to_owned(),
            RabbitMqVersion::V4 => {
                let inside = self.folder.path().strip_prefix(root()).expect("it lies in the root");
                Path::new("/").join(inside)
            }
        }
    }

    /// A program of this RabbitMQ, in the environment that it needs.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = match self.options.version {
            RabbitMqVersion::V3 => {
                fetched("rabbitmq3");
                Command::new(program)
            }
            RabbitMqVersion::V4 => {
                // Mounted where nobody else sees it, so that it ends with the process.
                let mut command = Command::new("unshare");
                command
                    .args(["--mount", "--propagation", "private", "bash", "-c"])
                    .arg(
                        "mount --bind /proc \"$0/proc\" && mount --bind /dev \"$0/dev\" && \
                         exec chroot \"$0\" \"$@\"",
                    )
                    .arg(root())
                    .arg(program);
                command
            }
        };
        command.args(arguments);
        if program.ends_with("ctl") {
            command.args(["--node", &self.node, "--erlang-cookie", "test"]);
        }
        let inside = self.inside();
        command
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", &inside)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.epmd_port.number().to_string())
            .env("RABBITMQ_NODENAME", &self.node)
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.amqp.number().to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution.number().to_string())
            .env("RABBITMQ_MNESIA_BASE", inside.join("data"))
            .env("RABBITMQ_LOG_BASE", inside.join("log"))
            .env("RABBITMQ_PID_FILE", inside.join("pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", inside.join("enabled_plugins"))
            .env("RABBITMQ_CONFIG_FILE", inside.join("rabbitmq.conf"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-setcookie test");
        command
    }
}

fn root() -> PathBuf {
    fetched("rabbitmq4").join("root")
}

/// The address in `VODBRIDGE_TEST_RABBITMQ`, if it is set: a RabbitMQ that runs already, for tests
/// that need no faults, where `guest` with the password `guest` may do everything.
pub fn running_rabbitmq() -> Option<String> {
    std::env::var_os("VODBRIDGE_TEST_RABBITMQ")?.into_string().ok().filter(|url| !url.is_empty())
}
