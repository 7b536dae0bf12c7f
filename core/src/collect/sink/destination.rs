//! Where series, events and kept requests are sent: what an operator configures.

use super::parcel::MetricSink;
use crate::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// What a sink is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) series: bool,
    pub(crate) events: bool,
    pub(crate) kept: bool,
}

/// The options of one sink.
pub(crate) trait SinkConfig: Send + Sync + std::fmt::Debug {
    /// `graphite`: what the sink is called in options, counters and messages.
    fn name(&self) -> &'static str;

    /// What is wrong with the options, naming which and what is allowed.
    fn check(&self) -> Result<(), Error>;

    /// How often it reports.
    fn interval(&self) -> Duration;

    fn wants(&self) -> Wants;

    /// Whether a later value of an interval replaces an earlier one at the other end, as in storages
    /// with one place for each interval. Its reports are then of whole intervals, and of one that has
    /// not ended, where somebody flushes, all that was counted in it.
    fn replaces(&self) -> bool {
        false
    }

    /// Whether it is told what the profiler has to say to the operator.
    fn wants_notices(&self) -> bool {
        false
    }

    /// A sink that comes with this one, for a second server: each has its own thread and backlog.
    fn beside(&self) -> Option<Arc<dyn SinkConfig>> {
        None
    }

    /// Whether it sends datagrams only, which take no time: it then also works in a profiler
    /// without threads.
    fn is_datagram(&self) -> bool;

    /// What encodes and sends: made anew in each process.
    fn make(&self) -> Box<dyn MetricSink>;
}

/// Somewhere to send to: made from the options of a sink, such as
/// [`Graphite`](crate::sinks::Graphite).
#[derive(Clone, Debug)]
pub struct Destination(pub(crate) Arc<dyn SinkConfig>);

impl Destination {
    /// All sinks that it consists of.
    pub(crate) fn configs(&self) -> impl Iterator<Item = Arc<dyn SinkConfig>> {
        std::iter::once(Arc::clone(&self.0)).chain(self.0.beside())
    }

    pub(crate) fn check(&self, threadless: bool) -> Result<(), Error> {
        self.configs().try_for_each(|config| {
            config.check()?;
            if threadless && !config.is_datagram() {
                return Err(Error::new(format!(
                    "{}: a profiler without threads can only send datagrams (udp); \
                     set a state_dir and let another process send, or use udp",
                    config.name()
                )));
            }
            Ok(())
        })
    }
}

/// Intervals that make sense: no shorter than what was counted can be told, no longer than somebody
/// waits for.
pub(crate) fn check_interval(sink: &str, interval: Duration) -> Result<(), Error> {
    let milliseconds = interval.as_millis();
    if (1_000..=3_600_000).contains(&milliseconds) {
        return Ok(());
    }
    // The standard library writes nothing as `0ns`.
    let said = if interval.is_zero() {
        "0s".to_owned()
    } else {
        format!("{interval:?}")
    };
    Err(Error::of(
        format!("{sink}.interval"),
        format_args!("{said} is not between 1s and 1h"),
    ))
}
