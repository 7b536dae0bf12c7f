//! Every series that the profiler sends by itself: its name, unit, labels and meaning.
//!
//! Names and labels are the same for every sink; each writes them in its own language, by the rules
//! of its module. What the application counts itself ([`Profiler::count`](crate::Profiler::count))
//! comes beside these.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// What the values of a series are.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeriesKind {
    /// Only grows, from the beginning of the process on.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations, counted by length.
    Distribution,
}

/// What the values of a series count.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Things: requests, calls.
    Count,
    /// Time. Counters and distributions hold nanoseconds, gauges seconds.
    Time,
    /// Bytes.
    Bytes,
}

/// How gauges of several processes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    Sum,
    Largest,
    /// The one that was set last.
    Newest,
}

/// One family of series.
#[non_exhaustive]
#[derive(Debug)]
pub struct Metric {
    /// Its name, with dots: `request.duration`.
    pub name: &'static str,
    /// What its values are.
    pub kind: SeriesKind,
    /// What they count.
    pub unit: Unit,
    /// What tells its series apart, in this order.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence.
    pub help: &'static str,
    /// Of distributions: the bounds by which counts are sent, in nanoseconds, so that they can be
    /// added up over machines. Percentiles cannot.
    pub bounds_ns: &'static [u64],
    pub(crate) together: Together,
    /// Its place in [`METRICS`].
    place: usize,
}

// There is one of each name, and its place says which.
impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Metric {}

impl PartialOrd for Metric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Metric {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl Hash for Metric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place.hash(state);
    }
}

impl Metric {
    /// Whether it says how long ago something was, which grows by itself.
    pub(crate) fn is_age(&self) -> bool {
        *self == FLAGS_CHECKED || *self == FLAGS_CHANGED
    }
}

const MS: u64 = 1_000_000;

/// Pages: those that OpenTelemetry recommends for HTTP.
const PAGE: &[u64] = &[
    5 * MS,
    10 * MS,
    25 * MS,
    50 * MS,
    75 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    750 * MS,
    1_000 * MS,
    2_500 * MS,
    5_000 * MS,
    7_500 * MS,
    10_000 * MS,
];

/// Calls: those that it recommends for databases, and a tenth and a half of a millisecond, where
/// caches answer.
const CALL: &[u64] = &[
    MS / 10,
    MS / 2,
    MS,
    5 * MS,
    10 * MS,
    50 * MS,
    100 * MS,
    500 * MS,
    1_000 * MS,
    5_000 * MS,
    10_000 * MS,
];

/// The bounds by which the application's own timings are counted, in nanoseconds: they may be of pages
/// and of calls.
pub static OWN_BOUNDS_NS: &[u64] = &[
    MS / 10,
    MS / 2,
    MS,
    5 * MS,
    10 * MS,
    50 * MS,
    100 * MS,
    250 * MS,
    500 * MS,
    1_000 * MS,
    2_500 * MS,
    5_000 * MS,
    10_000 * MS,
];

macro_rules! metrics {
    (@place $place:expr, $name:ident $text:literal $kind:ident $unit:ident [$($label:literal)*] $together:ident $bounds:expr, $help:literal; $($rest:tt)*) => {
        pub(crate) static $name: Metric = Metric {
            name: $text,
            kind: SeriesKind::$kind,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: $help,
            bounds_ns: $bounds,
            together: Together::$together,
            place: $place,
        };
        metrics! { @place $place + 1, $($rest)* }
    };
    (@place $place:expr,) => {};
    ($($name:ident $text:literal $kind:ident $unit:ident [$($label:literal)*] $together:ident $bounds:expr, $help:literal;)*) => {
        metrics! { @place 0, $($name $text $kind $unit [$($label)*] $together $bounds, $help;)* }

        /// All of them, in the order in which they are shown.
        pub static METRICS: &[&Metric] = &[$(&$name),*];
    };
}

metrics! {
    REQUEST_DURATION "request.duration" Distribution Time ["kind" "route" "method" "status" "outcome"] Sum PAGE,
        "Requests that ended, by how long they took from begin to end.";
    REQUEST_IO "request.io" Counter Time ["kind" "route"] Sum &[],
        "Time of requests during which at least one call of theirs was going on.";
    REQUEST_OTHER "request.other" Counter Time ["kind" "route"] Sum &[],
        "The rest of the time of requests: their own computing, and waiting that nobody recorded.";
    REQUEST_LIVE "request.live" Gauge Count [] Sum &[],
        "Requests that are being served now.";
    REQUEST_STUCK "request.stuck" Gauge Count [] Sum &[],
        "Requests that are being served for longer than `stuck_after`.";
    CALL_DURATION "call.duration" Distribution Time ["kind" "route" "category"] Sum CALL,
        "Calls that requests made, by how long they took; without those of dark work.";
    CALL_ERRORS "call.errors" Counter Count ["kind" "route" "category"] Sum &[],
        "Calls that failed.";
    CALL_CANCELLED "call.cancelled" Counter Count ["kind" "route" "category"] Sum &[],
        "Calls whose future was dropped before it was ready.";
    CALL_HITS "call.hits" Counter Count ["kind" "route" "category"] Sum &[],
        "Keys that calls asked for and found.";
    CALL_MISSES "call.misses" Counter Count ["kind" "route" "category"] Sum &[],
        "Keys that calls asked for and did not find.";
    FLAG_REQUEST_DURATION "flag.request.duration" Distribution Time ["flag" "variant"] Sum PAGE,
        "Requests that asked for a flag, by how long they took and by what the flag was.";
    FLAG_CALLS "flag.calls" Counter Count ["flag" "variant" "category"] Sum &[],
        "Calls of the requests that asked for a flag.";
    FLAG_CALL_TIME "flag.call" Counter Time ["flag" "variant" "category"] Sum &[],
        "Time of the calls of the requests that asked for a flag.";
    DARK_DURATION "dark.duration" Distribution Time ["flag"] Sum PAGE,
        "Dark work, by how long it took.";
    DARK_ERRORS "dark.errors" Counter Count ["flag"] Sum &[],
        "Dark work that failed.";
    FLAGS_CHECKED "flags.checked.age" Gauge Time [] Largest &[],
        "How long ago the files of the flags were last looked at, by the process that looked longest ago.";
    FLAGS_CHANGED "flags.changed.age" Gauge Time [] Largest &[],
        "How long ago the flags in force last changed.";
    FLAGS_PROBLEMS "flags.problems" Gauge Count [] Largest &[],
        "Errors in the files of the flags.";
    FLAGS_SHED "flags.shed.from" Gauge Count [] Largest &[],
        "Flags of this priority and higher numbers are shed; 0 where nothing is.";
    FLAGS_INFO "flags.info" Gauge Count ["version"] Sum &[],
        "Processes that go by this version of the flags.";
    PROCESS_LIVE "process.live" Gauge Count [] Sum &[],
        "Processes that report.";
    PROCESS_MEMORY "process.memory" Gauge Bytes [] Sum &[],
        "Resident memory of the processes.";
    BUILD_INFO "build.info" Gauge Count ["version"] Sum &[],
        "Processes that run this version of the application.";
    DEPLOY_TIME "deploy.timestamp" Gauge Time ["version"] Largest &[],
        "When this version was deployed, in seconds since 1970.";
    PROFILER_TIME "profiler" Counter Time [] Sum &[],
        "What recording calls cost, an estimate.";
    PROFILER_OUTSIDE "profiler.calls.outside" Counter Count [] Sum &[],
        "Calls that happened outside any request.";
    PROFILER_DROPPED "profiler.dropped" Counter Count ["reason"] Sum &[],
        "What the profiler did not keep, by reason: see `collect::series::DROPS`.";
    SINK_POINTS "sink.points" Counter Count ["sink" "result"] Sum &[],
        "Values handed to sinks, by what became of them: `sent`, `dropped`.";
}

/// What `profiler.dropped` counts, by its label `reason`.
pub static DROPS: &[(&str, &str)] = &[
    (
        "queue",
        "Finished requests that no log and no keeper saw, because the queue was full; their totals were counted.",
    ),
    (
        "spans",
        "Calls that no list shows, because a limit was reached; their totals were counted.",
    ),
    (
        "requests",
        "Requests that were not observed, because too many lived.",
    ),
    (
        "log_queue",
        "Lines of the access log, because its queue was full.",
    ),
    (
        "log_failed",
        "Lines of the access log that could not be written.",
    ),
    ("notes", "Notes that came too late or were too many."),
    ("late", "Calls that began or ended after their request."),
    (
        "series",
        "Requests and calls counted under `other`, because there were too many series.",
    ),
    (
        "metrics",
        "Values of the application's own metrics whose names were too many or none.",
    ),
    ("events", "Events that were too many."),
    ("panics", "Panics of sinks and callbacks, caught."),
];

/// The metric of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    METRICS.iter().copied().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_different_and_bounds_ascend() {
        let names: HashSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.bounds_ns.is_sorted_by(|a, b| a < b), "{metric:?}");
            let counted = metric.kind == SeriesKind::Distribution;
            assert_eq!(counted, !metric.bounds_ns.is_empty(), "{metric:?}");
            assert!(metric.help.ends_with(['.', '`']), "{metric:?}");
        }
        assert!(OWN_BOUNDS_NS.is_sorted_by(|a, b| a < b));
    }
}
