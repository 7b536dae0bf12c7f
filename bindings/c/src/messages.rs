//! What the profiler says, kept until it is asked for: for languages that cannot be called back.

use ioprofiler_core::LogEvent;
use std::collections::VecDeque;
use std::sync::Mutex;

/// A profiler says each kind once a minute, so that this is minutes of trouble.
const MOST: usize = 64;

/// The latest messages. Nobody waits for its lock: a child of a fork may find it held by a thread
/// that it does not have.
#[derive(Default)]
pub(crate) struct Messages {
    lines: Mutex<VecDeque<String>>,
}

impl Messages {
    pub(crate) fn keep(&self, event: &LogEvent) {
        let Ok(mut lines) = self.lines.try_lock() else {
            return;
        };
        if lines.len() == MOST {
            lines.pop_front();
        }
        lines.push_back(format!("{}: {}\n", event.kind, event.message));
    }

    /// Hands all lines to `write`, and forgets them where that says that it had room for them.
    pub(crate) fn take(&self, write: impl FnOnce(&str) -> bool) {
        let Ok(mut lines) = self.lines.try_lock() else {
            return;
        };
        let all: String = lines.iter().map(String::as_str).collect();
        if write(&all) {
            lines.clear();
        }
    }
}
