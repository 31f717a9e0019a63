//! Where events come in, as configured.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::core::Core;
use super::{BuildError, normalizer};
use crate::certificates::Certificate;
use crate::config::{Application, Config, Name, Spool};
use crate::http::{self, Listener, Tls, body};
use crate::ingest::callback::{Answers, Callbacks, Clock, Endpoint};
use crate::ingest::event_types;
use crate::ingest::pull::{Puller, Trouble};
use crate::telemetry::metrics::Mode;
use crate::vod::Accounts;
use vodbridge_vod::client;

#[derive(Debug)]
pub(super) struct Sources {
    pub(super) callbacks: Option<(Listener, Callbacks)>,
    pub(super) pullers: Vec<Arc<Puller>>,
    /// What callbacks are served with, where that is TLS.
    pub(super) certificate: Option<Arc<Certificate>>,
    /// Whether each callback is kept first.
    pub(super) keeps_callbacks: bool,
}

// === impl Sources ===

impl Sources {
    /// Binds the port of the callbacks, if there are any.
    pub(super) async fn build(
        config: &Config,
        core: &Core,
        clock: &Clock,
    ) -> Result<Self, BuildError> {
        let mut endpoints = Vec::new();
        let mut pullers = Vec::new();
        let mut accounts = Accounts::default();
        let mut keeps_callbacks = true;
        for (name, application) in &config.applications {
            if let Some(puller) = puller(config, core, clock, &mut accounts, name, application)? {
                pullers.push(Arc::new(puller));
            }
            if let Some((path, endpoint)) = endpoint(config, core, clock, name, application) {
                keeps_callbacks &= endpoint.spool.is_some();
                endpoints.push((path, endpoint));
            }
        }
        let mut certificate = None;
        let callbacks = if endpoints.is_empty() {
            None
        } else {
            if let Some(tls) = &config.http.tls {
                certificate = Some(Arc::new(Certificate::of_listener(tls)?));
            }
            let tls = certificate.clone().map(Tls::new).transpose()?;
            let limits = http::Limits {
                connections_max: config.limits.connections.get(),
                header_timeout: config.http.header_timeout,
                idle_timeout: config.http.idle_timeout,
            };
            let listener = Listener::bind(config.http.listen, tls, limits)
                .await
                .map_err(BuildError::bind("http.listen", "VODBRIDGE__HTTP__LISTEN"))?;
            Some((listener, Callbacks::new(endpoints)))
        };
        Ok(Self { callbacks, pullers, certificate, keeps_callbacks })
    }
}

fn puller(
    config: &Config,
    core: &Core,
    clock: &Clock,
    accounts: &mut Accounts,
    name: &Name,
    application: &Application,
) -> Result<Option<Puller>, BuildError> {
    let Some(pull) = &application.pull else { return Ok(None) };
    let normalizer = normalizer(config, name, application);
    let ways = core.router.routes().ways(name.as_str(), normalizer.clone().examples());
    Ok(Some(Puller {
        application: name.as_str().into(),
        sub_app_id: application.sub_app_id.map(NonZeroU64::get),
        client: accounts.client(name, pull)?,
        workers_max: pull.workers_max.get(),
        handle_life: pull.handle_life,
        margin: pull.margin,
        drain_within: config.grace.saturating_sub(config.drain_delay) * 3 / 4,
        room: client::Room::new(Arc::clone(&core.process_room), core.process_bytes),
        ways,
        normalizer,
        outlet: core.outlet(name).clone(),
        intake: core.metrics.intake(name.as_str(), Mode::pull, &event_types()),
        metrics: core.metrics.pulling(name.as_str()),
        traces: core.traces.clone(),
        clock: Arc::clone(clock),
        router: Arc::clone(&core.router),
        trouble: Trouble::default(),
    }))
}

fn endpoint(
    config: &Config,
    core: &Core,
    clock: &Clock,
    name: &Name,
    application: &Application,
) -> Option<(String, Endpoint)> {
    let callback = application.callback.as_ref()?;
    let endpoint = Endpoint {
        tokens: callback.token.clone(),
        sign_keys: callback.sign_key.clone(),
        sign_window: callback.sign_window,
        answer_within: callback.answer_within,
        body: body::Limits {
            bytes_max: u32::try_from(callback.body_max.bytes()).unwrap_or(u32::MAX),
            timeout: config.http.body_timeout,
            room_timeout: callback.answer_within,
            room: Arc::clone(&core.process_room),
        },
        normalizer: normalizer(config, name, application),
        spool: (callback.spool == Spool::Ahead).then(|| Arc::clone(&core.spool)),
        outlet: core.outlet(name).clone(),
        intake: core.metrics.intake(name.as_str(), Mode::callback, &event_types()),
        answers: Answers::new(&core.metrics, name.as_str()),
        traces: core.traces.clone(),
        clock: Arc::clone(clock),
    };
    Some((callback.path.clone(), endpoint))
}
