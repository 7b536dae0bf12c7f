//! Where finished profiles go.

pub mod access_log;
#[cfg_attr(
    not(all(feature = "graphite", feature = "statsd", feature = "ganglia")),
    allow(dead_code, reason = "what a sink needs that is not built")
)]
pub(crate) mod destination;
#[cfg(any(feature = "graphite", feature = "statsd", feature = "ganglia"))]
#[cfg_attr(
    not(all(feature = "graphite", feature = "statsd", feature = "ganglia")),
    allow(dead_code, reason = "what a sink needs that is not built")
)]
pub mod flat;
#[cfg(feature = "ganglia")]
pub mod ganglia;
#[cfg(feature = "graphite")]
pub mod graphite;
#[cfg(all(feature = "graphite", feature = "http"))]
mod graphite_web;
#[cfg(feature = "http")]
#[cfg_attr(
    not(any(feature = "graphite", feature = "otlp", feature = "webhook")),
    allow(dead_code, reason = "no sink is built that sends by it")
)]
pub(crate) mod http;
#[cfg(any(feature = "graphite", feature = "statsd"))]
pub(crate) mod lines;
pub mod memory;
#[cfg(any(
    feature = "graphite",
    feature = "statsd",
    feature = "ganglia",
    feature = "http"
))]
#[cfg_attr(
    not(all(feature = "graphite", feature = "statsd", feature = "ganglia")),
    allow(dead_code, reason = "what a sink needs that is not built")
)]
pub(crate) mod net;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
pub(crate) mod outbox;
#[cfg_attr(
    not(all(
        feature = "graphite",
        feature = "statsd",
        feature = "ganglia",
        feature = "otlp",
        feature = "webhook"
    )),
    allow(dead_code, reason = "what a sink needs that is not built")
)]
pub(crate) mod parcel;
mod pause;
#[cfg(feature = "prometheus")]
pub(crate) mod prometheus;
#[cfg(feature = "statsd")]
pub mod statsd;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(feature = "webhook")]
pub(crate) mod webhook;

use crate::profile::{RequestKind, State};
use crate::request::Profile;
use std::time::Duration;

/// A place that finished profiles go to.
///
/// Called by one thread at a time, the collector's: it may take its time, but what it takes, other
/// sinks of the same profiler wait for. A panic is caught and counted.
pub trait Sink: Send + 'static {
    /// Whether this request's profile is wanted. Asked where the request ended, on a page's own
    /// thread: it must not block. A request that no sink wants costs nothing more.
    fn wants(ended: &Ended) -> bool
    where
        Self: Sized,
    {
        let _ = ended;
        true
    }

    /// Takes a profile. Its data is built when first read.
    fn take(&mut self, profile: &Profile);

    /// Sends what was kept back, within a deadline. `false` when that was not possible.
    fn flush(&mut self, within: Duration) -> bool {
        let _ = within;
        true
    }
}

/// What is known of a request the moment it ends, without reading its calls.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Web, job or command.
    pub kind: RequestKind,
    /// How it ended.
    pub state: State,
    /// The answer's status.
    pub status: Option<u16>,
    /// Whether something went wrong.
    pub error: bool,
    /// From begin to end. Nanoseconds.
    pub page_ns: u64,
}
