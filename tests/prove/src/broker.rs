//! A real broker of a run's own, behind a proxy, and what an operator does to it.

use std::fs;
use std::path::{Path, PathBuf};

use brokers::kafka::{Certificates, Flaw, Kafka, Setup};
use brokers::{Nats, NatsSettings, Proxy, RabbitMq, RabbitMqOptions, RabbitMqVersion, fetched};
use tempfile::TempDir;

use crate::matrix::Broker;
use crate::oracle::Found;
use crate::subscriber;

/// How long a publish may take in a run: short, so that outages of seconds are seen as such.
const PUBLISH_TIMEOUT: &str = "publish_timeout: 3s";

/// What the bridge's user is called where it logs in.
const USER: &str = "bridge";

/// A broker that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    server: Server,
    proxy: Proxy,
    login: Option<Login>,
}

#[derive(Debug)]
enum Server {
    Kafka(Box<Kafka>),
    RabbitMq(Box<RabbitMq>),
    Nats(Box<Nats>),
    Journal,
}

/// The bridge's user and its secret's file.
#[derive(Debug)]
struct Login {
    folder: TempDir,
    /// How often the password was changed.
    rotations: u32,
    may_publish: bool,
}

/// What a column of the matrix is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Description {
    /// The broker's version; the bridge's own for the journal.
    pub version: String,
    /// What its acknowledgement rests on.
    pub settings: String,
}

// === impl Running ===

impl Running {
    /// Starts one; with a login if the bridge is to have a user of its own.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(broker: Broker, with_login: bool) -> Self {
        let proxy = Proxy::listen().await;
        let login = with_login.then(Login::new);
        let server = match broker {
            Broker::Kafka => Server::Kafka(Box::new(kafka(&proxy, login.as_ref()).await)),
            Broker::RabbitMq4 => rabbitmq(RabbitMqVersion::V4, &proxy, login.as_ref()).await,
            Broker::RabbitMq3 => rabbitmq(RabbitMqVersion::V3, &proxy, login.as_ref()).await,
            Broker::Nats => {
                let nats = Nats::start(nats_settings(login.as_ref())).await;
                proxy.lead_to(nats.url().trim_start_matches("nats://"));
                Server::Nats(Box::new(nats))
            }
            Broker::Journal => Server::Journal,
        };
        let mut running = Self { server, proxy, login };
        if running.login.is_some() {
            running.set_rights(true).await;
        }
        running
    }

    /// What stands between it and the bridge.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// The keys of a connector that leads to it.
    pub fn connector(&self) -> String {
        let through = self.proxy.address();
        let login = |keys: &str| match &self.login {
            Some(login) => {
                format!(", {keys}user: {USER}, password: {{ file: {:?} }}", login.file())
            }
            None => String::new(),
        };
        match &self.server {
            Server::Kafka(kafka) if self.login.is_some() => {
                let (login, brokers) =
                    (login("mechanism: scram-sha-256, "), kafka.secure_addresses());
                let login = login.trim_start_matches(", ");
                let ca = kafka.certificates().expect("with a login there are").ca_file();
                format!(
                    "type: kafka, {PUBLISH_TIMEOUT}, brokers: [{:?}], sasl: {{ {login} }}, \
                     tls: {{ ca_file: {ca:?} }}",
                    brokers[0]
                )
            }
            Server::Kafka(_) => {
                format!("type: kafka, {PUBLISH_TIMEOUT}, brokers: [{through:?}]")
            }
            Server::RabbitMq(_) => {
                let url = format!("amqp://{through}");
                format!("type: rabbitmq, {PUBLISH_TIMEOUT}, urls: [{url:?}]{}", login(""))
            }
            Server::Nats(_) => {
                let url = format!("nats://{through}");
                format!("type: nats, {PUBLISH_TIMEOUT}, servers: [{url:?}]{}", login(""))
            }
            Server::Journal => format!("type: journal, {PUBLISH_TIMEOUT}"),
        }
    }

    /// Whether it is a part of the bridge, and so each bridge has its own.
    pub fn is_journal(&self) -> bool {
        matches!(self.server, Server::Journal)
    }

    /// What its column is called.
    pub fn description(&self) -> Description {
        let version = |folder: PathBuf| {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
            let version = name.and_then(|name| Some(name.rsplit_once('-')?.1.to_owned()));
            version.unwrap_or_default()
        };
        let (version, settings) = match &self.server {
            Server::Kafka(_) => {
                (version(fetched("kafka")), "1 node, replication 1, acks=all, no flush")
            }
            Server::RabbitMq(rabbitmq) => {
                (rabbitmq.version(), "1 node, quorum queue, publisher confirms")
            }
            Server::Nats(_) => {
                (version(fetched("nats")), "1 server, file storage, default sync_interval")
            }
            Server::Journal => {
                (env!("CARGO_PKG_VERSION").to_owned(), "SQLite, flushed at each commit")
            }
        };
        Description { version, settings: settings.to_owned() }
    }

    /// Kills it (signal 9).
    pub fn kill(&mut self) {
        match &mut self.server {
            Server::Kafka(kafka) => kafka.kill(0),
            Server::RabbitMq(rabbitmq) => rabbitmq.kill(),
            Server::Nats(nats) => nats.kill(),
            Server::Journal => {}
        }
    }

    /// Starts it with the data that it had.
    pub async fn restart(&mut self) {
        match &mut self.server {
            Server::Kafka(kafka) => kafka.restart(0).await,
            Server::RabbitMq(rabbitmq) => rabbitmq.restart().await,
            Server::Nats(nats) => nats.restart().await,
            Server::Journal => {}
        }
    }

    /// Stops it where it is.
    pub async fn freeze(&self) {
        match &self.server {
            Server::Kafka(kafka) => kafka.freeze(0),
            Server::RabbitMq(rabbitmq) => rabbitmq.freeze(),
            Server::Nats(nats) => nats.freeze().await,
            Server::Journal => {}
        }
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        match &self.server {
            Server::Kafka(kafka) => kafka.thaw(0),
            Server::RabbitMq(rabbitmq) => rabbitmq.thaw(),
            Server::Nats(nats) => nats.thaw(),
            Server::Journal => {}
        }
    }

    /// Deletes its topics, queue or stream.
    pub async fn remove_topology(&self) {
        if let Some((name, address)) = self.operators() {
            subscriber::operate(name, &address, &["remove"]).await;
        }
    }

    /// Lets the bridge's user publish, or not.
    ///
    /// # Panics
    ///
    /// If the bridge has no user.
    pub async fn set_rights(&mut self, may_publish: bool) {
        let login = self.login.as_mut().expect("the fault asked for a login");
        login.may_publish = may_publish;
        match &self.server {
            Server::Kafka(kafka) => {
                let action = if may_publish { "grant" } else { "deny" };
                subscriber::operate("kafka", &kafka.addresses()[0], &[action]).await;
            }
            Server::RabbitMq(rabbitmq) => {
                let write = if may_publish { ".*" } else { "^$" };
                rabbitmq.ctl(&["set_permissions", USER, ".*", write, ".*"]);
                // Rights that a channel has used are remembered by it.
                self.proxy.cut();
            }
            Server::Nats(nats) => {
                nats.configure(&nats_settings(self.login.as_ref()));
                nats.reload();
            }
            Server::Journal => {}
        }
    }

    /// Gives the bridge's user another password, in the broker first and then in its file; what is
    /// connected must log in again.
    ///
    /// # Panics
    ///
    /// If the bridge has no user.
    pub async fn rotate_password(&mut self) {
        let login = self.login.as_mut().expect("the fault asked for a login");
        login.rotations += 1;
        let password = login.password();
        match &self.server {
            Server::Kafka(kafka) => {
                // It makes whoever is connected log in again, by `connections.max.reauth.ms`.
                let address = &kafka.addresses()[0];
                subscriber::operate("kafka", address, &["password", &password]).await;
            }
            Server::RabbitMq(rabbitmq) => rabbitmq.ctl(&["change_password", USER, &password]),
            Server::Nats(nats) => {
                nats.configure(&nats_settings(self.login.as_ref()));
                nats.reload();
            }
            Server::Journal => {}
        }
        self.proxy.cut();
        self.login.as_ref().expect("it is there").write();
    }

    /// All that lies in it, read by an independent subscriber; `journal` is the bridge's.
    pub async fn read(&self, journal: &Path) -> Vec<Found> {
        match self.operators() {
            Some((name, address)) => subscriber::read(name, &address).await,
            None => subscriber::read_journal(journal, subscriber::Table::Events).await,
        }
    }

    /// What others call it, and where they connect past the proxy with every right.
    fn operators(&self) -> Option<(&'static str, String)> {
        match &self.server {
            Server::Kafka(kafka) => Some(("kafka", kafka.addresses().remove(0))),
            Server::RabbitMq(rabbitmq) => {
                Some(("rabbitmq", rabbitmq.url().replace("amqp://", "amqp://guest:guest@")))
            }
            Server::Nats(nats) if self.login.is_some() => {
                Some(("nats", nats.url().replace("nats://", "nats://operator:operator@")))
            }
            Server::Nats(nats) => Some(("nats", nats.url())),
            Server::Journal => None,
        }
    }
}

// === impl Login ===

impl Login {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let login = Self { folder, rotations: 0, may_publish: true };
        login.write();
        login
    }

    fn password(&self) -> String {
        format!("secret-{}", self.rotations)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    fn write(&self) {
        // As a mounted secret changes: at once.
        let part = self.folder.path().join("part");
        fs::write(&part, self.password()).expect("the folder can be written");
        fs::rename(part, self.file()).expect("within one folder");
    }
}

async fn kafka(proxy: &Proxy, login: Option<&Login>) -> Kafka {
    let advertised = format!("PLAINTEXT://{}", proxy.address());
    let setup = match login {
        Some(_) => Setup {
            // The first password stands in what the cluster is formatted with.
            users: vec![(USER, "secret-0"), ("operator", "operator")],
            super_users: Some("User:operator"),
            certificates: Some(Certificates::make(Flaw::None)),
            properties: vec![("connections.max.reauth.ms", "2000".to_owned())],
        },
        None => {
            Setup { properties: vec![("advertised.listeners", advertised)], ..Setup::default() }
        }
    };
    let kafka = Kafka::with(1, setup).await;
    proxy.lead_to(&kafka.addresses()[0]);
    kafka
}

async fn rabbitmq(version: RabbitMqVersion, proxy: &Proxy, login: Option<&Login>) -> Server {
    let rabbitmq = RabbitMq::start(RabbitMqOptions::new(version)).await;
    let address = rabbitmq.url();
    proxy.lead_to(address.trim_start_matches("amqp://"));
    if let Some(login) = login {
        rabbitmq.ctl(&["add_user", USER, &login.password()]);
    }
    Server::RabbitMq(Box::new(rabbitmq))
}

fn nats_settings(login: Option<&Login>) -> NatsSettings {
    let Some(login) = login else { return NatsSettings::default() };
    let deny =
        if login.may_publish { "" } else { ", permissions: { publish: { deny: \"vod.>\" } }" };
    let extra = format!(
        "authorization {{ users: [ {{ user: operator, password: operator }}, \
         {{ user: {USER}, password: {:?}{deny} }} ] }}",
        login.password()
    );
    NatsSettings { extra, ..NatsSettings::default() }
}
