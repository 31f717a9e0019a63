//! The clauses that every connector keeps, against a real server.

use std::sync::{Arc, Mutex};

use async_nats::ConnectOptions;
use async_trait::async_trait;
use brokers::{Nats, NatsSettings};
use bytes::Bytes;
use vodbridge_conformance::{Broker, Freeze, Guard, Provide, Stored};
use vodbridge_core::{Connector, Provision, Secret};
use vodbridge_nats::{Auth, Config};

use crate::support::{config, header, jetstream, jetstream_with, read, stream};

vodbridge_conformance::clauses!(OneServer::start().await);
vodbridge_conformance::clauses!(OneServer::start().await;
    a_frozen_broker_acknowledges_nothing,
    missing_topology_is_waited_for,
    check_makes_nothing_and_provide_makes_it,
    a_broker_that_comes_late_is_found,
);
vodbridge_conformance::clauses!(OneServer::with_users().await; a_wrong_password_is_waited_out,);

const PASSWORD: &str = "the right one";

struct OneServer {
    nats: Nats,
    has_users: bool,
    /// Where the stranger's password is looked up.
    password: Arc<Mutex<&'static str>>,
}

impl OneServer {
    async fn start() -> Self {
        Self::new(Nats::start(NatsSettings::default()).await, false)
    }

    async fn with_users() -> Self {
        let users = format!("authorization {{ user: bridge, password: \"{PASSWORD}\" }}");
        let settings = NatsSettings { extra: users, ..NatsSettings::default() };
        Self::new(Nats::start(settings).await, true)
    }

    fn new(nats: Nats, has_users: bool) -> Self {
        Self { nats, has_users, password: Arc::new(Mutex::new("a wrong one")) }
    }

    fn config(&self) -> Config {
        config(vec![self.nats.url()])
    }

    async fn operator(&self) -> async_nats::jetstream::Context {
        if !self.has_users {
            return jetstream(&self.nats.url()).await;
        }
        let options =
            ConnectOptions::with_user_and_password("bridge".to_owned(), PASSWORD.to_owned());
        jetstream_with(&self.nats.url(), options).await
    }
}

fn connector(config: Config) -> Box<dyn Connector> {
    Box::new(vodbridge_nats::Connector::new(config).expect("the address is one"))
}

#[async_trait]
impl Broker for OneServer {
    async fn connector(&mut self) -> Box<dyn Connector> {
        connector(self.config())
    }

    async fn stored(&mut self) -> Vec<Stored> {
        let messages = read(&self.operator().await, "VOD").await;
        messages
            .iter()
            .map(|message| Stored {
                id: header(message, "ce-id").expect("an event has an id").to_owned(),
                topic: message.subject.to_string(),
            })
            .collect()
    }

    async fn kill(&mut self) {
        self.nats.kill();
    }

    async fn restart(&mut self) {
        self.nats.restart().await;
    }

    fn oversize_bytes(&self) -> usize {
        // The server's default max_payload.
        1 << 20
    }

    fn freezer(&mut self) -> Option<&mut dyn Freeze> {
        Some(self)
    }

    fn provider(&mut self) -> Option<&mut dyn Provide> {
        Some(self)
    }

    fn guard(&mut self) -> Option<&mut dyn Guard> {
        Some(self)
    }
}

#[async_trait]
impl Freeze for OneServer {
    async fn freeze(&mut self) {
        self.nats.freeze().await;
    }

    async fn thaw(&mut self) {
        self.nats.thaw();
    }
}

#[async_trait]
impl Provide for OneServer {
    async fn verifying(&mut self) -> Box<dyn Connector> {
        connector(Config { topology: Provision::Verify, ..self.config() })
    }

    async fn provide(&mut self) {
        let made = self.operator().await.create_stream(stream("VOD", &["vod.>"])).await;
        made.expect("an operator can make a stream");
    }
}

#[async_trait]
impl Guard for OneServer {
    async fn stranger(&mut self) -> Box<dyn Connector> {
        let password = Arc::clone(&self.password);
        let password = Secret::new(move || {
            Ok(Bytes::from_static(password.lock().expect("nobody panics with it").as_bytes()))
        });
        let auth = Auth::User { user: "bridge".to_owned(), password };
        connector(Config { auth, ..self.config() })
    }

    async fn correct(&mut self) {
        *self.password.lock().expect("nobody panics with it") = PASSWORD;
    }
}
