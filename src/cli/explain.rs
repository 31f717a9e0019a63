use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use bytes::Bytes;
use clap::Args;
use serde_json::{Map, Value, json};
use vodbridge_core::{Event, Timestamp, Topic};
use vodbridge_vod::{Content, MESSAGE_BYTES_MAX};

use super::ConfigFile;
use super::exit::{self, complain, print};
use super::printer::Format;
use crate::app::normalizer;
use crate::config::{Config, Connector, ContentMode, HeaderPrefix, Name};
use crate::normalize::{Reception, Trace};
use crate::registry;
use crate::route::{Plan, Route, Routes};
use crate::telemetry::chain::Chain;
use crate::telemetry::metrics::Mode;

/// `vodbridge explain`
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    /// Bodies of callbacks, one a file; `-` reads standard input.
    #[arg(required = true, value_name = "FILE")]
    bodies: Vec<PathBuf>,
    /// The application that they come in for; needed where there are several.
    #[arg(long, value_name = "NAME")]
    application: Option<String>,
    /// For people, or one JSON object a body.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What becomes of one body.
struct Explanation {
    body: String,
    fate: Result<Fate, String>,
}

struct Fate {
    event: Event,
    routes: Vec<(String, String)>,
    topic: Option<Topic>,
    connectors: Vec<Leg>,
    end: String,
}

/// What a connector gets.
struct Leg {
    connector: String,
    how: &'static str,
    /// What it makes of the event.
    message: String,
}

impl Explain {
    pub(super) fn run(self) -> ExitCode {
        let config = match self.file.load() {
            Ok(loaded) => loaded.config,
            Err(errors) => {
                complain(&errors);
                return ExitCode::from(exit::USAGE);
            }
        };
        let Some(application) = self.application(&config) else {
            let names: Vec<_> = config.applications.keys().map(Name::as_str).collect();
            complain(&format_args!("say --application, one of: {}", names.join(", ")));
            return ExitCode::from(exit::USAGE);
        };
        let routes = Routes::new(registry::routes(&config));
        let mut code = ExitCode::SUCCESS;
        for path in &self.bodies {
            let body = match read(path) {
                Ok(body) => body,
                Err(error) => {
                    complain(&format_args!("{}: {error}", path.display()));
                    code = ExitCode::FAILURE;
                    continue;
                }
            };
            let fate = fate(&config, application, &routes, &body);
            if fate.is_err() {
                code = ExitCode::FAILURE;
            }
            let explanation = Explanation { body: path.display().to_string(), fate };
            let printed = print(|out| match self.format {
                Format::Table => explanation.write(out),
                Format::Json => writeln!(out, "{}", explanation.to_json()),
            });
            if printed != ExitCode::SUCCESS {
                return printed;
            }
        }
        code
    }

    fn application<'a>(&self, config: &'a Config) -> Option<&'a Name> {
        let mut names = config.applications.keys();
        match &self.application {
            Some(wanted) => names.find(|name| name.as_str() == wanted),
            None => names.next().filter(|_| config.applications.len() == 1),
        }
    }
}

fn read(path: &PathBuf) -> io::Result<Bytes> {
    let mut body = Vec::new();
    // One byte more than an event may have, so that a larger one shows as what it is.
    let limit = MESSAGE_BYTES_MAX as u64 + 1;
    if path.as_os_str() == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut body)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut body)?;
    }
    Ok(body.into())
}

fn fate(config: &Config, name: &Name, routes: &Routes, body: &Bytes) -> Result<Fate, String> {
    let content = Content::read(body).map_err(|why| Chain(&why).to_string())?;
    let application = &config.applications[name];
    let at = Timestamp::from(SystemTime::now());
    let reception = Reception { mode: Mode::callback, at, trace: Trace::default() };
    let mut event = normalizer(config, name, application).event(content, body, &reception);

    let mut looked_at = Vec::new();
    for route in routes.iter() {
        let misfit = route.when.misfit(&event);
        let why = misfit.map_or("takes it".to_owned(), |m| format!("{m} does not fit"));
        looked_at.push((route.name.to_string(), why));
        if misfit.is_none() {
            break;
        }
    }
    let names: Vec<_> = config.connectors.iter().collect();
    let (topic, connectors, end) = match routes.plan(&mut event) {
        Plan::Drop(route) => (None, Vec::new(), format!("dropped by {}", route.name)),
        Plan::Letter { reason, detail } => {
            (None, Vec::new(), format!("dead letter, {reason}: {detail}"))
        }
        Plan::Publish { route, to, also, topic } => {
            let named = |connectors: &[usize], how| -> Vec<_> {
                let leg = |&n: &usize| {
                    let (name, connector) = names[n];
                    let message = message(connector, &event, &topic);
                    Leg { connector: name.to_string(), how, message }
                };
                connectors.iter().map(leg).collect()
            };
            let mut connectors = named(to, "must acknowledge");
            connectors.extend(named(also, "best effort"));
            (Some(topic), connectors, published(route))
        }
    };
    Ok(Fate { event, routes: looked_at, topic, connectors, end })
}

/// The message of a broker in its own words; the attributes are shown above it.
fn message(connector: &Connector, event: &Event, topic: &Topic) -> String {
    let key = event.extension("partitionkey").unwrap_or("(none)");
    match connector {
        Connector::Kafka(kafka) => {
            let headers = headers(kafka.mode, "ce_");
            format!("a record of topic {topic}, key {key}, {headers}")
        }
        Connector::RabbitMq(rabbitmq) => {
            let prefix = match rabbitmq.header_prefix {
                HeaderPrefix::Ce => "ce-",
                HeaderPrefix::CloudEventsUnderscore => "cloudEvents_",
                HeaderPrefix::CloudEventsColon => "cloudEvents:",
            };
            let headers = headers(rabbitmq.mode, prefix);
            format!("a message to exchange {}, routing key {topic}, {headers}", rabbitmq.exchange)
        }
        Connector::Nats(nats) => {
            let headers = headers(nats.mode, "ce-");
            format!("a message on {topic} of stream {}, {headers}, Nats-Msg-Id", nats.stream)
        }
        Connector::Journal(_) => "a row with the attributes above".to_owned(),
    }
}

fn headers(mode: ContentMode, prefix: &str) -> String {
    match mode {
        ContentMode::Binary => format!("headers {prefix}* with the attributes above"),
        ContentMode::Structured => "the event in JSON as its body".to_owned(),
    }
}

fn published(route: &Route) -> String {
    format!("published by {}", route.name)
}

// === impl Explanation ===

impl Explanation {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.body)?;
        let fate = match &self.fate {
            Ok(fate) => fate,
            Err(why) => {
                writeln!(out, "  no event: {why}")?;
                return writeln!(
                    out,
                    "  answered 400; 200 through the dead letters where a token or sign key is \
                     configured and right"
                );
            }
        };
        for (route, why) in &fate.routes {
            writeln!(out, "  route {route}: {why}")?;
        }
        writeln!(out, "  {}", fate.end)?;
        if let Some(topic) = &fate.topic {
            writeln!(out, "  topic {topic}")?;
        }
        writeln!(out, "  key {}", fate.event.extension("partitionkey").unwrap_or("(none)"))?;
        for (name, value) in fate.event.attributes() {
            writeln!(out, "    {name:16}{value}")?;
        }
        for Leg { connector, how, message } in &fate.connectors {
            writeln!(out, "  connector {connector} ({how}): {message}")?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let fate = match &self.fate {
            Ok(fate) => fate,
            Err(why) => return json!({ "body": self.body, "no_event": why }),
        };
        let attributes: Map<String, Value> =
            fate.event.attributes().map(|(n, v)| (n.to_owned(), json!(v))).collect();
        json!({
            "body": self.body,
            "end": fate.end,
            "routes": fate.routes.iter().map(|(r, w)| json!({"route": r, "why": w})).collect::<Vec<_>>(),
            "topic": fate.topic.as_ref().map(Topic::as_str),
            "key": fate.event.extension("partitionkey"),
            "attributes": attributes,
            "connectors": fate.connectors.iter()
                .map(|Leg { connector, how, message }| {
                    json!({"connector": connector, "how": how, "message": message})
                })
                .collect::<Vec<_>>(),
        })
    }
}
