//! Graphite: `NAME VALUE TIME`, a line each, to carbon's plaintext port.
//!
//! Format: carbon's `protocols.py`, as its documentation "Feeding In Your Data" describes it: UTF-8,
//! three words, the time in seconds since 1970, a line feed. One byte that is no UTF-8 makes carbon
//! hang up, a line of more than 16,384 bytes too; a name with `/` in it makes folders. So names are made
//! of letters, digits, `-` and `_` only.
//!
//! # Names
//!
//! They are listed in [`flat`](super::flat), and begin with a prefix and the machine, and in a process
//! without `state_dir` with the worker; what was counted always says so at its end, so that
//! carbon can be told to add it up:
//!
//! ```text
//! ioprofiler.web0022.request.listing_id.p95 11.967 1774321920
//! ioprofiler.web0022.request.listing_id.count 231 1774321920
//! ioprofiler.web0022.registrations.count 3 1774321920
//! ioprofiler.web0022.profiler.dropped.queue.count 0 1774321920
//! ioprofiler.web0022.process.memory 91234304 1774321920
//! ioprofiler.events.deploy 1 1774321927
//! ```
//!
//! With [`tags`](Graphite::tags) the machine, the worker, the application's version and all labels are
//! tags, which carbon takes from 1.1 on:
//!
//! ```text
//! ioprofiler.request.p95;host=web0022;kind=web;route=/listing/{id};version=8c1f 11.967 1774321920
//! ioprofiler.registrations.count;host=web0022;plan=pro 3 1774321920
//! ```
//!
//! Of a tag's value all that is no sign of ASCII becomes `_`, as do `;`, `"` and a `~` at its beginning,
//! in which carbon finds another meaning; past 128 bytes it is cut as names are. A label of the
//! application's called `host`, `worker`, `version`, `name` or `le` gets a `_` behind it.
//!
//! An event is a point of value 1, `events.deploy`, `events.flag`, `events.shed` or `events.own`, under
//! the prefix: draw it with `drawAsInfinite()`. Where the option `events` (feature `http`) names
//! graphite-web, it is an event there too.
//!
//! # Times
//!
//! A value has the time at which its interval began, so that it lies where it was counted. Carbon has
//! one place for each interval, and what is written last stays. So whatever is sent of an interval
//! before it ends (when the profiler is flushed or shut down) is all that was counted in it so far, and
//! who goes on reporting for the same `state_dir` goes on from there. Without a `state_dir`, two
//! processes of the same `worker` in one interval replace each other's values.
//!
//! # What carbon is to be told
//!
//! `storage-schemas.conf`, in front of all patterns that match as well
//! ([`storage_schemas`](Graphite::storage_schemas) for other prefixes and intervals):
//!
//! ```text
#![doc = include_str!("graphite/storage-schemas.conf")]
//! ```
//!
//! `storage-aggregation.conf`, likewise ([`storage_aggregation`](Graphite::storage_aggregation)): what was
//! counted is added up when it grows old; a maximum stays one; and intervals in which nothing
//! happened have no percentiles, which must not make those of an hour disappear.
//!
//! ```text
#![doc = include_str!("graphite/storage-aggregation.conf")]
//! ```
//!
//! Carbon makes 50 new series a minute (`MAX_CREATES_PER_MINUTE`) and forgets the values of
//! others: raise it for the first hour. A machine with 20 routes that each make calls of 10 categories
//! has some 4,600 series, without [`buckets`](Graphite::buckets) 2,000, and without
//! [`calls_by_route`](Graphite::calls_by_route) as well 300.

use super::destination::{Destination, SinkConfig, Wants, check_interval};
use super::flat::{
    Flat, FlatValue, MAX_PREFIX, Shape, Style, Tags, bound, check_prefix, cut_name, flatten,
    number, part,
};
#[cfg(feature = "http")]
use super::http::HttpOptions;
use super::lines::{DATAGRAM, Lines, check_size};
use super::net::{Tcp, Udp, check_address};
use super::parcel::{MetricSink, Origin, Packet, Parcel, Report, Unsent};
use crate::collect::Event;
use crate::collect::config::{Configurable, Key};
use crate::error::Error;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Lines that go over one connection.
const MAX_PIECE: usize = 64 << 10;
/// A longer value of a tag is cut.
const MAX_TAG: usize = 128;

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
    pub(crate) calls_by_route: bool,
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
            calls_by_route: true,
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
    /// connection. Default: over TCP, where a value counts as sent when carbon has read it.
    #[must_use]
    pub fn udp(mut self, udp: bool) -> Self {
        self.udp = udp;
        self
    }

    /// What names begin with: at most 128 bytes; may have dots. Default `ioprofiler`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How often, in whole seconds. As often as the storage schema keeps points, or values are lost.
    /// Default 60 seconds.
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

    /// Sends the calls of each route, beside those of all. Default: yes.
    #[must_use]
    pub fn calls_by_route(mut self, by_route: bool) -> Self {
        self.calls_by_route = by_route;
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

    /// The lines that carbon's `storage-schemas.conf` needs for this prefix and interval: each interval
    /// for a week, ten of them as one for 90 days, sixty for two years.
    ///
    /// ```
    /// use ioprofiler::sinks::Graphite;
    /// let shop = Graphite::to("carbon.example.com:2003").prefix("shop.web");
    /// assert_eq!(
    ///     shop.storage_schemas(),
    ///     "[shop.web]\n\
    ///      pattern = ^shop\\.web\\.\n\
    ///      retentions = 60s:7d,600s:90d,3600s:2y\n"
    /// );
    /// ```
    #[must_use]
    pub fn storage_schemas(&self) -> String {
        let (prefix, pattern) = (&self.prefix, self.pattern());
        let each = self.interval.as_secs().max(1);
        let (ten, sixty) = (each * 10, each * 60);
        format!(
            "[{prefix}]\npattern = ^{pattern}\\.\n\
             retentions = {each}s:7d,{ten}s:90d,{sixty}s:2y\n"
        )
    }

    /// The lines that carbon's `storage-aggregation.conf` needs for this prefix.
    #[must_use]
    pub fn storage_aggregation(&self) -> String {
        include_str!("graphite/storage-aggregation.conf")
            .replace("^ioprofiler", &format!("^{}", self.pattern()))
            .replace("[ioprofiler", &format!("[{}", self.prefix))
    }

    /// The prefix as a regular expression.
    fn pattern(&self) -> String {
        self.prefix.replace('.', "\\.")
    }

    #[cfg(feature = "http")]
    fn check_web(&self) -> Result<(), Error> {
        let without = match (&*self.web.headers, &self.web.ca_file) {
            _ if !self.web.url.is_empty() => return Ok(()),
            ([], None) => return Ok(()),
            ([], Some(_)) => "ca_file",
            _ => "headers",
        };
        Err(Error::of(
            format!("graphite.{without}"),
            "is for requests to graphite-web, whose address `events` does not say",
        ))
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

impl Configurable for Graphite {
    const NAME: &'static str = "graphite";
    const KEYS: &'static [Key<Self>] = &[
        Key("address", |graphite, setting| {
            setting.text(&mut graphite.address)
        }),
        Key("udp", |graphite, setting| setting.switch(&mut graphite.udp)),
        Key("prefix", |graphite, setting| {
            setting.text(&mut graphite.prefix)
        }),
        Key("interval", |graphite, setting| {
            setting.duration(&mut graphite.interval)
        }),
        Key("tags", |graphite, setting| {
            setting.switch(&mut graphite.tags)
        }),
        Key("buckets", |graphite, setting| {
            setting.switch(&mut graphite.buckets)
        }),
        Key("calls_by_route", |graphite, setting| {
            setting.switch(&mut graphite.calls_by_route)
        }),
        #[cfg(feature = "http")]
        Key("events", |graphite, setting| {
            setting.text(&mut graphite.web.url)
        }),
        #[cfg(feature = "http")]
        Key("headers", |graphite, setting| {
            setting.pairs(&mut graphite.web.headers)
        }),
        #[cfg(feature = "http")]
        Key("ca_file", |graphite, setting| {
            setting.path(graphite.web.ca_file.get_or_insert_default())
        }),
    ];
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
        let wrong = |what: &str, why: String| Error::of(format!("graphite.{what}"), why);
        check_address(&self.address, "carbon.example.com:2003")
            .map_err(|why| wrong("address", why))?;
        check_prefix("graphite", &self.prefix, MAX_PREFIX)?;
        check_interval("graphite", self.interval)?;
        if self.interval.subsec_nanos() != 0 {
            let why = format!(
                "{} ms is no whole number of seconds",
                self.interval.as_millis()
            );
            return Err(wrong("interval", why));
        }
        self.check_web()
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

    fn replaces(&self) -> bool {
        true
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
        self.options.encode(parcel)
    }

    fn send(&mut self, packet: &Packet, within: Duration) -> Result<(), Unsent> {
        match &mut self.wire {
            Wire::Stream(tcp) => tcp.send(&packet.bytes, within),
            Wire::Datagrams(udp) => {
                check_size(packet, DATAGRAM)?;
                udp.send(&packet.bytes, within)
            }
        }
    }
}

impl Graphite {
    fn encode(&self, parcel: &Parcel) -> Vec<Packet> {
        let mut lines = Lines::new(if self.udp { DATAGRAM } else { MAX_PIECE });
        match parcel {
            Parcel::Report(report) if self.tags => self.add_tagged(report, &mut lines),
            Parcel::Report(report) => self.add_named(report, &mut lines),
            Parcel::Event(event) => self.add_event(event, &mut lines),
            _ => {}
        }
        lines.into_packets()
    }

    fn shape(&self, style: Style) -> Shape {
        Shape {
            style,
            buckets: self.buckets,
            whole: false,
            calls_by_route: self.calls_by_route,
            says_count: true,
        }
    }

    fn add_named(&self, report: &Report, lines: &mut Lines) {
        let origin = &report.origin;
        let mut beginning = format!("{}.{}.", self.prefix, part(&origin.host));
        if let Some(worker) = &origin.worker {
            let _ = write!(beginning, "{}.", part(worker));
        }
        for flat in flatten(report.since_of_all(), &self.shape(Style::Names)) {
            add_line(&beginning, &flat, "", report.at, lines);
        }
    }

    fn add_tagged(&self, report: &Report, lines: &mut Lines) {
        let beginning = format!("{}.", self.prefix);
        for series in &report.since {
            let flats = flatten(&series.samples, &self.shape(Style::Tags(tag_value)));
            // A dozen numbers have the same tags, which are written once.
            let mut written: HashMap<*const Tags, String> = HashMap::new();
            for flat in &flats {
                let tags = written
                    .entry(Arc::as_ptr(&flat.tags))
                    .or_insert_with(|| tags(&flat.tags, &report.origin, series.version.as_deref()));
                add_line(&beginning, flat, tags, report.at, lines);
            }
        }
    }

    fn add_event(&self, event: &Event, lines: &mut Lines) {
        let (prefix, kind) = (&self.prefix, event.kind.as_str());
        let at = event.at / 1_000_000_000;
        lines.push(&format!("{prefix}.events.{kind} 1 {at}\n"), 1);
    }
}

fn add_line(beginning: &str, flat: &Flat, tags: &str, at: u64, lines: &mut Lines) {
    let (FlatValue::Count(value) | FlatValue::Level(value)) = flat.value else {
        return;
    };
    if let Some(value) = number(value) {
        let (name, at) = (&flat.name, at / 1_000_000_000);
        let le = flat.le.map(|le| format!(";le={}", bound(le)));
        let le = le.unwrap_or_default();
        lines.push(&format!("{beginning}{name}{tags}{le} {value} {at}\n"), 1);
    }
}

/// A series' tags with those that say who reports, in the order in which carbon puts them. It does so
/// itself, so one more can stand behind.
fn tags(of_series: &Tags, origin: &Origin, version: Option<&str>) -> String {
    let ours = [
        ("host", Some(&*origin.host)),
        ("worker", origin.worker.as_deref()),
        ("version", version),
    ];
    let is_there = |name: &str| of_series.iter().any(|(there, _)| there == name);
    let of_series = of_series
        .iter()
        .map(|(name, value)| format!(";{name}={value}"));
    let mut all: Vec<String> = of_series.collect();
    for (name, value) in ours {
        if let Some(value) = value.filter(|_| !is_there(name)) {
            all.push(format!(";{name}={}", tag_value(value)));
        }
    }
    all.sort();
    all.concat()
}

fn tag_value(text: &str) -> String {
    let safe = |character: char| match character {
        ';' | '"' => '_',
        character if character.is_ascii_graphic() => character,
        _ => '_',
    };
    let mut value: String = text.chars().map(safe).collect();
    if value.is_empty() || value.starts_with('~') {
        value.replace_range(..value.len().min(1), "_");
    }
    cut_name(value, text, MAX_TAG)
}

#[cfg(test)]
mod tests;
