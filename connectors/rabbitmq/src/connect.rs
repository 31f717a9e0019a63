//! Connecting to one address, bounded.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_rs::TokioRuntime;
use lapin::Connection;
use lapin::tcp::{AMQPUriTcpExt, AsyncTcpStream, TLSConfig};
use lapin::uri::AMQPScheme;
use tokio::time::timeout;
use vodbridge_core::Unavailable;

use crate::endpoint::{self, Endpoint};
use crate::error::{Reason, reply, reply_code};
use crate::socket::{CutOnDrop, Socket};
use crate::{Config, Mechanism, tls};

/// A connection, and the means to end it.
///
/// # Cancel safety
///
/// Dropped, it ends the connection that it was making.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    config: &Config,
    within: Duration,
) -> Result<(Connection, Arc<Socket>), Reason> {
    let uri = endpoint.uri(config)?;
    let tls = if endpoint.is_tls() {
        Some(tls::connector(&config.tls.clone().unwrap_or_default())?)
    } else {
        None
    };
    let runtime = lapin::runtime::default_runtime().map_err(|why| failed(endpoint, config, why))?;
    let socket = Arc::new(Socket::default());
    let cut = CutOnDrop::new(Arc::clone(&socket));
    let held = Arc::clone(&socket);
    // Runs on lapin's own thread.
    let connect = move |mut uri: lapin::uri::AMQPUri, runtime: TokioRuntime| {
        let (held, tls) = (Arc::clone(&held), tls.clone());
        async move {
            let host = uri.authority.host.clone();
            uri.scheme = AMQPScheme::AMQP;
            let stream = async {
                let plain = uri.connect_with_config_async(TLSConfig::default(), &runtime).await?;
                if let AsyncTcpStream::Plain(stream) = &plain {
                    held.hold(stream.get_ref())?;
                }
                match tls {
                    Some(tls) => plain.into_rustls(&tls, &host).await,
                    None => Ok(plain),
                }
            };
            tokio::select! {
                biased;
                () = held.is_cut() => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                stream = stream => Ok(stream?),
            }
        }
    };
    let properties = endpoint::properties(config);
    match timeout(within, Connection::connector(uri, runtime, connect, properties)).await {
        Ok(Ok(connection)) => {
            cut.disarm();
            Ok((connection, socket))
        }
        Ok(Err(why)) => Err(failed(endpoint, config, why).into()),
        Err(_) => Err(Unavailable::outage(format!("{endpoint} does not answer within {within:?}"))
            .advise("see that a RabbitMQ listens there, and speaks TLS only at amqps://")
            .into()),
    }
}

fn failed(endpoint: &Endpoint, config: &Config, why: lapin::Error) -> Unavailable {
    let (what, advice) = match reply_code(&why) {
        Some(reply::ACCESS_REFUSED) => match config.mechanism {
            Mechanism::Plain => (
                format!("{endpoint} refuses the user {:?} or its password", config.user),
                "correct user or password; rabbitmqctl authenticate_user USER PASSWORD tries them"
                    .to_owned(),
            ),
            Mechanism::External => (
                format!("{endpoint} refuses the client certificate"),
                "enable rabbitmq_auth_mechanism_ssl and add a user named as the certificate is"
                    .to_owned(),
            ),
        },
        Some(reply::NOT_ALLOWED) => (
            format!("{endpoint} refuses the virtual host {:?}", endpoint.vhost()),
            format!(
                "rabbitmqctl add_vhost {0}; rabbitmqctl set_permissions -p {0} USER '.*' '.*' '.*'",
                endpoint.vhost()
            ),
        ),
        Some(_) => (format!("{endpoint} refuses the connection"), "see its log".to_owned()),
        None if endpoint.is_tls() => (
            format!("cannot connect to {endpoint}"),
            format!(
                "see that it listens there with TLS, that tls.ca_file has its authority and that \
                 its certificate is valid now and names {:?}",
                endpoint.host()
            ),
        ),
        None => (
            format!("cannot connect to {endpoint}"),
            "see that it listens there and that no firewall stands between".to_owned(),
        ),
    };
    Unavailable::outage(what).advise(advice).caused_by(why)
}
