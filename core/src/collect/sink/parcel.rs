//! What a metric sink is given, and what it makes of it.

use crate::collect::kept::Kept;
use crate::collect::series::{Sample, Series};
use crate::collect::{Event, LogEvent};
use std::sync::Arc;
use std::time::Duration;

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) host: String,
    /// What tells this process from others of its application, where each reports for itself.
    pub(crate) worker: Option<String>,
}

/// What was counted.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The moment that it is told of, nanoseconds since 1970: now; or for sinks whose later reports
    /// replace earlier ones ([`SinkConfig::replaces`](super::destination::SinkConfig::replaces)) the
    /// beginning of the interval.
    pub(crate) at: u64,
    pub(crate) interval: Duration,
    pub(crate) origin: Origin,
    /// Since the beginning; one for each version of the application, the newest first.
    pub(crate) total: Vec<Series>,
    /// Since the sink's last report; likewise.
    pub(crate) since: Vec<Series>,
}

impl Report {
    /// How long it took to count what is in it; `None` where that is not known.
    pub(crate) fn took(&self) -> Option<Duration> {
        // What belongs to the process is counted for as long as there are processes.
        let process = self.since.iter().find(|series| series.version.is_none())?;
        let took = process.at.checked_sub(process.since)?;
        (process.since != 0 && took != 0).then(|| Duration::from_nanos(took))
    }

    /// What was counted in the interval, whatever the version.
    pub(crate) fn since_of_all(&self) -> impl Iterator<Item = &Sample> {
        self.since.iter().flat_map(|series| &series.samples)
    }
}

/// One thing to be sent.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    Report(Arc<Report>),
    Event(Arc<Event>),
    Kept(Arc<Kept>),
    /// What the profiler itself has to say to the operator.
    Notice(Arc<LogEvent>),
}

/// Bytes to be sent in one go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    /// How many values are in it, or events.
    pub(crate) points: u64,
    /// Where at the other end, for sinks that have several places there.
    pub(crate) place: &'static str,
}

/// Why a packet was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The other end is not to be had: try again later.
    Later(String),
    /// It said itself when to try again.
    After(Duration, String),
    /// Nothing went wrong, but the sink sends no more before so long.
    NotYet(Duration),
    /// It took this one, but for so many of its points, which it will never take; or there is
    /// something to say of it.
    Partly(u64, String),
    /// It will never take this one.
    Never(String),
}

/// Encodes and sends, on the sink's own thread. Encoding looks at nothing but what it is given, so
/// that it can be tested by itself.
pub(crate) trait MetricSink: Send {
    fn encode(&mut self, parcel: &Parcel) -> Vec<Packet>;

    /// Takes the packet that waits behind another into that one, so that both are sent in one go.
    /// `false` where that is not to be.
    fn join(&mut self, first: &mut Packet, next: &Packet) -> bool {
        let _ = (first, next);
        false
    }

    /// Sends one packet, or says why not, within the time given.
    fn send(&mut self, packet: &Packet, within: Duration) -> Result<(), Unsent>;
}
