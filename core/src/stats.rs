//! What happened in this process so far: plain counters.

use crate::flags::source::SourceStats;
use crate::gate::Refusal;
use crate::lane::process;
use crate::profiler::Shared;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of this process (a child of a fork starts from zero), and of one profiler.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Where the flags come from; all zero where they come from no file.
    pub flags: SourceStats,
    /// Requests that began.
    pub begun: u64,
    /// Requests that were finished.
    pub finished: u64,
    /// Requests whose client left.
    pub aborted: u64,
    /// Requests that nobody finished.
    pub abandoned: u64,
    /// Requests that live now.
    pub live: u64,
    /// Bytes that live and queued requests keep now.
    pub memory: u64,
    /// Requests refused, because `max_live_requests` lived.
    pub refused_live: u64,
    /// Requests refused, because no slot could be had.
    pub refused_memory: u64,
    /// Calls that were only counted, because a limit was reached.
    pub unlisted: u64,
    /// Of these, calls that were not even timed, because thousands of them were open at once.
    pub untimed: u64,
    /// Calls outside any request.
    pub calls_outside: u64,
    /// Calls begun or ended after their request.
    pub late_spans: u64,
    /// Handles of bindings that were stale, foreign or used twice.
    pub stale_handles: u64,
    /// Calls dropped because 4,096 threads were in one request at once.
    pub busy: u64,
    /// Facts set after their request, or lost to another thread.
    pub lost_facts: u64,
    /// Notes that were not taken: after their request, beyond 64 names, or under a name that is
    /// none.
    pub lost_notes: u64,
    /// Names that became `other`, because a process has at most 1,024 categories.
    pub categories_overflowed: u64,
    /// Finished requests that wait for the collector.
    pub queued: u64,
    /// Finished requests that no sink saw, because the queue was full or shut down.
    pub queue_dropped: u64,
    /// Lines of access logs that were written.
    pub log_written: u64,
    /// Lines that were not, because the queue was full.
    pub log_dropped: u64,
    /// Lines that were not, because the file, the disk or the pipe would not take them.
    pub log_failed: u64,
    /// Lines to a pipe that were cut to 4,096 bytes.
    pub log_cut: u64,
    /// Panics of sinks and callbacks, caught.
    pub panics: u64,
    /// Flags that requests asked for and do not list, because they asked for thousands.
    pub exposures_unlisted: u64,
    /// How often dark work ran.
    pub dark_runs: u64,
    /// How often it gave an `Err`.
    pub dark_errors: u64,
    /// How often it panicked.
    pub dark_panics: u64,
    /// Values of the application's own metrics that were not taken: a name too many or none, another
    /// kind than before, no number.
    pub lost_metrics: u64,
    /// Events that were too many.
    pub lost_events: u64,
    /// Metric sinks, in the order in which they were configured.
    pub sinks: Vec<SinkStats>,
    /// Requests that asked for their profile and were refused, by reason.
    pub refused: Vec<(Refusal, u64)>,
}

/// What became of the values that one metric sink was given, in this process.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkStats {
    /// `graphite`.
    pub name: &'static str,
    /// Values, and events, that it was to send: sent, dropped, or still waiting.
    pub produced: u64,
    /// Sent.
    pub sent: u64,
    /// Dropped: too many waited, or the other end will not have them.
    pub dropped: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Why the last one did; empty where none has.
    pub why: String,
}

impl Stats {
    pub(crate) fn collect(shared: &Shared) -> Self {
        let mut stats = Self::counted(shared);
        if let Some(process) = process::existing() {
            stats.finished = process.finished();
            stats.live = process.live() as u64;
            stats.memory = process.memory() as u64;
            stats.begun = stats.finished + stats.aborted + stats.abandoned + stats.live;
        }
        stats
    }

    /// All but how many requests live and lived: to know that, every request's place is looked at, of
    /// which there may be thousands.
    pub(crate) fn counted(shared: &Shared) -> Self {
        let calls_outside = shared.calls_outside();
        let collected = shared.collector.counts();
        let refused = shared.refusals().filter(|(_, count)| *count != 0).collect();
        let flags = &shared.flags.counters;
        let flag_count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Self {
            exposures_unlisted: flag_count(&flags.unlisted),
            dark_runs: flag_count(&flags.dark_runs),
            dark_errors: flag_count(&flags.dark_errors),
            dark_panics: flag_count(&flags.dark_panics),
            flags: shared.source_stats(),
            lost_facts: shared.lost_facts(),
            categories_overflowed: crate::category::overflowed(),
            queued: collected.queued,
            queue_dropped: collected.dropped,
            log_written: shared.log_lines(|log| &log.written),
            log_dropped: shared.log_lines(|log| &log.dropped),
            log_failed: shared.log_lines(|log| &log.failed),
            log_cut: shared.log_lines(|log| &log.cut),
            panics: collected.panics,
            lost_metrics: collected.lost_metrics,
            lost_events: collected.lost_events,
            sinks: collected.sinks,
            calls_outside,
            refused,
            ..Self::default()
        };
        let Some(process) = process::existing() else {
            return stats;
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &process.counters;
        stats.aborted = count(&counters.aborted);
        stats.abandoned = count(&counters.abandoned);
        stats.refused_live = count(&counters.refused_live);
        stats.refused_memory = count(&counters.refused_memory);
        stats.unlisted = count(&counters.unlisted);
        stats.untimed = count(&counters.untimed);
        stats.late_spans = count(&counters.late_spans);
        stats.lost_notes = count(&counters.lost_notes);
        stats.stale_handles = count(&counters.stale_handles);
        stats.busy = count(&counters.busy);
        stats
    }
}
