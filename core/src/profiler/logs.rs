//! A profiler's access logs and its compact note: options in, lines out.

use super::{Profiler, ProfilerBuilder, Shared};
use crate::collect::sink::access_log::{AccessLog, Control};
use crate::collect::{SinkFactory, SinkKind};
use crate::log_format::NoteFormat;
use crate::request::Profile;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which headers configured formats name, in small letters: bindings copy these, and no others.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedHeaders {
    /// Of requests: [`Facts::headers`](crate::Facts::headers).
    pub request: Vec<String>,
    /// Of answers: [`Request::answer_header`](crate::Request::answer_header).
    pub answer: Vec<String>,
}

impl WantedHeaders {
    pub(super) fn of(logs: &[AccessLog], note: Option<&NoteFormat>) -> Self {
        let formats = logs.iter().map(AccessLog::format);
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        for format in formats {
            request.extend(format.request_headers());
            answer.extend(format.answer_headers());
        }
        if let Some(note) = note {
            request.extend(note.request_headers());
            answer.extend(note.answer_headers());
        }
        for names in [&mut request, &mut answer] {
            names.sort();
            names.dedup();
        }
        Self { request, answer }
    }
}

impl ProfilerBuilder {
    /// One more access log: a line for each finished request.
    #[must_use]
    pub fn access_log(mut self, log: AccessLog) -> Self {
        self.access_logs.push(log);
        self
    }

    /// What stands in the compact note, which a server puts into its own line:
    /// [`Request::compact_note`](crate::Request::compact_note).
    #[must_use]
    pub fn note_format(mut self, format: NoteFormat) -> Self {
        self.note_format = Some(format);
        self
    }

    /// The access logs, each with a sink.
    pub(super) fn take_access_logs(&mut self) -> Vec<(AccessLog, Arc<Control>)> {
        let mut logs = Vec::new();
        for log in std::mem::take(&mut self.access_logs) {
            let control = Arc::new(Control::default());
            logs.push((log.clone(), Arc::clone(&control)));
            if log.is_written() {
                let threadless = self.threadless;
                let reads_calls = log.format().needs_calls();
                let make: SinkFactory = Box::new(move || Box::new(log.sink(&control, threadless)));
                self.sinks.push(SinkKind {
                    make,
                    wants: |_| true,
                    reads_calls,
                });
            }
        }
        logs
    }
}

impl Profiler {
    /// The headers that configured formats name.
    #[must_use]
    pub fn wanted_headers(&self) -> &'static WantedHeaders {
        &self.shared.options.wanted
    }

    /// What stands in compact notes, where the builder was told.
    #[must_use]
    pub fn note_format(&self) -> Option<&'static NoteFormat> {
        self.shared.options.note_format.as_ref()
    }

    /// The line of a request as the first access log has it, for hosts that write it themselves.
    /// Its calls are read only if the format names what needs them. Nothing where there is no
    /// access log.
    #[must_use]
    pub fn log_line(&self, profile: &Profile) -> Option<String> {
        let (log, _) = self.shared.options.access_logs.first()?;
        let format = log.format();
        Some(if format.needs_calls() {
            format.line(profile.data())
        } else {
            format.line(profile.about())
        })
    }

    /// Opens the files of access logs again, at the next line: after somebody has moved them away.
    /// They notice that by themselves as well.
    pub fn reopen_logs(&self) {
        for (_, control) in &self.shared.options.access_logs {
            control.reopen.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Shared {
    /// Adds up a counter of all access logs.
    pub(crate) fn log_lines(&self, counter: impl Fn(&Control) -> &AtomicU64) -> u64 {
        let logs = self.options.access_logs.iter();
        logs.map(|(_, control)| counter(control).load(Ordering::Relaxed))
            .sum()
    }
}
