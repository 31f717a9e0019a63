use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use vodbridge::config::{Config, Name};
use vodbridge::ingest::event_types;
use vodbridge::ingest::pull::{Puller, Trouble};
use vodbridge::normalize::{DataForm, Normalizer};
use vodbridge::telemetry::metrics::Mode;
use vodbridge::telemetry::traces::Traces;
use vodbridge::vod::Accounts;
use vodbridge_core::Timestamp;
use vodbridge_vod::client::Room;
use vodsim::{Options, Summary, Vod};

use super::{Bridge, soon};

/// The application that pulls; its events count for the same bridge as everybody's.
const APPLICATION: &str = "movies";

/// How long a stop waits for what was pulled.
const DRAIN_WITHIN: Duration = Duration::from_secs(18);

/// A puller between a simulated VOD and a bridge over fakes.
pub(crate) struct Pulling {
    pub(crate) vod: Arc<Vod>,
    pub(crate) puller: Arc<Puller>,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Pulling {
    /// Pulls from a VOD of its own.
    pub(crate) async fn start(bridge: &Bridge) -> Self {
        let vod = Vod::start(Options { calls_per_second: None, ..Options::default() }).await;
        Self::from_vod(bridge, Arc::new(vod.unwrap()), "")
    }

    /// Pulls from this VOD, with more keys of `pull`, a line each.
    pub(crate) fn from_vod(bridge: &Bridge, vod: Arc<Vod>, keys: &str) -> Self {
        let url = vod.url();
        Self::from_url(bridge, vod, &url, keys)
    }

    /// The same, for an application with a SubAppId.
    pub(crate) fn of_application(bridge: &Bridge, vod: Arc<Vod>, sub_app_id: Option<u64>) -> Self {
        let mut puller = Self::puller(bridge, &vod.url(), "");
        Arc::get_mut(&mut puller).unwrap().sub_app_id = sub_app_id;
        Self::run(vod, puller)
    }

    /// The same, but for where VOD is looked for.
    pub(crate) fn from_url(bridge: &Bridge, vod: Arc<Vod>, url: &str, keys: &str) -> Self {
        Self::run(vod, Self::puller(bridge, url, keys))
    }

    fn run(vod: Arc<Vod>, puller: Arc<Puller>) -> Self {
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(Arc::clone(&puller).run(stop.clone()));
        Self { vod, puller, stop, task }
    }

    /// Waits until the numbers are as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Summary) -> bool) -> Summary {
        let within = Duration::from_secs(24 * 3600);
        self.vod.until(wanted, within).await.unwrap_or_else(|now| panic!("stuck at {now:?}"))
    }

    /// Waits until everything is confirmed.
    pub(crate) async fn until_confirmed(&self) -> Summary {
        self.until(|now| now.unconfirmed == 0).await
    }

    /// Stops, and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        soon(self.task.join_next()).await.unwrap().unwrap();
    }

    fn puller(bridge: &Bridge, url: &str, keys: &str) -> Arc<Puller> {
        // Fails only where another test was first.
        tokio_rustls::rustls::crypto::ring::default_provider().install_default().ok();
        let keys: String = keys.lines().map(|line| format!("      {line}\n")).collect();
        let yaml = format!(
            "connectors: {{ fake: {{ type: journal, publish_timeout: 1s }} }}\n\
             applications:\n  {APPLICATION}:\n    pull:\n      endpoint: {url}\n      \
             credentials: {{ from: static, secret_id: AKIDexample, secret_key: example }}\n{keys}",
        );
        let config = Config::from_yaml(&yaml).unwrap();
        let name = Name::new(APPLICATION).unwrap();
        let pull = config.applications[&name].pull.as_ref().unwrap();
        let normalizer =
            Normalizer::new(APPLICATION, None, "com.tencentcloud.vod", DataForm::Payload);
        let room = Arc::new(tokio::sync::Semaphore::new(256 << 20));
        let examples = normalizer.clone().examples();
        Arc::new(Puller {
            application: APPLICATION.into(),
            sub_app_id: None,
            client: Accounts::default().client(&name, pull).unwrap(),
            workers_max: pull.workers_max.get(),
            handle_life: pull.handle_life,
            margin: pull.margin,
            drain_within: DRAIN_WITHIN,
            room: Room::new(room, 256 << 20),
            ways: bridge.router.routes().ways(APPLICATION, examples),
            normalizer,
            outlet: bridge.outlet.clone(),
            intake: bridge.metrics.intake(APPLICATION, Mode::pull, &event_types()),
            metrics: bridge.metrics.pulling(APPLICATION),
            traces: Traces::default(),
            clock: Arc::new(Timestamp::default),
            router: Arc::clone(&bridge.router),
            trouble: Trouble::default(),
        })
    }
}
