use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use vodbridge_vod::api::EventConfig;
use vodbridge_vod::tc3::Credential;
use vodsim::generate::{SAMPLES, Sample, sample};
use vodsim::{Faults, Options, Push, Summary, Vod};

/// The exit code after wrong arguments, `EX_USAGE` of sysexits.
pub(crate) const WRONG_USE: u8 = 64;

/// How long the calls under way are waited for at the end: the last confirmation is answered, a
/// poll of the empty queue is not.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// A Tencent Cloud VOD that runs anywhere: its event API with the queue of reliable callbacks
/// (PullEvents, ConfirmEvents, DescribeEventsState, DescribeEventConfig, ModifyEventConfig), or
/// its sender of normal callbacks, with faults on demand and a ledger of what became of each event.
///
/// Ten uploads a second for whoever pulls from http://127.0.0.1:7070 with the SecretId
/// AKIDexample and the SecretKey example:
///
///   vodsim --rate 10
///
/// A thousand events of every type, some replies lost, until all are confirmed:
///
///   vodsim --count 1000 --types all --faults seed=7,lost_reply=0.05 --until-confirmed
///
/// Callbacks to a URL, signed:
///
///   vodsim --push http://127.0.0.1:8080/vod/default --sign-key Abc123 --rate 5
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Where the API listens.
    #[arg(long, default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// The SubAppId of the one application; without it, it is the default one of an old account.
    #[arg(long)]
    sub_app_id: Option<u64>,
    /// The SecretId that calls are made for.
    #[arg(long, default_value = "AKIDexample")]
    secret_id: String,
    /// Its SecretKey.
    #[arg(long, default_value = "example")]
    secret_key: String,
    /// Events a second; 0 lets all happen at once.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    rate: f64,
    /// How many events happen. Default: no end.
    #[arg(long)]
    count: Option<u64>,
    /// Event types, one after the other, or `all`.
    #[arg(long, value_delimiter = ',', default_value = "NewFileUpload")]
    types: Vec<String>,
    /// Sends normal callbacks to this http:// URL instead of keeping a queue.
    #[arg(long, value_name = "URL")]
    push: Option<String>,
    /// Signs callbacks with this key (Sign and T).
    #[arg(long)]
    sign_key: Option<String>,
    /// What goes wrong: `seed=7,cut=0.05,lost_confirm=0.1`, names and their parts of all calls.
    /// Names: internal_error, throttle, unauthorized, status_502, not_json, truncated, cut,
    /// lost_reply, hang, slow, lost_confirm, duplicate.
    #[arg(long, default_value = "")]
    faults: Faults,
    /// Calls of one action a second; 0 is any number.
    #[arg(long, default_value_t = 100)]
    calls_per_second: u32,
    /// Divides the queue's times: with 10, an event is hidden for 3 s. Divide the bridge's
    /// `handle_life` and `margin` alike.
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true)]
    time_scale: f64,
    /// Ends with exit code 0 once --count events are confirmed.
    #[arg(long, requires = "count")]
    until_confirmed: bool,
    /// How the numbers at the end look.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    summary: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

// === impl Arguments ===

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(why) => return failed(&why.to_string()),
        };
        match runtime.block_on(self.simulate()) {
            Ok(code) => code,
            Err(why) => failed(&why),
        }
    }

    async fn simulate(self) -> Result<ExitCode, String> {
        let types = self.samples()?;
        if !(self.rate.is_finite() && self.rate >= 0.0) {
            return Err("--rate: expected a number of events a second".to_owned());
        }
        if !(self.time_scale.is_finite() && self.time_scale > 0.0) {
            return Err("--time-scale: expected a number above 0".to_owned());
        }
        if self.rate == 0.0 && self.count.is_none() {
            return Err("--rate 0 needs a --count".to_owned());
        }
        if let Some(url) = &self.push
            && Push::parse(url).is_none()
        {
            return Err(format!("--push: found {url:?}, expected http://host:port/path"));
        }
        // Before anybody knows that it runs, so that it never ends without its numbers.
        let stopped = stopped().map_err(|why| format!("cannot watch for signals: {why}"))?;
        let vod = Vod::start(self.options()).await;
        let vod = vod.map_err(|why| format!("cannot listen on {}: {why}", self.listen))?;
        vod.set_faults(self.faults.clone());
        self.greet(&vod);
        let began = Instant::now();
        let ended = tokio::select! {
            () = self.issue(&vod, &types) => true,
            () = stopped => false,
            () = report(&vod) => false,
        };
        let summary = vod.summary();
        vod.stop(STOP_WITHIN).await;
        self.sum_up(summary, began.elapsed());
        let is_good = !self.until_confirmed || ended && summary.unconfirmed == 0;
        Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn samples(&self) -> Result<Vec<&'static Sample>, String> {
        if self.types == ["all"] {
            return Ok(SAMPLES.iter().collect());
        }
        let known = |name: &String| {
            sample(name).ok_or_else(|| {
                let names: Vec<_> = SAMPLES.iter().map(|sample| sample.event_type).collect();
                format!("--types: {name:?} is unknown; known are all, {}", names.join(", "))
            })
        };
        self.types.iter().map(known).collect()
    }

    fn options(&self) -> Options {
        let mode = if self.push.is_some() { "PUSH" } else { "PULL" };
        Options {
            listen: self.listen,
            applications: vec![self.sub_app_id],
            credentials: vec![Credential {
                secret_id: self.secret_id.clone(),
                secret_key: self.secret_key.clone(),
                token: None,
            }],
            config: EventConfig {
                mode: Some(mode.to_owned()),
                notification_url: Some(self.push.clone().unwrap_or_default()),
                ..Options::default().config
            },
            sign_key: self.sign_key.clone(),
            calls_per_second: Some(self.calls_per_second).filter(|calls| *calls > 0),
            time_scale: self.time_scale,
            ..Options::default()
        }
    }

    /// Lets events happen, and then waits until all are confirmed or for ever.
    async fn issue(&self, vod: &Vod, types: &[&'static Sample]) {
        let began = Instant::now();
        for n in 0..self.count.unwrap_or(u64::MAX) {
            if self.rate > 0.0 {
                sleep_until(began + Duration::from_secs_f64(n as f64 / self.rate)).await;
            }
            let place = usize::try_from(n % types.len() as u64).unwrap_or_default();
            vod.issue(self.sub_app_id, types[place].body(n));
        }
        let all = |summary: &Summary| self.until_confirmed && summary.unconfirmed == 0;
        // Longer than anybody waits.
        vod.until(all, Duration::from_secs(365 * 24 * 60 * 60)).await.ok();
    }

    fn greet(&self, vod: &Vod) {
        let url = vod.url();
        let id = self.sub_app_id.map(|id| id.to_string());
        say(&format!("endpoint    {url}"));
        say(&format!("SubAppId    {}", id.as_deref().unwrap_or("none, the default application")));
        say(&format!("SecretId    {}", self.secret_id));
        say(&format!("SecretKey   {}", self.secret_key));
        match &self.push {
            Some(url) => say(&format!("callbacks   to {url}")),
            None => say("events      kept in a queue: PullEvents, then ConfirmEvents within 30 s"),
        }
    }

    fn sum_up(&self, summary: Summary, took: Duration) {
        let text = match self.summary {
            Format::Json => serde_json::to_string(&summary).expect("numbers can be written"),
            Format::Text => format!("{} in {:.1} s", told(&summary), took.as_secs_f64()),
        };
        // A reader that has gone is no failure.
        writeln!(io::stdout().lock(), "{text}").ok();
    }
}

/// Says how it stands, in place on a terminal and now and then elsewhere.
async fn report(vod: &Vod) {
    let is_terminal = io::stderr().is_terminal();
    let mut ticks = interval(Duration::from_secs(if is_terminal { 1 } else { 10 }));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let text = told(&vod.summary());
        if is_terminal {
            write!(io::stderr().lock(), "\r\x1b[K{text}").ok();
            io::stderr().flush().ok();
        } else {
            say(&text);
        }
    }
}

fn told(summary: &Summary) -> String {
    let Summary { issued, delivered, redelivered, confirmed, unconfirmed } = summary;
    format!(
        "{issued} issued, {delivered} delivered, {redelivered} delivered again, \
         {confirmed} confirmed, {unconfirmed} not"
    )
}

/// From now on SIGINT and SIGTERM end nothing by themselves; resolves at either.
fn stopped() -> io::Result<impl Future<Output = ()>> {
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    })
}

fn say(text: &str) {
    // Where standard error cannot be written to, nobody is there to be told.
    writeln!(io::stderr().lock(), "{text}").ok();
}

fn failed(why: &str) -> ExitCode {
    say(&format!("vodsim: {why}"));
    ExitCode::from(WRONG_USE)
}
