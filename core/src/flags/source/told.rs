//! What is said about the files: when it is new, and every ten minutes while it is wrong.

use crate::collect::LogEvent;
use crate::flags::file::{Layer, Problem, Reading, Severity};
use std::time::{Duration, Instant};

/// What is still wrong is said again.
const AGAIN: Duration = Duration::from_secs(600);
/// So many problems are said in full.
const MAX_LINES: usize = 5;

/// More than these do not wait: where nobody says them, nobody reads them.
const MAX_WAITING: usize = 50;

#[derive(Debug, Default)]
pub(super) struct Told {
    waiting: Vec<String>,
    /// When it was last said that something is wrong.
    said_at: Option<Instant>,
    /// What was last said of a reading.
    last: Vec<String>,
    /// What cannot be done (a full disk), and when that was said.
    failed: Option<(String, Instant)>,
}

impl Told {
    /// Something was read.
    pub(super) fn read(&mut self, reading: &Reading, layers: &[Layer]) {
        let lines = lines(reading, layers);
        if lines == self.last {
            return;
        }
        if lines.is_empty() {
            self.waiting.push("the files are good again".to_owned());
            self.said_at = None;
        }
        self.waiting.extend(lines.iter().cloned());
        self.last = lines;
    }

    /// In a child of a fork: its parent says what waits.
    pub(super) fn inherited(&self) -> Self {
        Self {
            said_at: self.said_at,
            last: self.last.clone(),
            ..Self::default()
        }
    }

    /// Something happened that is no fault.
    pub(super) fn happened(&mut self, what: String) {
        self.waiting.push(what);
        let too_many = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..too_many);
    }

    /// Something could not be done.
    pub(super) fn say(&mut self, what: String) {
        let known = self.failed.as_ref();
        if known.is_some_and(|(text, at)| *text == what && at.elapsed() < AGAIN) {
            return;
        }
        self.waiting.push(what.clone());
        self.failed = Some((what, Instant::now()));
    }

    /// What is to be said now.
    pub(super) fn due(&mut self, problems: &[Problem]) -> Vec<LogEvent> {
        let is_wrong = problems
            .iter()
            .any(|problem| problem.severity == Severity::Error);
        if is_wrong && self.said_at.is_some_and(|at| at.elapsed() >= AGAIN) {
            self.waiting.extend(self.last.iter().cloned());
        }
        if !self.waiting.is_empty() && is_wrong {
            self.said_at = Some(Instant::now());
        }
        let waiting = std::mem::take(&mut self.waiting);
        waiting
            .into_iter()
            .map(|line| LogEvent::new("flags", line))
            .collect()
    }
}

fn lines(reading: &Reading, layers: &[Layer]) -> Vec<String> {
    let errors = reading.problems.iter();
    let errors = errors.filter(|problem| problem.severity == Severity::Error);
    let mut lines: Vec<String> = errors
        .clone()
        .take(MAX_LINES)
        .map(ToString::to_string)
        .collect();
    let more = errors.count().saturating_sub(MAX_LINES);
    if more > 0 {
        lines.push(format!(
            "and {more} more errors; see `ioprofiler flags check`"
        ));
    }
    for at in &reading.kept_layers {
        if let Some(layer) = layers.get(*at) {
            let kept = reading.layers.get(*at).is_some_and(Option::is_some);
            let what = if kept {
                "its last good content stays in force"
            } else {
                "nothing of it is in force"
            };
            lines.push(format!("{}: {what}", layer.path.display()));
        }
    }
    names(&mut lines, &reading.kept_flags, "keep their last good form");
    names(
        &mut lines,
        &reading.broken_flags,
        "have no good form; the code's defaults hold",
    );
    lines
}

fn names(lines: &mut Vec<String>, names: &[String], what: &str) {
    if names.is_empty() {
        return;
    }
    let shown: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
    let more = names.len().saturating_sub(shown.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    lines.push(format!("flags that {what}: {}{more}", shown.join(", ")));
}
