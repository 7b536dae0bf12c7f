//! What went wrong, said once a minute and kind.

use crate::profiler::Shared;
use crate::stats::{SinkStats, Stats};
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// One kind of thing is said no more often than this.
const PAUSE: Duration = Duration::from_secs(60);
/// That the gate is open to everyone.
const HOUR: Duration = Duration::from_secs(3_600);

/// Something that the operator should know.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// What kind of thing: `gate`, `limit`, `misuse`, `queue`, `log`, `sink`, `stuck`, `flags`, `panic`.
    pub kind: &'static str,
    /// One line.
    pub message: String,
}

impl LogEvent {
    pub(crate) fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Report {
    said: HashMap<String, (u64, Instant)>,
    everyone: Option<Instant>,
}

impl Report {
    /// What is to be said now.
    pub(crate) fn due(&mut self, shared: &'static Shared) -> Vec<LogEvent> {
        let stats = Stats::counted(shared);
        let mut events = Vec::new();
        for (reason, count) in &stats.refused {
            let text = format!("asked, gate closed: {reason}");
            self.note(&mut events, "gate", &text, *count);
        }
        let counters = [
            (
                "limit",
                "requests refused: max_live_requests live already",
                stats.refused_live,
            ),
            (
                "limit",
                "calls only counted: max_spans, max_memory",
                stats.unlisted,
            ),
            (
                "limit",
                "names became `other`: 1,024 categories",
                stats.categories_overflowed,
            ),
            (
                "misuse",
                "requests abandoned: never finished",
                stats.abandoned,
            ),
            (
                "misuse",
                "calls begun or ended after their request",
                stats.late_spans,
            ),
            (
                "misuse",
                "notes not taken: after their request, beyond 64, or not a name",
                stats.lost_notes,
            ),
            ("misuse", "stale or doubled handles", stats.stale_handles),
            (
                "misuse",
                "values of metrics not taken: a name too long or too many, another kind than before, or no number",
                stats.lost_metrics,
            ),
            (
                "misuse",
                "events not taken: too many at once",
                stats.lost_events,
            ),
            (
                "queue",
                "finished requests dropped: the queue was full",
                stats.queue_dropped,
            ),
            (
                "log",
                "lines of the access log dropped: the queue was full",
                stats.log_dropped,
            ),
            (
                "panic",
                "panics caught in sinks and callbacks",
                stats.panics,
            ),
        ];
        for (kind, text, count) in counters {
            self.note(&mut events, kind, text, count);
        }
        self.note_logs(&mut events, shared);
        for sink in &stats.sinks {
            let dropped = format!("{}: values dropped", sink.name);
            self.note(&mut events, "sink", &dropped, sink.dropped);
            self.note_why(&mut events, sink);
        }
        if shared.options.gate.is_everyone() {
            let last = *self.everyone.get_or_insert_with(Instant::now);
            if last.elapsed() >= HOUR {
                self.everyone = Some(Instant::now());
                events.push(LogEvent::new("gate", "the gate is still open to everyone"));
            }
        }
        events
    }

    /// Which log cannot be written is part of the kind, the reason is not.
    fn note_logs(&mut self, events: &mut Vec<LogEvent>, shared: &'static Shared) {
        for (log, control) in &shared.options.access_logs {
            let mut said = Vec::new();
            let text = format!(
                "lines of the access log lost: {} cannot be written",
                log.place()
            );
            let failed = control.failed.load(Ordering::Relaxed);
            self.note(&mut said, "log", &text, failed);
            events.extend(said.into_iter().map(|event| LogEvent {
                message: format!("{}: {}", event.message, control.error()),
                ..event
            }));
        }
    }

    /// That a sink fails is said with the reason of the last time, which is no part of the kind.
    fn note_why(&mut self, events: &mut Vec<LogEvent>, sink: &SinkStats) {
        let mut said = Vec::new();
        let text = format!("{}: cannot send", sink.name);
        self.note(&mut said, "sink", &text, sink.failures);
        events.extend(said.into_iter().map(|event| LogEvent {
            message: format!("{}: {}", event.message, sink.why),
            ..event
        }));
    }

    fn note(&mut self, events: &mut Vec<LogEvent>, kind: &'static str, text: &str, count: u64) {
        let known = self.said.get(text).copied();
        let (before, when) = known.map_or((0, None), |(count, when)| (count, Some(when)));
        if count <= before || when.is_some_and(|when| when.elapsed() < PAUSE) {
            return;
        }
        self.said.insert(text.to_owned(), (count, Instant::now()));
        events.push(LogEvent::new(
            kind,
            format!("{text} ({} times)", count - before),
        ));
    }
}
