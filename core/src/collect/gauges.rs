//! What a process knows of itself when it is asked: memory, what it was not able to keep, how old
//! its flags are.

use super::series::{BUILD_INFO, Metric};
use super::series::{
    DEPLOY_TIME, FLAGS_CHANGED, FLAGS_CHECKED, FLAGS_INFO, FLAGS_PROBLEMS, FLAGS_SHED,
    PROCESS_LIVE, PROCESS_MEMORY, PROFILER_DROPPED, PROFILER_OUTSIDE, REQUEST_LIVE, REQUEST_STUCK,
    SINK_POINTS, Sample, Value,
};
use super::sink::outbox::Fate;
use crate::clock;
use crate::memory;
use crate::profiler::Shared;
use crate::stats::Stats;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const NS_PER_S: f64 = 1e9;

fn gauge(metric: &'static Metric, labels: &[&str], value: f64) -> Sample {
    let labels: Vec<Arc<str>> = labels.iter().map(|label| Arc::from(*label)).collect();
    Sample::known(metric, labels, Value::Gauge { value, set_at: 0 })
}

fn counter(metric: &'static Metric, labels: &[&str], count: u64) -> Sample {
    let labels: Vec<Arc<str>> = labels.iter().map(|label| Arc::from(*label)).collect();
    Sample::known(metric, labels, Value::Counter(count))
}

/// What a collector knows beside.
pub(super) struct Beside<'a> {
    pub(super) stuck: u64,
    pub(super) version: Option<&'a str>,
    /// The version that was deployed last, and when, nanoseconds since 1970.
    pub(super) deployed: Option<&'a (Arc<str>, u64)>,
}

/// Adds the process's own series to a list.
pub(super) fn add(shared: &Shared, beside: &Beside<'_>, samples: &mut Vec<Sample>) {
    let stats = Stats::collect(shared);
    samples.push(gauge(&PROCESS_LIVE, &[], 1.0));
    if let Some(bytes) = memory::resident() {
        samples.push(gauge(&PROCESS_MEMORY, &[], bytes as f64));
    }
    samples.push(gauge(&REQUEST_LIVE, &[], stats.live as f64));
    samples.push(gauge(&REQUEST_STUCK, &[], beside.stuck as f64));
    samples.push(counter(&PROFILER_OUTSIDE, &[], stats.calls_outside));
    for (reason, count) in drops(&stats) {
        samples.push(counter(&PROFILER_DROPPED, &[reason], count));
    }
    if let Some(version) = beside.version {
        samples.push(gauge(&BUILD_INFO, &[version], 1.0));
    }
    if let Some((version, at)) = beside.deployed {
        samples.push(gauge(&DEPLOY_TIME, &[version], *at as f64 / NS_PER_S));
    }
    add_flags(shared, &stats, samples);
}

/// What was not kept, by reason.
pub(super) fn drops(stats: &Stats) -> [(&'static str, u64); 10] {
    [
        ("queue", stats.queue_dropped),
        ("spans", stats.unlisted),
        ("requests", stats.refused_live + stats.refused_memory),
        ("log_queue", stats.log_dropped),
        ("log_failed", stats.log_failed),
        ("notes", stats.lost_notes),
        ("late", stats.late_spans),
        ("metrics", stats.lost_metrics),
        ("events", stats.lost_events),
        ("panics", stats.panics),
    ]
}

fn add_flags(shared: &Shared, stats: &Stats, samples: &mut Vec<Sample>) {
    if !shared.flags.is_used() {
        return;
    }
    let published = shared.flags.load();
    let now = clock::wall();
    let age = |then: u64| now.saturating_sub(then) as f64 / NS_PER_S;
    if shared.source.is_some() {
        // Until somebody looks again, when they were read.
        let looked_at = shared.flags.looked_at().unwrap_or(published.changed_at);
        samples.push(gauge(&FLAGS_CHECKED, &[], age(looked_at)));
        samples.push(gauge(&FLAGS_PROBLEMS, &[], stats.flags.errors as f64));
    }
    samples.push(gauge(&FLAGS_CHANGED, &[], age(published.changed_at)));
    let shed = published.snapshot.shed().map_or(0, |shed| shed.from);
    samples.push(gauge(&FLAGS_SHED, &[], shed.into()));
    let version = published.snapshot.version_text();
    samples.push(gauge(&FLAGS_INFO, &[&version], 1.0));
}

/// Adds what became of a sink's values to a list.
pub(super) fn add_fate(sink: &str, fate: &Fate, samples: &mut Vec<Sample>) {
    for (result, count) in [("sent", &fate.sent), ("dropped", &fate.dropped)] {
        let count = count.load(Ordering::Relaxed);
        samples.push(counter(&SINK_POINTS, &[sink, result], count));
    }
}
