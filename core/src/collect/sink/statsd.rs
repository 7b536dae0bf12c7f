//! StatsD: `NAME:VALUE|TYPE`, lines in datagrams, to a server that adds up what many machines send.
//!
//! Format: etsy's [`metric_types.md`](https://github.com/statsd/statsd/blob/master/docs/metric_types.md),
//! and Datadog's [Datagram Format](https://docs.datadoghq.com/extend/dogstatsd/datagram_shell) with
//! tags and several values in a line (protocol 1.1, from Agent 7.25 on). What a datagram has no room
//! for is in the next; a line is never cut. Zero counts are not sent: the server goes on with zero.
//!
//! # etsy
//!
//! Names are those of [`flat`](super::flat) behind the prefix. What the server adds up over machines
//! has no machine in its name; gauges, of which it keeps the last, have the machine's, and in a process
//! without `state_dir` the worker's:
//!
//! ```text
//! ioprofiler.request.listing_id:11.967|ms|@0.1
//! ioprofiler.request.listing_id.errors:2|c
//! ioprofiler.registrations:3|c
//! ioprofiler.web0022.request.live:4|g
//! ioprofiler.events.deploy:1|c
//! ```
//!
//! so with the server's own prefixes `stats.timers.ioprofiler.request.listing_id.upper_90`,
//! `stats.counters.ioprofiler.registrations.rate`, `stats.gauges.ioprofiler.web0022.request.live`. A gauge
//! below zero is set to zero first, in the same datagram, since a sign says "change by".
//!
//! # dogstatsd
//!
//! Names are those of [`METRICS`](crate::collect::series::METRICS) behind the prefix, their labels are
//! tags, and so is the application's version; counters of time end in `.time` and are milliseconds, as
//! are durations. Of a tag's value all that is no letter, digit, `_`, `-`, `:`, `.` or `/` becomes `_`.
//! The machine's name is the agent's to add. Gauges have the worker as a tag where there is no
//! `state_dir`.
//!
//! ```text
//! ioprofiler.request.duration:11.967:3.1|d|#kind:web,method:GET,outcome:ok,route:/listing/_id,status:200
//! ioprofiler.call.errors:2|c|#category:dbshard01,kind:web
//! ioprofiler.request.live:4|g
//! _e{11,35}:deploy 8c1f|deploy 8c1f: new search, by erika|d:1774321927|t:info|#kind:deploy,version:8c1f
//! ```
//!
//! # Durations
//!
//! Percentiles of machines do not add up to those of a site, so by default the server gets
//! [samples](StatsdTimings::Samples), and its own percentiles are right. All durations of an interval
//! in ascending order are parted into at most [`samples`](Statsd::samples) groups of the same size,
//! and each is sent as its mean, with the rate that brings the count to what it was: counts are exact,
//! percentiles and means are right to a hundredth, and a page that is served a thousand times as often
//! costs no more. Up to that number each duration is sent. Datadog's agent respects the rate in its
//! percentiles, and gets the longest duration as it is; etsy's server only in its counts, so that there
//! `upper` is the mean of the slowest hundredth.
//!
//! With [gauges](StatsdTimings::Gauges) it gets each machine's own `mean`, `p50`, `p95`, `p99`, `max`, and
//! counts by duration, which can be added up.
//!
//! What 50 busy routes, calls of 20 categories and 300 counters come to in each interval, in datagrams
//! of 1,432 bytes:
//!
//! | | etsy | dogstatsd |
//! | --- | --- | --- |
//! | samples, at most 100 | 331 | 97 |
//! | samples, at most 20 | 77 | |
//! | samples, calls by route as well | | 744 |
//! | gauges | 60 | 104 |
//! | gauges without buckets | 28 | |
//!
//! They are sent at no more than 1,600 a second, since a reader has room for some 90 until it reads on.

use super::destination::{Destination, SinkConfig, Wants, check_interval};
use super::flat::{MAX_PREFIX, check_prefix};
use super::lines::{DATAGRAM, Lines, check_size};
use super::net::{Udp, check_address};
use super::parcel::{MetricSink, Packet, Parcel, Unsent};
use crate::collect::config::{Configurable, Key};
use crate::error::Error;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

mod dogstatsd;
mod etsy;
mod samples;

/// No datagram is longer.
const LONGEST_DATAGRAM: usize = 65_507;

/// What a StatsD server understands.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StatsdDialect {
    /// What etsy's StatsD and all others do: names and numbers. `etsy`.
    #[default]
    Etsy,
    /// What Datadog's agent does: tags, distributions, events. `dogstatsd`.
    Dogstatsd,
}

impl FromStr for StatsdDialect {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "etsy" => Ok(Self::Etsy),
            "dogstatsd" => Ok(Self::Dogstatsd),
            _ => Err(Error::new(format!(
                "statsd.dialect: {text:?} is neither \"etsy\" nor \"dogstatsd\""
            ))),
        }
    }
}

/// How durations are sent to StatsD.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StatsdTimings {
    /// As samples, of which the server makes percentiles. `samples`.
    #[default]
    Samples,
    /// As percentiles of each machine, and counts by duration. `gauges`.
    Gauges,
}

impl FromStr for StatsdTimings {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "samples" => Ok(Self::Samples),
            "gauges" => Ok(Self::Gauges),
            _ => Err(Error::new(format!(
                "statsd.timings: {text:?} is neither \"samples\" nor \"gauges\""
            ))),
        }
    }
}

/// Sends to StatsD, in datagrams: after the answer also in a profiler without threads.
///
/// ```
/// use ioprofiler::sinks::{Statsd, StatsdDialect};
/// use ioprofiler::Profiler;
/// # fn main() -> Result<(), ioprofiler::Error> {
/// let profiler = Profiler::builder()
///     .send_to(Statsd::to("127.0.0.1:8125").dialect(StatsdDialect::Dogstatsd).tag("env", "production"))
///     .build()?;
/// # let _ = profiler;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Statsd {
    pub(crate) address: String,
    pub(crate) dialect: StatsdDialect,
    pub(crate) prefix: String,
    pub(crate) interval: Duration,
    pub(crate) timings: StatsdTimings,
    pub(crate) samples: usize,
    pub(crate) buckets: bool,
    pub(crate) calls_by_route: bool,
    pub(crate) max_datagram: usize,
    pub(crate) tags: Vec<(String, String)>,
}

impl Default for Statsd {
    fn default() -> Self {
        Self {
            address: String::new(),
            dialect: StatsdDialect::Etsy,
            prefix: "ioprofiler".to_owned(),
            interval: Duration::from_secs(10),
            timings: StatsdTimings::Samples,
            samples: 100,
            buckets: true,
            calls_by_route: false,
            max_datagram: DATAGRAM,
            tags: Vec::new(),
        }
    }
}

impl Statsd {
    /// To a server, `HOST:PORT`; 8125 usually, on the same machine best.
    #[must_use]
    pub fn to(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            ..Self::default()
        }
    }

    /// What the server understands. Default [`StatsdDialect::Etsy`].
    #[must_use]
    pub fn dialect(mut self, dialect: StatsdDialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// What names begin with: at most 128 bytes; may have dots. Default `ioprofiler`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How often. Default 10 seconds, as often as servers usually hand on what they have.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How durations are sent. Default [`StatsdTimings::Samples`].
    #[must_use]
    pub fn timings(mut self, timings: StatsdTimings) -> Self {
        self.timings = timings;
        self
    }

    /// At most so many samples of a series in an interval, 10 to 1,000. Default 100, so that a
    /// 99th percentile is one.
    #[must_use]
    pub fn samples(mut self, most: usize) -> Self {
        self.samples = most;
        self
    }

    /// Sends counts by duration, where durations are [gauges](StatsdTimings::Gauges). Default: yes.
    #[must_use]
    pub fn buckets(mut self, buckets: bool) -> Self {
        self.buckets = buckets;
        self
    }

    /// Sends the calls of each route, beside (with tags: instead of) those of all. Default: no, since
    /// servers of this kind keep what they get for ever, and some let you pay for each.
    #[must_use]
    pub fn calls_by_route(mut self, by_route: bool) -> Self {
        self.calls_by_route = by_route;
        self
    }

    /// No datagram is longer than so many bytes, 256 to 65,507; a line that is longer is dropped and
    /// counted. Default 1,432, which every network carries whole; on the same machine 8,192 is quicker.
    #[must_use]
    pub fn max_datagram(mut self, bytes: usize) -> Self {
        self.max_datagram = bytes;
        self
    }

    /// One more tag that all series have: `env`, `service`. Only in the dialect `dogstatsd`.
    #[must_use]
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((name.into(), value.into()));
        self
    }

    fn check_tags(&self) -> Result<(), String> {
        if self.dialect != StatsdDialect::Dogstatsd && !self.tags.is_empty() {
            return Err("only the dialect \"dogstatsd\" has tags".to_owned());
        }
        for (name, value) in &self.tags {
            let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
            if !begins || dogstatsd::tag_name(name) != *name {
                return Err(format!(
                    "{name:?} is no letter with letters, digits, `_` and `-` behind"
                ));
            }
            if value.is_empty() || dogstatsd::tag_value(value) != *value {
                return Err(format!(
                    "the value {value:?} is not made of letters, digits, `_`, `-`, `:`, `.` and `/`"
                ));
            }
        }
        Ok(())
    }
}

impl Configurable for Statsd {
    const NAME: &'static str = "statsd";
    const KEYS: &'static [Key<Self>] = &[
        Key("address", |statsd, setting| {
            setting.text(&mut statsd.address)
        }),
        Key("dialect", |statsd, setting| {
            let choices = [
                ("etsy", StatsdDialect::Etsy),
                ("dogstatsd", StatsdDialect::Dogstatsd),
            ];
            setting.choice(&mut statsd.dialect, &choices)
        }),
        Key("prefix", |statsd, setting| setting.text(&mut statsd.prefix)),
        Key("interval", |statsd, setting| {
            setting.duration(&mut statsd.interval)
        }),
        Key("timings", |statsd, setting| {
            let choices = [
                ("samples", StatsdTimings::Samples),
                ("gauges", StatsdTimings::Gauges),
            ];
            setting.choice(&mut statsd.timings, &choices)
        }),
        Key("samples", |statsd, setting| {
            setting.number(&mut statsd.samples)
        }),
        Key("buckets", |statsd, setting| {
            setting.switch(&mut statsd.buckets)
        }),
        Key("calls_by_route", |statsd, setting| {
            setting.switch(&mut statsd.calls_by_route)
        }),
        Key("max_datagram", |statsd, setting| {
            setting.number(&mut statsd.max_datagram)
        }),
        Key("tags", |statsd, setting| setting.pairs(&mut statsd.tags)),
    ];
}

impl From<Statsd> for Destination {
    fn from(statsd: Statsd) -> Self {
        Self(Arc::new(statsd))
    }
}

impl SinkConfig for Statsd {
    fn name(&self) -> &'static str {
        "statsd"
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str, why: String| Error::of(format!("statsd.{what}"), why);
        check_address(&self.address, "127.0.0.1:8125").map_err(|why| wrong("address", why))?;
        check_prefix("statsd", &self.prefix, MAX_PREFIX)?;
        if self.dialect == StatsdDialect::Dogstatsd
            && dogstatsd::name(&self.prefix, "") != format!("{}.", self.prefix)
        {
            let why = format!(
                "{:?} is no letter with letters, digits, `_` and dots behind",
                self.prefix
            );
            return Err(wrong("prefix", why));
        }
        check_interval("statsd", self.interval)?;
        if !(10..=1_000).contains(&self.samples) {
            let why = format!("{} is not between 10 and 1000", self.samples);
            return Err(wrong("samples", why));
        }
        if !(256..=LONGEST_DATAGRAM).contains(&self.max_datagram) {
            let why = format!(
                "{} is not between 256 and {LONGEST_DATAGRAM}",
                self.max_datagram
            );
            return Err(wrong("max_datagram", why));
        }
        self.check_tags().map_err(|why| wrong("tags", why))
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

    fn is_datagram(&self) -> bool {
        true
    }

    fn make(&self) -> Box<dyn MetricSink> {
        Box::new(Sender {
            options: self.clone(),
            udp: Udp::new(&self.address),
        })
    }
}

struct Sender {
    options: Statsd,
    udp: Udp,
}

impl MetricSink for Sender {
    fn encode(&mut self, parcel: &Parcel) -> Vec<Packet> {
        self.options.encode(parcel)
    }

    fn send(&mut self, packet: &Packet, within: Duration) -> Result<(), Unsent> {
        check_size(packet, self.options.max_datagram)?;
        self.udp.send(&packet.bytes, within)
    }
}

impl Statsd {
    fn encode(&self, parcel: &Parcel) -> Vec<Packet> {
        let mut lines = Lines::new(self.max_datagram);
        match (parcel, self.dialect) {
            (Parcel::Report(report), StatsdDialect::Etsy) => {
                etsy::add_report(self, report, &mut lines);
            }
            (Parcel::Report(report), StatsdDialect::Dogstatsd) => {
                dogstatsd::add_report(self, report, &mut lines);
            }
            (Parcel::Event(event), StatsdDialect::Etsy) => {
                let (prefix, kind) = (&self.prefix, event.kind.as_str());
                lines.push(&format!("{prefix}.events.{kind}:1|c\n"), 1);
            }
            (Parcel::Event(event), StatsdDialect::Dogstatsd) => {
                dogstatsd::add_event(self, event, &mut lines);
            }
            _ => {}
        }
        lines.into_packets()
    }
}

#[cfg(test)]
mod tests;
