//! Traces, by the variables that OpenTelemetry has for every program: "Environment Variable
//! Specification" and "OpenTelemetry Protocol Exporter".
//!
//! They are never a reason not to start: "The SDK MUST generate a warning and gracefully ignore the
//! setting", and a warning says too what of them is not supported.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::secret::{Rule, Secret};
use super::{Place, Problem};

/// Where spans go, how many, and whose they are.
#[derive(Clone)]
pub struct Traces {
    /// Where batches are posted.
    pub endpoint: Uri,
    /// What goes with each of them; their values are secrets.
    pub headers: HeaderMap,
    /// Whether they are compressed by gzip.
    pub gzip: bool,
    /// The certificates that the collector's may be signed by, as PEM; none: the system's.
    pub certificates: Option<Bytes>,
    /// How long one batch may take, with everything that is tried again.
    pub timeout: Duration,
    /// What describes this process, `service.name` among them.
    pub resource: Vec<(String, String)>,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// How many ended spans wait at most; more are dropped.
    pub queue_max: usize,
    /// How many are sent together at most.
    pub batch_max: usize,
    /// How long a span waits for others at most.
    pub delay: Duration,
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// The share of traces, from 0 to 1.
    pub ratio: f64,
    /// Whether a caller that has decided decides.
    pub parent_based: bool,
}

/// "Default: http://localhost:4318" for OTLP over HTTP.
const ENDPOINT: &str = "http://localhost:4318";

/// "Default value: 10s".
const TIMEOUT: Duration = Duration::from_secs(10);

/// Defaults of the batch span processor.
const DELAY: Duration = Duration::from_secs(5);
const QUEUE: usize = 2048;
const BATCH: usize = 512;

/// The most spans that may wait: some 100 MiB of them.
const QUEUE_MAX: usize = 1 << 16;

const SERVICE_NAME: &str = "service.name";

/// Attributes of the resource, and headers.
const PAIRS_MAX: usize = 128;

/// Set without effect, and worth saying so.
const UNSUPPORTED: &[&str] = &[
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
];

/// The variables, and what is wrong with them.
struct Variables<'a> {
    all: &'a BTreeMap<String, String>,
    warnings: &'a mut Vec<Problem>,
}

/// Reads the variables; none if there is to be no tracing.
pub(super) fn read(
    variables: &BTreeMap<String, String>,
    warnings: &mut Vec<Problem>,
) -> Option<Traces> {
    let mut variables = Variables { all: variables, warnings };
    if variables.is_disabled() {
        return None;
    }
    let endpoint = variables.endpoint()?;
    if !variables.has_protocol() {
        return None;
    }
    for name in UNSUPPORTED {
        if variables.get(name).is_some() {
            variables.warn(name, "has no effect: client certificates are not supported");
        }
    }
    if let Some(propagators) = variables.get("OTEL_PROPAGATORS")
        && !propagators.split(',').any(|name| name.trim() == "tracecontext")
    {
        variables.warn("OTEL_PROPAGATORS", "has no effect: only tracecontext is supported");
    }
    let queue_max = variables.number("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE, QUEUE_MAX);
    let batch_max =
        variables.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH.min(queue_max), queue_max);
    Some(Traces {
        endpoint,
        headers: variables.headers(),
        gzip: variables.gzip(),
        certificates: variables.certificates(),
        timeout: variables.millis(&TIMEOUTS, TIMEOUT),
        resource: variables.resource(),
        sampler: variables.sampler(),
        queue_max,
        batch_max,
        delay: variables.millis(&["OTEL_BSP_SCHEDULE_DELAY"], DELAY),
    })
}

/// The names of the exporter's options, the one of traces first: it "takes precedence".
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const COMPRESSION: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const CERTIFICATE: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];

// === impl Variables ===

impl<'a> Variables<'a> {
    /// "The SDK MUST interpret an empty value of an environment variable the same way as when the
    /// variable is unset."
    fn get(&self, name: &str) -> Option<&'a str> {
        self.all.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The first of these that is set, with its name.
    fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &'a str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    fn warn(&mut self, name: &str, message: impl Into<String>) {
        let place = Place::Variable(Arc::from(name));
        self.warnings.push(Problem { place, path: String::new(), message: message.into() });
    }

    fn is_disabled(&mut self) -> bool {
        // "any value other than true is false"
        if self.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return true;
        }
        match self.get("OTEL_TRACES_EXPORTER") {
            None | Some("otlp") => false,
            Some("none") => true,
            Some(other) => {
                let message = format!("found {other:?}, expected otlp or none: no traces");
                self.warn("OTEL_TRACES_EXPORTER", message);
                true
            }
        }
    }

    /// None if none is named and no exporter is asked for, or it is none.
    fn endpoint(&mut self) -> Option<Uri> {
        let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
        let (name, text) = match self.first(&names) {
            // "the URL MUST be used as-is without any modification"
            Some((name, url)) if name == names[0] => (name, Cow::Borrowed(url)),
            // "signals are sent to ... relative to the base URL: v1/traces"
            Some((name, base)) => {
                (name, format!("{}/v1/traces", base.trim_end_matches('/')).into())
            }
            None if self.get("OTEL_TRACES_EXPORTER").is_some() => {
                ("OTEL_TRACES_EXPORTER", format!("{ENDPOINT}/v1/traces").into())
            }
            None => return None,
        };
        let uri = Uri::from_str(&text).ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        });
        if uri.is_none() {
            // It may hold a password.
            let message = "expected http://HOST:PORT or https://HOST:PORT, without a user, whose \
                           place is OTEL_EXPORTER_OTLP_HEADERS: no traces";
            self.warn(name, message);
        }
        uri
    }

    fn has_protocol(&mut self) -> bool {
        match self.first(&PROTOCOL) {
            None | Some((_, "http/protobuf")) => true,
            Some((name, other)) => {
                let message = format!(
                    "found {other:?}, and only http/protobuf is supported, which collectors take \
                     on port 4318: no traces"
                );
                self.warn(name, message);
                false
            }
        }
    }

    fn headers(&mut self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let Some((name, text)) = self.first(&HEADERS) else { return headers };
        let header = |(name, value): (String, String)| {
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_str(&name).ok()?, value))
        };
        match pairs(text)
            .and_then(|pairs| pairs.into_iter().map(header).collect::<Option<Vec<_>>>())
        {
            Some(pairs) => headers.extend(pairs),
            // What is wrong may be a secret.
            None => self.warn(name, "expected key=value pairs between commas: none is sent"),
        }
        headers
    }

    fn gzip(&mut self) -> bool {
        match self.first(&COMPRESSION) {
            None | Some((_, "none")) => false,
            Some((_, "gzip")) => true,
            Some((name, other)) => {
                self.warn(name, format!("found {other:?}, expected gzip or none: none"));
                false
            }
        }
    }

    fn certificates(&mut self) -> Option<Bytes> {
        let (name, path) = self.first(&CERTIFICATE)?;
        let file = Secret::File(PathBuf::from(Path::new(path)));
        match file.read(self.all, Rule::Any) {
            Ok(pem) => Some(pem),
            Err(error) => {
                self.warn(name, format!("{error}: the system's certificates hold"));
                None
            }
        }
    }

    fn resource(&mut self) -> Vec<(String, String)> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let mut resource = match self.get(NAME).map(pairs) {
            None => Vec::new(),
            Some(Some(pairs)) => pairs,
            // "the entire environment variable value SHOULD be discarded"
            Some(None) => {
                self.warn(NAME, "expected key=value pairs between commas: none is used");
                Vec::new()
            }
        };
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            resource.retain(|(key, _)| key != SERVICE_NAME);
            resource.push((SERVICE_NAME.to_owned(), name.to_owned()));
        } else if resource.iter().all(|(key, _)| key != SERVICE_NAME) {
            resource.push((SERVICE_NAME.to_owned(), env!("CARGO_PKG_NAME").to_owned()));
        }
        resource
    }

    fn sampler(&mut self) -> Sampler {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        let usual = Sampler { ratio: 1.0, parent_based: true };
        let Some(name) = self.get(NAME) else { return usual };
        let (parent_based, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name),
        };
        let ratio = match kind {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => self.ratio(),
            _ => {
                self.warn(NAME, format!("found {name:?}, which is not supported: all are sampled"));
                return usual;
            }
        };
        Sampler { ratio, parent_based }
    }

    fn ratio(&mut self) -> f64 {
        const NAME: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(text) = self.get(NAME) else { return 1.0 };
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            Ok(_) | Err(_) => {
                self.warn(NAME, format!("found {text:?}, expected 0 to 1: all are sampled"));
                1.0
            }
        }
    }

    fn millis(&mut self, names: &[&str], usual: Duration) -> Duration {
        let Some((name, text)) = self.first(names) else { return usual };
        match text.parse() {
            Ok(millis) if millis > 0 => Duration::from_millis(millis),
            Ok(_) | Err(_) => {
                let usual_text = humantime::format_duration(usual);
                self.warn(name, format!("found {text:?}, expected milliseconds: {usual_text}"));
                usual
            }
        }
    }

    fn number(&mut self, name: &str, usual: usize, most: usize) -> usize {
        let Some(text) = self.get(name) else { return usual };
        match text.parse() {
            Ok(number) if (1..=most).contains(&number) => number,
            Ok(_) | Err(_) => {
                self.warn(name, format!("found {text:?}, expected 1 to {most}: {usual}"));
                usual
            }
        }
    }
}

/// "key1=value1,key2=value2", percent-encoded.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let decoded =
        |text: &str| Some(percent_decode_str(text.trim()).decode_utf8().ok()?.into_owned());
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let key = decoded(key).filter(|key| !key.is_empty())?;
        Some((key, decoded(value)?))
    };
    let written = text.split(',').filter(|pair| !pair.trim().is_empty());
    let pairs: Vec<_> = written.map(pair).collect::<Option<_>>()?;
    (pairs.len() <= PAIRS_MAX).then_some(pairs)
}

/// Headers have secret values, and a query may have.
impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces")
            .field("endpoint", &self.place())
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

impl Traces {
    /// Where batches are posted, without the query.
    pub fn place(&self) -> String {
        let scheme = self.endpoint.scheme_str().unwrap_or_default();
        let authority = self.endpoint.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}{}", self.endpoint.path())
    }
}

#[cfg(test)]
mod tests;
