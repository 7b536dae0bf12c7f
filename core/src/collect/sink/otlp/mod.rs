//! OpenTelemetry, by OTLP over HTTP: metrics, traces of kept requests, events as log records.
//!
//! **Metrics.** Series of [`METRICS`](crate::collect::series::METRICS) are called `ioprofiler.` and
//! their name, with their labels as attributes; time is in `s`, memory in `By`, what is counted in
//! `{request}`, `{call}` and so on. But web requests are what OpenTelemetry calls them:
//!
//! | ours | theirs |
//! | --- | --- |
//! | `request.duration` of `kind` `web` | `http.server.request.duration` |
//! | `method` (`other`) | `http.request.method` (`_OTHER`) |
//! | `route` (`unknown`) | `http.route` (absent) |
//! | `status` | `http.response.status_code` |
//! | `outcome` `error` | `error.type`: the status from 500 on, else `_OTHER` |
//! | `outcome` `abandoned` | `error.type` `abandoned` |
//! | `outcome` `aborted` | `ioprofiler.outcome` `aborted`: the client left, which is no error |
//!
//! What the application counts itself has its own name, in the scope `ioprofiler.own`; characters
//! that no name of an instrument has become `_`. Durations are histograms with the bounds of
//! `METRICS`, so that every server takes them and every sink tells the same; or, by
//! [`exponential`](Otlp::exponential), exponential ones, whose percentiles are good to a hundredth
//! or, over many doublings, to a tenth.
//!
//! **Traces.** Each kept request is a span, and each of its calls a span within; see `traces`.
//! **Logs.** Flags that a kept request asked for are `feature_flag.evaluation` events, and what was
//! done to the site (deploys, switches) are events `ioprofiler.deploy`, `ioprofiler.flag`,
//! `ioprofiler.shed`, `ioprofiler.own`; see `logs`.
//!
//! Resource: `service.name`, `service.version` (the version that was running), `host.name`,
//! `service.instance.id` (of metrics the machine, with the worker where each process reports for
//! itself; of a kept request the machine and the process), and what is set with
//! [`resource`](Otlp::resource). Conventions are those of version 1.44.

mod answer;
mod attributes;
mod database;
mod exponential;
mod ids;
mod logs;
mod metrics;
mod proto;
mod traces;

use super::destination::{Destination, SinkConfig, Wants, check_interval};
use super::http::{Client, HttpOptions, Post};
use super::parcel::{MetricSink, Packet, Parcel, Unsent};
use crate::collect::config::{Configurable, Key};
use crate::error::Error;
use flate2::{Compression, write::GzEncoder};
use prost::Message;
use serde::Serialize;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One request has no more bytes of protobuf, but where one point alone has.
const MAX_REQUEST: usize = 512 << 10;
/// What is shorter is not worth the work.
const MIN_GZIP: usize = 1 << 10;

/// Places at the other end.
const METRICS: &str = "/v1/metrics";
const TRACES: &str = "/v1/traces";
const LOGS: &str = "/v1/logs";

/// Sends to an OpenTelemetry collector, or whatever else speaks OTLP over HTTP.
///
/// ```
/// use ioprofiler::sinks::Otlp;
/// use ioprofiler::{Keep, Profiler};
/// # fn main() -> Result<(), ioprofiler::Error> {
/// let profiler = Profiler::builder()
///     .keep(Keep::default()) // what is kept is sent as traces
///     .send_to(
///         Otlp::to("http://collector.example.com:4318")
///             .service_name("shop")
///             .resource("deployment.environment.name", "production"),
///     )
///     .build()?;
/// # let _ = profiler;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Otlp {
    http: HttpOptions,
    service_name: String,
    resource: Vec<(String, String)>,
    interval: Duration,
    json: bool,
    gzip: bool,
    delta: bool,
    exponential: bool,
    metrics: bool,
    traces: bool,
    logs: bool,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            http: HttpOptions::default(),
            service_name: "unknown_service".to_owned(),
            resource: Vec::new(),
            interval: Duration::from_secs(60),
            json: false,
            gzip: true,
            delta: false,
            exponential: false,
            metrics: true,
            traces: true,
            logs: true,
        }
    }
}

impl Otlp {
    /// To a collector: `http://HOST:4318`, or with a path before `/v1/metrics` and its like.
    /// `https://` needs the feature `tls`.
    #[must_use]
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            http: HttpOptions::to(url),
            ..Self::default()
        }
    }

    /// What the application is called: `service.name`. Default `unknown_service`.
    #[must_use]
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = name.into();
        self
    }

    /// One more attribute of the resource: `deployment.environment.name`, `service.namespace`.
    #[must_use]
    pub fn resource(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.resource.push((key.into(), value.into()));
        self
    }

    /// One more header of each request: a key, say. Never shown.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http.headers.push((name.into(), value.into()));
        self
    }

    /// A file of certificates in PEM, of the authorities that are believed instead of the machine's.
    /// Needs the feature `tls`.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.http.ca_file = Some(file.into());
        self
    }

    /// How often metrics are sent. Default 60 seconds.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sends JSON instead of protobuf: about twice as much, and readable. Default: no.
    #[must_use]
    pub fn json(mut self, json: bool) -> Self {
        self.json = json;
        self
    }

    /// Compresses what is sent. Default: yes.
    #[must_use]
    pub fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    /// Sends what was counted in each interval, instead of all that was counted so far: for servers
    /// that add up themselves. An interval that could not be sent is then lost. Default: no.
    #[must_use]
    pub fn delta(mut self, delta: bool) -> Self {
        self.delta = delta;
        self
    }

    /// Sends durations as exponential histograms. Default: no, since not every server takes them.
    #[must_use]
    pub fn exponential(mut self, exponential: bool) -> Self {
        self.exponential = exponential;
        self
    }

    /// Whether metrics are sent. Default: yes.
    #[must_use]
    pub fn metrics(mut self, metrics: bool) -> Self {
        self.metrics = metrics;
        self
    }

    /// Whether kept requests are sent as traces. Default: yes.
    #[must_use]
    pub fn traces(mut self, traces: bool) -> Self {
        self.traces = traces;
        self
    }

    /// Whether events are sent as log records. Default: yes.
    #[must_use]
    pub fn logs(mut self, logs: bool) -> Self {
        self.logs = logs;
        self
    }
}

impl Configurable for Otlp {
    const NAME: &'static str = "otlp";
    const KEYS: &'static [Key<Self>] = &[
        Key("url", |otlp, setting| setting.text(&mut otlp.http.url)),
        Key("service_name", |otlp, setting| {
            setting.text(&mut otlp.service_name)
        }),
        Key("resource", |otlp, setting| {
            setting.pairs(&mut otlp.resource)
        }),
        Key("headers", |otlp, setting| {
            setting.pairs(&mut otlp.http.headers)
        }),
        Key("ca_file", |otlp, setting| {
            setting.path(otlp.http.ca_file.get_or_insert_default())
        }),
        Key("interval", |otlp, setting| {
            setting.duration(&mut otlp.interval)
        }),
        Key("json", |otlp, setting| setting.switch(&mut otlp.json)),
        Key("gzip", |otlp, setting| setting.switch(&mut otlp.gzip)),
        Key("delta", |otlp, setting| setting.switch(&mut otlp.delta)),
        Key("exponential", |otlp, setting| {
            setting.switch(&mut otlp.exponential)
        }),
        Key("metrics", |otlp, setting| setting.switch(&mut otlp.metrics)),
        Key("traces", |otlp, setting| setting.switch(&mut otlp.traces)),
        Key("logs", |otlp, setting| setting.switch(&mut otlp.logs)),
    ];
}

impl From<Otlp> for Destination {
    fn from(otlp: Otlp) -> Self {
        Self(Arc::new(otlp))
    }
}

/// What is said of the application by options of their own, or known.
const RESERVED: [&str; 5] = [
    "host.name",
    "process.pid",
    "service.instance.id",
    "service.name",
    "service.version",
];

impl SinkConfig for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str, why: &str| Err(Error::of(format!("otlp.{what}"), why));
        self.http.check("otlp", "url")?;
        if self.service_name.is_empty() {
            return wrong("service_name", "is empty");
        }
        for (place, (key, _)) in self.resource.iter().enumerate() {
            if key.is_empty() || RESERVED.contains(&&**key) {
                let why = format!(
                    "{key:?} is not for you to set (others are: {}; \
                     service.name is the option service_name)",
                    RESERVED.join(", ")
                );
                return wrong("resource", &why);
            }
            let before = self.resource.iter().take(place);
            if before.into_iter().any(|(there, _)| there == key) {
                return wrong("resource", &format!("{key:?} is there twice"));
            }
        }
        if !(self.metrics || self.traces || self.logs) {
            let why = "is off, as are traces and logs, so there is nothing to send";
            return wrong("metrics", why);
        }
        check_interval("otlp", self.interval)
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn wants(&self) -> Wants {
        Wants {
            series: self.metrics,
            events: self.logs,
            kept: self.traces || self.logs,
        }
    }

    fn is_datagram(&self) -> bool {
        false
    }

    fn make(&self) -> Box<dyn MetricSink> {
        Box::new(Sender {
            client: Client::new(&self.http),
            options: self.clone(),
        })
    }
}

struct Sender {
    options: Otlp,
    client: Client,
}

impl MetricSink for Sender {
    fn encode(&mut self, parcel: &Parcel) -> Vec<Packet> {
        let options = &self.options;
        match parcel {
            Parcel::Report(report) => metrics::requests(options, report)
                .iter()
                .map(|(request, points)| {
                    // The backlog holds more of them so.
                    let packet = options.packet(METRICS, request, *points);
                    options.zipped(&packet.bytes).map_or_else(
                        || packet.clone(),
                        |bytes| Packet {
                            bytes,
                            ..packet.clone()
                        },
                    )
                })
                .collect(),
            Parcel::Kept(kept) => {
                let mut packets = Vec::new();
                if options.traces {
                    let (request, spans) = traces::request(options, kept);
                    packets.push(options.packet(TRACES, &request, spans));
                }
                if options.logs {
                    let request = logs::exposures(options, &kept.profile);
                    let packet = |(request, records)| options.packet(LOGS, &request, records);
                    packets.extend(request.map(packet));
                }
                packets
            }
            Parcel::Event(event) => vec![options.packet(LOGS, &logs::event(options, event), 1)],
            Parcel::Notice(_) => Vec::new(),
        }
    }

    fn join(&mut self, first: &mut Packet, next: &Packet) -> bool {
        let fits = first.bytes.len() + next.bytes.len() <= MAX_REQUEST;
        if first.place != next.place || first.place == METRICS || !fits {
            return false;
        }
        let joined = if self.options.json {
            join_json(&mut first.bytes, &next.bytes)
        } else {
            // Messages one behind the other are one message, with the lists of both.
            first.bytes.extend_from_slice(&next.bytes);
            true
        };
        if joined {
            first.points += next.points;
        }
        joined
    }

    fn send(&mut self, packet: &Packet, within: Duration) -> Result<(), Unsent> {
        let is_zipped = packet.bytes.starts_with(&GZIP);
        let zipped = (!is_zipped).then(|| self.options.zipped(&packet.bytes));
        let zipped = zipped.flatten();
        let post = Post {
            path: packet.place,
            content_type: if self.options.json {
                "application/json"
            } else {
                "application/x-protobuf"
            },
            is_gzip: is_zipped || zipped.is_some(),
            body: zipped.as_deref().unwrap_or(&packet.bytes),
        };
        let answer = self.client.post(&post, within)?;
        answer::read(&self.client, &answer)
    }
}

/// What gzip begins with, and neither protobuf's nor JSON's messages do.
const GZIP: [u8; 2] = [0x1f, 0x8b];

impl Otlp {
    fn packet(
        &self,
        place: &'static str,
        message: &(impl Message + Serialize),
        points: u64,
    ) -> Packet {
        let bytes = if self.json {
            // Neither the maps nor the writer can fail: keys are names of fields, memory takes all.
            let mut bytes = serde_json::to_vec(message).unwrap_or_default();
            // It may wait for long.
            bytes.shrink_to_fit();
            bytes
        } else {
            message.encode_to_vec()
        };
        Packet {
            bytes,
            points,
            place,
        }
    }

    fn zipped(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if !self.gzip || bytes.len() < MIN_GZIP {
            return None;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).ok()?;
        encoder.finish().ok()
    }
}

/// `{"resourceSpans":[A]}` and `{"resourceSpans":[B]}` are `{"resourceSpans":[A,B]}`.
fn join_json(first: &mut Vec<u8>, next: &[u8]) -> bool {
    let Some(begin) = next.iter().position(|byte| *byte == b'[') else {
        return false;
    };
    let (Some(head), Some(more)) = (next.get(..=begin), next.get(begin + 1..)) else {
        return false;
    };
    if !first.starts_with(head) || !first.ends_with(b"]}") {
        return false;
    }
    first.truncate(first.len() - 2);
    first.push(b',');
    first.extend_from_slice(more);
    true
}

#[cfg(test)]
mod tests;
