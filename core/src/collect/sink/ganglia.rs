//! Ganglia: what `gmetric` sends to gmond, in XDR, a datagram for each message.
//!
//! Format: `gm_protocol.x` of Ganglia 3.1 and later. All numbers are 32 bits, the highest byte first; a
//! text is its length, its bytes, and zeros up to a multiple of four.
//!
//! ```text
//! 128 HOST NAME SPOOF TYPE NAME UNITS SLOPE TMAX DMAX 1 "GROUP" PREFIX      what a series is
//! 133 HOST NAME SPOOF "%s" VALUE                                            its value, as text
//! ```
//!
//! with the type `double`, the slope 3 (both), and a value as people write it. gmond forgets what a
//! series is when it is started anew and then ignores its values, so that is sent again once a
//! minute. `TMAX` is the interval and `DMAX` four of them: a process that is gone takes its series with
//! it. gmond knows the machine by the sender's address, unless [`spoof`](Ganglia::spoof) names another.
//!
//! # Names
//!
//! They are listed in [`flat`](super::flat), behind the prefix and in a process without `state_dir` the
//! worker: `ioprofiler.request.listing_id.p95`. gmond writes names and units into its XML as they
//! come, so they are made of letters, digits, `-`, `_` and dots; what is longer than 200 bytes is cut,
//! with eight digits of its hash behind.
//!
//! | what | units |
//! | --- | --- |
//! | counts: `….count`, `….errors`, `….le.5ms`, the application's counters | `per second`, so that a longer or a shorter interval shows the same |
//! | time of calls: `….time` | `ms per second`: a thousand is one call going on all the time |
//! | durations: `….p95` | `ms` |
//! | gauges | `count`, `s`, `bytes`, `ratio` |
//!
//! Ganglia keeps a file for each of them on each machine. So the calls of each route and counts by
//! duration are only sent where they are asked for.
//!
//! Ganglia has no place for events. The version that was deployed is `deploy.timestamp.VERSION`.

use super::destination::{Destination, SinkConfig, Wants, check_interval};
use super::flat::{
    Flat, FlatUnit, FlatValue, Shape, Style, check_prefix, cut_name, flatten, number, part,
};
use super::net::{Multicast, Udp, check_address, is_host};
use super::parcel::{MetricSink, Packet, Parcel, Report, Unsent};
use crate::collect::config::{Configurable, Key};
use crate::error::Error;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// gmond ignores what is longer than 1,464 bytes.
const MAX_MESSAGE: usize = 1_464;
/// RRD files are called as series are, and a file system takes 255 bytes.
const MAX_NAME: usize = 200;
/// What a series is, is said so often, in nanoseconds.
const SAY_AGAIN_NS: u64 = 60_000_000_000;
/// Who was not heard of for longer is forgotten.
const FORGET_NS: u64 = 3_600_000_000_000;

const METADATA: u32 = 128;
const TEXT_VALUE: u32 = 133;
const SLOPE_BOTH: u32 = 3;

/// Sends to Ganglia's gmond, in datagrams.
///
/// ```
/// use ioprofiler::sinks::Ganglia;
/// use ioprofiler::Profiler;
/// # fn main() -> Result<(), ioprofiler::Error> {
/// let profiler = Profiler::builder()
///     .send_to(Ganglia::to("239.2.11.71:8649").prefix("shop"))
///     .build()?;
/// # let _ = profiler;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Ganglia {
    pub(crate) address: String,
    pub(crate) prefix: String,
    pub(crate) interval: Duration,
    pub(crate) buckets: bool,
    pub(crate) calls_by_route: bool,
    pub(crate) interface: Option<Ipv4Addr>,
    pub(crate) ttl: u8,
    pub(crate) spoof: Option<(String, String)>,
}

impl Default for Ganglia {
    fn default() -> Self {
        Self {
            address: String::new(),
            prefix: "ioprofiler".to_owned(),
            interval: Duration::from_secs(60),
            buckets: false,
            calls_by_route: false,
            interface: None,
            ttl: 1,
            spoof: None,
        }
    }
}

impl Ganglia {
    /// To gmond, `HOST:PORT`: the address of its `udp_send_channel`, that of one machine or of a
    /// multicast group, usually `239.2.11.71:8649`.
    #[must_use]
    pub fn to(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            ..Self::default()
        }
    }

    /// What names begin with, and the group under which Ganglia shows them: at most 64 bytes; may
    /// have dots. Default `ioprofiler`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How often. Default 60 seconds.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sends counts by duration beside percentiles. Default: no.
    #[must_use]
    pub fn buckets(mut self, buckets: bool) -> Self {
        self.buckets = buckets;
        self
    }

    /// Sends the calls of each route, beside those of all. Default: no.
    #[must_use]
    pub fn calls_by_route(mut self, by_route: bool) -> Self {
        self.calls_by_route = by_route;
        self
    }

    /// The address of the network interface that multicast leaves by: what gmond's `mcast_if` is on.
    /// Default: what the system's routes say.
    #[must_use]
    pub fn interface(mut self, address: Ipv4Addr) -> Self {
        self.interface = Some(address);
        self
    }

    /// How many routers multicast passes, one more; at least 1. Default 1, as in gmond.
    #[must_use]
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Reports for another machine, by its address and name: what gmond's `override_ip` and
    /// `override_hostname` are, for containers whose own address nobody knows. Default: gmond looks
    /// up the name of the sender's address.
    #[must_use]
    pub fn spoof(mut self, address: impl Into<String>, host: impl Into<String>) -> Self {
        self.spoof = Some((address.into(), host.into()));
        self
    }
}

impl Configurable for Ganglia {
    const NAME: &'static str = "ganglia";
    const KEYS: &'static [Key<Self>] = &[
        Key("address", |ganglia, setting| {
            setting.text(&mut ganglia.address)
        }),
        Key("prefix", |ganglia, setting| {
            setting.text(&mut ganglia.prefix)
        }),
        Key("interval", |ganglia, setting| {
            setting.duration(&mut ganglia.interval)
        }),
        Key("buckets", |ganglia, setting| {
            setting.switch(&mut ganglia.buckets)
        }),
        Key("calls_by_route", |ganglia, setting| {
            setting.switch(&mut ganglia.calls_by_route)
        }),
        Key("interface", |ganglia, setting| {
            let wanted = "address of IPv4, as in \"10.1.2.3\"";
            setting.parsed(&mut ganglia.interface, wanted, |text| {
                text.parse().ok().map(Some)
            })
        }),
        Key("ttl", |ganglia, setting| setting.number(&mut ganglia.ttl)),
        Key("spoof", |ganglia, setting| {
            let wanted = "ADDRESS:NAME of a machine, as in \"10.1.2.3:web0022\"";
            setting.parsed(&mut ganglia.spoof, wanted, |text| {
                let (address, host) = text.split_once(':')?;
                Some(Some((address.to_owned(), host.to_owned())))
            })
        }),
    ];
}

impl From<Ganglia> for Destination {
    fn from(ganglia: Ganglia) -> Self {
        Self(Arc::new(ganglia))
    }
}

impl SinkConfig for Ganglia {
    fn name(&self) -> &'static str {
        "ganglia"
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str, why: String| Error::of(format!("ganglia.{what}"), why);
        check_address(&self.address, "239.2.11.71:8649").map_err(|why| wrong("address", why))?;
        check_prefix("ganglia", &self.prefix, MAX_PREFIX)?;
        check_interval("ganglia", self.interval)?;
        if self.ttl == 0 {
            return Err(wrong("ttl", "0 is not between 1 and 255".to_owned()));
        }
        if let Some((address, host)) = &self.spoof {
            if !is_host(address) {
                let why = format!("{address:?} is no address, as in \"10.1.2.3\"");
                return Err(wrong("spoof", why));
            }
            if !is_host(host) {
                let why = format!("{host:?} is no name of a machine, as in \"web0022\"");
                return Err(wrong("spoof", why));
            }
        }
        Ok(())
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn wants(&self) -> Wants {
        Wants {
            series: true,
            events: false,
            kept: false,
        }
    }

    fn is_datagram(&self) -> bool {
        true
    }

    fn make(&self) -> Box<dyn MetricSink> {
        let multicast = Multicast {
            interface: self.interface,
            ttl: self.ttl,
        };
        Box::new(Sender {
            encoder: Encoder::new(self.clone()),
            udp: Udp::new(&self.address).multicast(multicast),
        })
    }
}

/// A longer prefix would leave too little of a name.
const MAX_PREFIX: usize = 64;

struct Sender {
    encoder: Encoder,
    udp: Udp,
}

impl MetricSink for Sender {
    fn encode(&mut self, parcel: &Parcel) -> Vec<Packet> {
        match parcel {
            Parcel::Report(report) => self.encoder.encode(report),
            _ => Vec::new(),
        }
    }

    fn send(&mut self, packet: &Packet, within: Duration) -> Result<(), Unsent> {
        let size = packet.bytes.len();
        if size > MAX_MESSAGE {
            let why = format!("a message of {size} bytes is longer than gmond's {MAX_MESSAGE}");
            return Err(Unsent::Never(why));
        }
        self.udp.send(&packet.bytes, within)
    }
}

struct Encoder {
    options: Ganglia,
    /// When gmond was last told what a series is.
    told: HashMap<String, u64>,
}

impl Encoder {
    fn new(options: Ganglia) -> Self {
        Self {
            options,
            told: HashMap::new(),
        }
    }

    fn encode(&mut self, report: &Report) -> Vec<Packet> {
        let shape = Shape {
            style: Style::Names,
            buckets: self.options.buckets,
            whole: false,
            calls_by_route: self.options.calls_by_route,
            says_count: true,
        };
        let (host, is_spoofed) = match &self.options.spoof {
            Some((address, host)) => (format!("{address}:{host}"), 1),
            // gmond takes the sender's address for it.
            None => (part(&report.origin.host), 0),
        };
        let took = report.took().unwrap_or(report.interval);
        let mut packets = Vec::new();
        for flat in flatten(report.since_of_all(), &shape) {
            let Some((value, units)) = value(&flat, took) else {
                continue;
            };
            let name = self.name(report, &flat.name);
            let begin = |kind| {
                Message::new(kind)
                    .text(&host)
                    .text(&name)
                    .number(is_spoofed)
            };
            if self.is_to_be_told(&name, report.at) {
                packets.push(self.metadata(begin(METADATA), &name, units).packet(0));
            }
            packets.push(begin(TEXT_VALUE).text("%s").text(&value).packet(1));
        }
        let at = report.at;
        self.told
            .retain(|_, told_at| at.saturating_sub(*told_at) < FORGET_NS);
        packets
    }

    fn name(&self, report: &Report, name: &str) -> String {
        let prefix = &self.options.prefix;
        let whole = match &report.origin.worker {
            Some(worker) => format!("{prefix}.{}.{name}", part(worker)),
            None => format!("{prefix}.{name}"),
        };
        cut_name(whole.clone(), &whole, MAX_NAME)
    }

    fn is_to_be_told(&mut self, name: &str, at: u64) -> bool {
        let told_at = self.told.get(name);
        let is_old = told_at.is_none_or(|told_at| {
            // A clock that was put back says nothing.
            at < *told_at || at - told_at >= SAY_AGAIN_NS
        });
        if is_old {
            self.told.insert(name.to_owned(), at);
        }
        is_old
    }

    fn metadata(&self, begun: Message, name: &str, units: &str) -> Message {
        let seconds = u32::try_from(self.options.interval.as_secs()).unwrap_or(u32::MAX);
        begun
            .text("double")
            .text(name)
            .text(units)
            .number(SLOPE_BOTH)
            .number(seconds.max(1))
            .number(seconds.max(1).saturating_mul(4))
            .number(1)
            .text("GROUP")
            .text(&self.options.prefix)
    }
}

/// The value of a series as gmond gets it, and its units.
fn value(flat: &Flat, took: Duration) -> Option<(String, &'static str)> {
    match (&flat.value, flat.unit) {
        (FlatValue::Count(count), unit) => {
            let each = count / took.as_secs_f64().max(1e-3);
            let units = match unit {
                FlatUnit::Milliseconds => "ms per second",
                _ => "per second",
            };
            Some((number((each * 1e6).round() / 1e6)?, units))
        }
        (FlatValue::Level(level), unit) => {
            let units = match unit {
                FlatUnit::Count => "count",
                FlatUnit::Milliseconds => "ms",
                FlatUnit::Seconds => "s",
                FlatUnit::Bytes => "bytes",
                FlatUnit::Ratio => "ratio",
            };
            Some((number(*level)?, units))
        }
        (FlatValue::Durations(_), _) => None,
    }
}

/// A message in XDR.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u32) -> Self {
        Self(Vec::with_capacity(256)).number(kind)
    }

    fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn text(self, text: &str) -> Self {
        // All texts are short by then; a longer one would be refused as a whole.
        let mut message = self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        message.0.extend_from_slice(text.as_bytes());
        let padded = message.0.len().next_multiple_of(4);
        message.0.resize(padded, 0);
        message
    }

    fn packet(self, points: u64) -> Packet {
        Packet {
            bytes: self.0,
            points,
            place: "",
        }
    }
}

#[cfg(test)]
mod tests;
