//! How each process of a `state_dir` is: since when it runs, what it sends, what it could not keep.
//!
//! ```text
//! process/PID-START-P.json
//! ```
//!
//! Written with the series, at least every ten seconds where a thread looks, so that whoever reads
//! it also sees that a process is silent. What an ended process left stays for an hour: the pages of
//! the last minutes that it served are counted there, and that it was killed can be told.

use super::found::{File, Found};
use crate::collect::kept::Keep;
use crate::state_dir::{self, ProcessName, is_unfinished};
use crate::stats::SinkStats;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

const MAX_FILE: u64 = 1 << 20;
/// What ended processes left is forgotten after an hour …
const FORGET_AFTER_NS: u64 = 3_600_000_000_000;
/// … and the oldest of it before, where there is more.
const MOST_ENDED: usize = 500;
/// Pages are counted by so many seconds …
pub(crate) const STEP_S: u64 = 10;
/// … for a quarter of an hour.
const STEPS: usize = 90;
const NS_PER_S: u64 = 1_000_000_000;

/// How one process is.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessStatus {
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// When it began to report, nanoseconds since 1970.
    pub since: u64,
    /// When it said this, nanoseconds since 1970.
    pub at: u64,
    /// Whether it runs still.
    #[serde(skip)]
    pub running: bool,
    /// It said that it ends.
    pub ended: bool,
    /// It has a thread, which says this every ten seconds; else pages do, when they end.
    pub by_thread: bool,
    /// It is the one that sends for all.
    pub leads: bool,
    /// The version of the application.
    pub version: Option<String>,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
    /// Requests that are served for longer than this are stuck. Nanoseconds.
    pub stuck_after_ns: u64,
    /// Finished requests that wait for the collector.
    pub queued: u64,
    /// What was not kept so far, by reason: see [`DROPS`](crate::collect::series::DROPS).
    pub dropped: Vec<(String, u64)>,
    /// Requests that ended in the last quarter of an hour, the oldest first. Steps without any are
    /// left out.
    pub recent: Vec<Recent>,
    /// Its sinks, in the order in which they were configured.
    pub sinks: Vec<SinkStatus>,
    /// Which requests it keeps, where it keeps any.
    pub keeps: Option<Keeps>,
}

/// Requests that ended within ten seconds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// When these seconds began: a multiple of ten, seconds since 1970.
    pub at: u64,
    /// How many ended.
    pub requests: u64,
    /// How many of them failed.
    pub failed: u64,
    /// How many of them no log and no keeper saw, because the queue was full.
    pub dropped: u64,
}

/// What became of what one sink was given, since this process sends.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkStatus {
    /// `graphite`.
    pub name: String,
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
    /// When something was last sent, nanoseconds since 1970; 0: never.
    pub sent_at: u64,
    /// When an attempt last failed, nanoseconds since 1970; 0: never.
    pub failed_at: u64,
}

/// Which requests a process keeps: of each route, and for how long.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeps {
    /// So many slowest ones.
    pub slowest: u64,
    /// So many that failed.
    pub errors: u64,
    /// So long, in seconds.
    pub during_s: u64,
}

impl From<SinkStats> for SinkStatus {
    fn from(stats: SinkStats) -> Self {
        Self {
            name: stats.name.to_owned(),
            produced: stats.produced,
            sent: stats.sent,
            dropped: stats.dropped,
            failures: stats.failures,
            why: stats.why,
            ..Self::default()
        }
    }
}

impl From<Keep> for Keeps {
    fn from(keep: Keep) -> Self {
        Self {
            slowest: keep.slowest as u64,
            errors: keep.errors as u64,
            during_s: keep.during.as_secs(),
        }
    }
}

/// How many requests ended lately.
#[derive(Default)]
pub(crate) struct Pace(VecDeque<Recent>);

impl Pace {
    /// Counts what ended by now.
    pub(crate) fn add(&mut self, now_ns: u64, requests: u64, failed: u64, dropped: u64) {
        if requests == 0 && dropped == 0 {
            return;
        }
        let at = now_ns / NS_PER_S / STEP_S * STEP_S;
        match self.0.back_mut().filter(|last| last.at == at) {
            Some(last) => {
                last.requests += requests;
                last.failed += failed;
                last.dropped += dropped;
            }
            None => self.0.push_back(Recent {
                at,
                requests,
                failed,
                dropped,
            }),
        }
        let oldest = at.saturating_sub(STEPS as u64 * STEP_S);
        // Bounded also where somebody puts the clock back.
        while self.0.front().is_some_and(|first| first.at < oldest) || self.0.len() > STEPS + 1 {
            self.0.pop_front();
        }
    }

    pub(crate) fn recent(&self) -> Vec<Recent> {
        self.0.iter().copied().collect()
    }
}

/// Says how this process is.
pub(crate) struct StatusTeller {
    path: PathBuf,
    said: Option<ProcessStatus>,
}

impl StatusTeller {
    pub(crate) fn new(state_dir: &Path, profiler: u32) -> Self {
        let name = format!("{}-{profiler}.json", ProcessName::own());
        Self {
            path: state_dir.join("process").join(name),
            said: None,
        }
    }

    /// Says it. When sinks last sent and failed is seen by what they counted since the last time.
    pub(crate) fn tell(&mut self, mut status: ProcessStatus) -> io::Result<()> {
        let before = self.said.as_ref().map(|said| &*said.sinks);
        for (place, sink) in status.sinks.iter_mut().enumerate() {
            let before = before.and_then(|sinks| sinks.get(place));
            let none = SinkStatus::default();
            let before = before.unwrap_or(&none);
            let when = |now: u64, then: u64, at: u64| if now > then { status.at } else { at };
            sink.sent_at = when(sink.sent, before.sent, before.sent_at);
            sink.failed_at = when(sink.failures, before.failures, before.failed_at);
        }
        let json = serde_json::to_vec(&status)?;
        self.said = Some(status);
        state_dir::write(&self.path, &json)
    }

    /// This process reports no more.
    pub(crate) fn end(&mut self, now: u64) {
        if let Some(mut last) = self.said.take() {
            (last.at, last.ended, last.leads) = (now, true, false);
            let json = serde_json::to_vec(&last).unwrap_or_default();
            let _ = state_dir::write(&self.path, &json);
        }
    }
}

/// How the processes of a `state_dir` are, and how those were that ended within the last hour; those
/// that began first are first.
///
/// # Errors
/// There is no such folder, or it may not be read.
pub fn processes(state_dir: &Path) -> io::Result<Found<ProcessStatus>> {
    let mut found = Found::default();
    found.passed_over = for_each(state_dir, |_, status| found.all.push(status))?;
    found.all.sort_by_key(|status| (status.since, status.pid));
    Ok(found)
}

/// Takes away what processes left that ended long ago.
pub(crate) fn sweep(state_dir: &Path, now: u64) {
    let mut ended: Vec<(u64, PathBuf)> = Vec::new();
    let _ = for_each(state_dir, |path, status| {
        if !status.running {
            ended.push((status.at, path.to_owned()));
        }
    });
    ended.sort();
    let too_many = ended.len().saturating_sub(MOST_ENDED);
    for (place, (at, path)) in ended.iter().enumerate() {
        if place < too_many || at.saturating_add(FORGET_AFTER_NS) < now {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Gives how many files could not be read.
fn for_each(state_dir: &Path, mut each: impl FnMut(&Path, ProcessStatus)) -> io::Result<u64> {
    let mut passed_over = 0;
    for entry in std::fs::read_dir(state_dir.join("process"))?.flatten() {
        let path = entry.path();
        if is_unfinished(&path) {
            continue;
        }
        let Some(name) = ProcessName::of_file(&path) else {
            passed_over += 1;
            continue;
        };
        match File::<ProcessStatus>::json(&path, MAX_FILE) {
            File::Read(mut status) if status.pid == name.pid => {
                status.running = name.is_running() && !status.ended;
                each(&path, status);
            }
            File::Gone => {}
            _ => passed_over += 1,
        }
    }
    Ok(passed_over)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = NS_PER_S;

    fn folder(name: &str) -> PathBuf {
        let top = std::env::temp_dir().join(format!("iop-process-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&top);
        state_dir::folder(&top, "process").unwrap();
        top
    }

    fn status(at: u64, sent: u64, failures: u64) -> ProcessStatus {
        of(std::process::id(), at, sent, failures)
    }

    fn of(pid: u32, at: u64, sent: u64, failures: u64) -> ProcessStatus {
        let sink = SinkStatus {
            sent,
            failures,
            ..SinkStatus::default()
        };
        ProcessStatus {
            pid,
            at,
            sinks: vec![sink],
            ..ProcessStatus::default()
        }
    }

    #[test]
    fn when_a_sink_sent_and_failed_is_seen_by_what_it_counted() {
        let folder = folder("sinks");
        let mut teller = StatusTeller::new(&folder, 0);
        let mut tell = |at, sent, failures| {
            teller.tell(status(at, sent, failures)).unwrap();
            let found = processes(&folder).unwrap();
            let sink = &found[0].sinks[0];
            (sink.sent_at, sink.failed_at)
        };
        assert_eq!(tell(1, 0, 0), (0, 0));
        assert_eq!(tell(2, 5, 0), (2, 0));
        assert_eq!(tell(3, 5, 1), (2, 3));
        assert_eq!(tell(4, 5, 1), (2, 3));
        assert_eq!(tell(5, 6, 1), (5, 3));
    }

    #[test]
    fn who_said_that_it_ends_runs_no_more() {
        let folder = folder("end");
        let mut teller = StatusTeller::new(&folder, 0);
        teller.tell(status(1, 0, 0)).unwrap();
        assert!(processes(&folder).unwrap()[0].running);
        teller.end(7);
        let found = processes(&folder).unwrap();
        assert!(!found[0].running && found[0].ended);
        assert_eq!(found[0].at, 7);
        sweep(&folder, FORGET_AFTER_NS);
        assert_eq!(processes(&folder).unwrap().len(), 1);
        sweep(&folder, FORGET_AFTER_NS + 8);
        assert_eq!(processes(&folder).unwrap().len(), 0);
    }

    #[test]
    fn of_many_that_ended_the_last_stay() {
        let folder = folder("many");
        let json = |at| serde_json::to_vec(&of(i32::MAX as u32, at, 0, 0)).unwrap();
        for at in 0..MOST_ENDED as u64 + 20 {
            let name = format!("process/{}-{at}-0.json", i32::MAX);
            std::fs::write(folder.join(name), json(at)).unwrap();
        }
        std::fs::write(folder.join("process/notes.txt"), "by hand").unwrap();
        std::fs::write(folder.join("process/1-2-3.json"), "{\"pid\":").unwrap();
        std::fs::write(folder.join("process/1-2-4.json"), "{}").unwrap();
        sweep(&folder, 100);
        let found = processes(&folder).unwrap();
        assert_eq!((found.len(), found.passed_over), (MOST_ENDED, 3));
        assert_eq!(found.iter().map(|status| status.at).min(), Some(20));
    }

    #[test]
    fn pages_are_counted_by_ten_seconds_for_a_quarter_of_an_hour() {
        let mut pace = Pace::default();
        pace.add(100 * S, 0, 0, 0);
        assert_eq!(pace.recent(), []);
        pace.add(101 * S, 2, 1, 0);
        pace.add(109 * S, 3, 0, 1);
        pace.add(110 * S, 1, 0, 0);
        let step = |at, requests, failed, dropped| Recent {
            at,
            requests,
            failed,
            dropped,
        };
        assert_eq!(pace.recent(), [step(100, 5, 1, 1), step(110, 1, 0, 0)]);
        for second in 0..2_000 {
            pace.add((120 + second) * S, 1, 0, 0);
        }
        assert_eq!(pace.recent().len(), STEPS + 1);
        pace.add(5 * S, 1, 0, 0);
        assert_eq!(pace.recent().len(), STEPS + 1);
    }
}
