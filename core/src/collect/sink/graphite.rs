//! Graphite: `NAME VALUE TIME`, a line each, to carbon's plaintext port.
//!
//! Format: carbon's `protocols.py`, as its documentation "Feeding In Your Data" describes it. One
//! byte that is no UTF-8 makes carbon hang up, and a name with `/` or `..` in it makes folders, so
//! names are made of letters, digits, `-` and `_` only: see [`flat`](super::flat).
//!
//! Names begin with a prefix and the machine, and in a process without `state_dir` with the worker:
//! `ioprofiler.web0022.request.listing_id.p95`. With [`tags`](Graphite::tags) they are
//! `ioprofiler.request.duration.p95;host=web0022;route=listing_id;…`, which carbon takes from 1.1 on.
//!
//! A deploy is a point `events.deploy` of value 1 (draw it with `drawAsInfinite()`), and, where
//! `events` (feature `http`) names graphite-web, an event there, as is whatever else was done.

use super::destination::{Destination, SinkConfig, Wants};
use super::flat::{self, Flat, bound, flatten, in_ms, part, statistics};
#[cfg(feature = "http")]
use super::http::HttpOptions;
use super::net::{Tcp, Udp, check_address};
use super::parcel::{MetricSink, Origin, Packet, Parcel, Report, Unsent};
use crate::collect::Event;
use crate::collect::events::EventKind;
use crate::collect::series::{Sample, Unit, Value};
use crate::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// What carbon takes in one go without a copy of its own.
const MAX_PACKET: usize = 16 << 10;
/// A longer value of a tag is cut.
const MAX_TAG: usize = 128;
/// A datagram, so that no network has to take it apart.
const MAX_DATAGRAM: usize = 1_432;

/// Sends to Graphite.
///
/// ```
/// use ioprofiler::sinks::Graphite;
/// use ioprofiler::Profiler;
/// # fn main() -> Result<(), ioprofiler::Error> {
/// let profiler = Profiler::builder()
///     .send_to(Graphite::to("carbon.example.com:2003").prefix("shop"))
///     .build()?;
/// # let _ = profiler;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Graphite {
    pub(crate) address: String,
    pub(crate) udp: bool,
    pub(crate) prefix: String,
    pub(crate) interval: Duration,
    pub(crate) tags: bool,
    pub(crate) buckets: bool,
    /// Where graphite-web is, if it is to be told events.
    #[cfg(feature = "http")]
    pub(crate) web: HttpOptions,
}

impl Default for Graphite {
    fn default() -> Self {
        Self {
            address: String::new(),
            udp: false,
            prefix: "ioprofiler".to_owned(),
            interval: Duration::from_secs(60),
            tags: false,
            buckets: true,
            #[cfg(feature = "http")]
            web: HttpOptions::default(),
        }
    }
}

impl Graphite {
    /// To carbon's plaintext port, `HOST:PORT`; 2003 usually.
    #[must_use]
    pub fn to(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            ..Self::default()
        }
    }

    /// Sends datagrams: for profilers without threads, and where losing a point is better than a
    /// connection. Default: over TCP.
    #[must_use]
    pub fn udp(mut self, udp: bool) -> Self {
        self.udp = udp;
        self
    }

    /// What names begin with; may have dots. Default `ioprofiler`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How often. As often as the storage schema keeps points, or values are lost. Default 60
    /// seconds.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Writes labels as tags instead of into names. Default: no.
    #[must_use]
    pub fn tags(mut self, tags: bool) -> Self {
        self.tags = tags;
        self
    }

    /// Sends counts by duration beside percentiles, so that they can be added up over machines.
    /// Default: yes.
    #[must_use]
    pub fn buckets(mut self, buckets: bool) -> Self {
        self.buckets = buckets;
        self
    }

    /// Tells graphite-web, too, what was done to the site: deploys, switches, the application's own
    /// events. Its address: `http://graphite.example.com/`. Default: not.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn events(mut self, url: impl Into<String>) -> Self {
        self.web.url = url.into();
        self
    }

    /// One more header of each request to graphite-web. Never shown.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.web.headers.push((name.into(), value.into()));
        self
    }

    /// A file of certificates in PEM, of the authorities that are believed of graphite-web instead of
    /// the machine's. Needs the feature `tls`.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<std::path::PathBuf>) -> Self {
        self.web.ca_file = Some(file.into());
        self
    }

    #[cfg(feature = "http")]
    fn check_web(&self) -> Result<(), Error> {
        let without = match (&*self.web.headers, &self.web.ca_file) {
            _ if !self.web.url.is_empty() => return Ok(()),
            ([], None) => return Ok(()),
            ([], Some(_)) => "ca_file",
            _ => "header",
        };
        Err(Error::new(format!(
            "graphite.{without}: is for requests to graphite-web, whose address `events` does not say"
        )))
    }

    #[cfg(not(feature = "http"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "as with the feature"
    )]
    fn check_web(&self) -> Result<(), Error> {
        Ok(())
    }
}

impl From<Graphite> for Destination {
    fn from(graphite: Graphite) -> Self {
        Self(Arc::new(graphite))
    }
}

impl SinkConfig for Graphite {
    fn name(&self) -> &'static str {
        "graphite"
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str, why: String| Error::new(format!("graphite.{what}: {why}"));
        check_address(&self.address).map_err(|why| wrong("address", why))?;
        if flat::name(&self.prefix) != self.prefix {
            let why = format!(
                "{:?} is not made of letters, digits, `-`, `_` and dots between",
                self.prefix
            );
            return Err(wrong("prefix", why));
        }
        self.check_web()?;
        super::destination::check_interval("graphite", self.interval)
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn wants(&self) -> Wants {
        Wants {
            series: true,
            events: true,
            kept: false,
        }
    }

    #[cfg(feature = "http")]
    fn beside(&self) -> Option<Arc<dyn SinkConfig>> {
        (!self.web.url.is_empty()).then(|| {
            let web = super::graphite_web::GraphiteWeb {
                http: self.web.clone(),
                prefix: self.prefix.clone(),
            };
            Arc::new(web) as Arc<dyn SinkConfig>
        })
    }

    fn is_datagram(&self) -> bool {
        self.udp
    }

    fn make(&self) -> Box<dyn MetricSink> {
        let wire = if self.udp {
            Wire::Datagrams(Udp::new(&self.address))
        } else {
            Wire::Stream(Tcp::new(&self.address))
        };
        Box::new(Sender {
            options: self.clone(),
            wire,
        })
    }
}

enum Wire {
    Stream(Tcp),
    Datagrams(Udp),
}

struct Sender {
    options: Graphite,
    wire: Wire,
}

impl MetricSink for Sender {
    fn encode(&mut self, parcel: &Parcel) -> Vec<Packet> {
        let lines = match parcel {
            Parcel::Report(report) if self.options.tags => self.options.tagged(report),
            Parcel::Report(report) => self.options.named(report),
            Parcel::Event(event) => self.options.event(event),
            Parcel::Kept(_) | Parcel::Notice(_) => Vec::new(),
        };
        packets(
            &lines,
            if self.options.udp {
                MAX_DATAGRAM
            } else {
                MAX_PACKET
            },
        )
    }

    fn send(&mut self, packet: &Packet, within: Duration) -> Result<(), Unsent> {
        match &mut self.wire {
            Wire::Stream(tcp) => tcp.send(&packet.bytes, within),
            Wire::Datagrams(udp) => udp.send(&packet.bytes),
        }
    }
}

/// Whole lines together, as many as fit.
fn packets(lines: &[String], most: usize) -> Vec<Packet> {
    let mut packets: Vec<Packet> = Vec::new();
    for line in lines {
        match packets.last_mut() {
            Some(last) if last.bytes.len() + line.len() <= most => {
                last.bytes.extend_from_slice(line.as_bytes());
                last.points += 1;
            }
            _ => packets.push(Packet {
                bytes: line.clone().into_bytes(),
                points: 1,
                place: "",
            }),
        }
    }
    packets
}

impl Graphite {
    /// What all names of a process begin with.
    fn beginning(&self, origin: &Origin) -> String {
        let mut beginning = format!("{}.{}", self.prefix, part(&origin.host));
        if let Some(worker) = &origin.worker {
            let _ = write!(beginning, ".{}", part(worker));
        }
        beginning
    }

    fn named(&self, report: &Report) -> Vec<String> {
        let beginning = self.beginning(&report.origin);
        let at = report.at / 1_000_000_000;
        let line = |flat: Flat| format!("{beginning}.{} {} {at}\n", flat.name, number(flat.value));
        let flats = flatten(&report.since_of_all(), self.buckets);
        flats.into_iter().map(line).collect()
    }

    /// Each series with its labels as tags.
    fn tagged(&self, report: &Report) -> Vec<String> {
        let mut lines = Vec::new();
        for series in &report.since {
            for sample in &series.samples {
                let version = series.version.as_deref();
                self.tagged_sample(report, version, sample, &mut lines);
            }
        }
        lines
    }

    fn tagged_sample(
        &self,
        report: &Report,
        version: Option<&str>,
        sample: &Sample,
        lines: &mut Vec<String>,
    ) {
        let tags = tags(&report.origin, version, sample);
        let name = flat::name(sample.name.as_str());
        let at = report.at / 1_000_000_000;
        let mut push = |last: &str, more: &str, value: f64| {
            let prefix = &self.prefix;
            let value = number(value);
            lines.push(format!("{prefix}.{name}{last}{more}{tags} {value} {at}\n"));
        };
        match &sample.value {
            Value::Counter(time_ns) if sample.unit() == Unit::Time => {
                push(".time", "", in_ms(*time_ns));
            }
            Value::Counter(count) => push("", "", *count as f64),
            Value::Gauge { value, .. } => push("", "", *value),
            Value::Distribution(duration) => {
                push(".count", "", duration.count as f64);
                for (last, value_ns) in statistics(duration) {
                    push(&format!(".{last}"), "", in_ms(value_ns));
                }
                let bounds = sample
                    .name
                    .metric()
                    .map_or(&[][..], |metric| metric.bounds_ns);
                let wanted = self.buckets && duration.count != 0;
                for bound_ns in bounds.iter().filter(|_| wanted) {
                    let count = duration.at_most(*bound_ns) as f64;
                    push(".bucket", &format!(";le={}", bound(*bound_ns)), count);
                }
            }
        }
    }

    /// A deploy as a point; what else was done is for graphite-web only.
    fn event(&self, event: &Event) -> Vec<String> {
        if event.kind != EventKind::Deploy {
            return Vec::new();
        }
        let at = event.at / 1_000_000_000;
        vec![format!("{}.events.deploy 1 {at}\n", self.prefix)]
    }
}

/// Tags in the order of their names, as carbon sorts them. Where a label of the series is called as
/// one of ours, that of the series stays.
fn tags(origin: &Origin, version: Option<&str>, sample: &Sample) -> String {
    let labels = sample.labels.iter();
    let mut tags: Vec<(String, String)> = labels
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (part(name), tag_value(value)))
        .collect();
    let ours = [
        ("host", Some(&*origin.host)),
        ("worker", origin.worker.as_deref()),
        ("version", version),
    ];
    for (name, value) in ours {
        if let Some(value) = value
            && !tags.iter().any(|(there, _)| there == name)
        {
            tags.push((name.to_owned(), tag_value(value)));
        }
    }
    tags.sort();
    let mut text = String::new();
    for (name, value) in tags {
        let _ = write!(text, ";{name}={value}");
    }
    text
}

/// A tag's value: what is no letter, digit or sign of ASCII becomes `_`, as do `;` and a `~` at the
/// beginning, which carbon refuses.
fn tag_value(text: &str) -> String {
    let mut value: String = text
        .chars()
        .take(MAX_TAG)
        .map(|character| match character {
            ';' => '_',
            character if character.is_ascii_graphic() => character,
            _ => '_',
        })
        .collect();
    if value.starts_with('~') {
        value.replace_range(..1, "_");
    }
    value
}

/// A number without an exponent, of no more digits than it has.
fn number(value: f64) -> String {
    if value.is_finite() {
        format!("{value}")
    } else {
        "0".to_owned()
    }
}
