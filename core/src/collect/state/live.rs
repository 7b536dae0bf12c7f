//! What each process of a `state_dir` is doing: its requests in flight, each with its open calls.
//!
//! ```text
//! live/PID-START-P.json
//! ```
//!
//! Written once a second by each process, and left there when it ends: what a killed worker was in
//! is what one wants to know. Details are fingerprints, unless the operator said otherwise.

use super::found::{File, Found};
use crate::profile::ProfileData;
use crate::render::{Details, mask};
use crate::state_dir::{self, ProcessName, is_unfinished};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The oldest requests of a process that are told.
pub(crate) const MOST_REQUESTS: usize = 200;
/// Open calls of one request.
const MOST_CALLS: usize = 20;
const MAX_FILE: u64 = 16 << 20;
/// What an ended process was in is forgotten after a day.
const FORGET_AFTER_NS: u64 = 86_400_000_000_000;

/// What one process is doing.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveProcess {
    /// The process.
    pub pid: u32,
    /// The machine.
    pub host: String,
    /// When it said so, nanoseconds since 1970.
    pub at: u64,
    /// Whether it runs still.
    #[serde(skip)]
    pub running: bool,
    /// It said that it ends, and what it was in then; what does not run and did not say so was killed.
    #[serde(default)]
    pub ended: bool,
    /// How many requests it is in.
    pub live: u64,
    /// The oldest of them, oldest first.
    pub requests: Vec<LiveRequest>,
}

/// A request in flight.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveRequest {
    /// The request's id.
    pub id: String,
    /// `web`, `job` or `command`.
    pub kind: String,
    /// `GET`; of jobs and commands empty.
    pub method: String,
    /// The route's template; of jobs and commands their name.
    pub route: String,
    /// How long it has been going on. Nanoseconds.
    pub age_ns: u64,
    /// The calls that it is in, outermost first.
    pub open: Vec<OpenCall>,
}

/// A call that has not ended.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenCall {
    /// Its category.
    pub category: String,
    /// Which server or file, where that is more than the category says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What it is: a fingerprint.
    pub detail: String,
    /// How long it has been going on. Nanoseconds.
    pub age_ns: u64,
}

impl LiveRequest {
    /// Of a profile that holds only open calls.
    pub(crate) fn of(data: &ProfileData, details: Details) -> Self {
        let calls = data.spans.iter().take(MOST_CALLS);
        Self {
            id: data.id.clone(),
            kind: data.facts.kind.as_str().to_owned(),
            method: data.facts.method.clone(),
            route: data.facts.route_label().to_owned(),
            age_ns: data.page_ns,
            open: calls
                .map(|call| OpenCall {
                    category: call.category.to_owned(),
                    target: mask::target(call, details).map(str::to_owned),
                    detail: mask::owned_detail(call, details).into_owned(),
                    age_ns: call.duration_ns,
                })
                .collect(),
        }
    }
}

/// Says what this process is doing.
pub(crate) struct LiveTeller {
    path: PathBuf,
    /// What was said last.
    said: Option<LiveProcess>,
}

impl LiveTeller {
    pub(crate) fn new(state_dir: &Path, profiler: u32) -> Self {
        let name = format!("{}-{profiler}.json", ProcessName::own());
        Self {
            path: state_dir.join("live").join(name),
            said: None,
        }
    }

    pub(crate) fn tell(&mut self, process: LiveProcess) -> io::Result<()> {
        // That it is idle is said once.
        let was_idle = self.said.as_ref().is_some_and(|said| said.live == 0);
        if process.live == 0 && was_idle {
            return Ok(());
        }
        state_dir::write(&self.path, &serde_json::to_vec(&process)?)?;
        self.said = Some(process);
        Ok(())
    }

    /// This process reports no more.
    pub(crate) fn end(&mut self) {
        if let Some(mut last) = self.said.take().filter(|said| said.live > 0) {
            last.ended = true;
            let json = serde_json::to_vec(&last).unwrap_or_default();
            let _ = state_dir::write(&self.path, &json);
        } else {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What the processes of a `state_dir` are doing, or were when they ended, in the order of their
/// numbers. Ended processes that were idle are left out.
///
/// # Errors
/// There is no such folder, or it may not be read.
pub fn live_processes(state_dir: &Path) -> io::Result<Found<LiveProcess>> {
    let mut found = Found::default();
    found.passed_over = for_each(state_dir, |_, process| {
        if process.running || process.live > 0 {
            found.all.push(process);
        }
    })?;
    found.all.sort_by_key(|process| process.pid);
    Ok(found)
}

/// Takes away what ended processes left: at once where they were idle, else after a day.
pub(crate) fn sweep(state_dir: &Path, now: u64) {
    let _ = for_each(state_dir, |path, process| {
        let old = process.at.saturating_add(FORGET_AFTER_NS) < now;
        if !process.running && (old || process.live == 0) {
            let _ = std::fs::remove_file(path);
        }
    });
}

/// Gives how many files could not be read.
fn for_each(state_dir: &Path, mut each: impl FnMut(&Path, LiveProcess)) -> io::Result<u64> {
    let mut passed_over = 0;
    for entry in std::fs::read_dir(state_dir.join("live"))?.flatten() {
        let path = entry.path();
        if is_unfinished(&path) {
            continue;
        }
        let Some(name) = ProcessName::of_file(&path) else {
            passed_over += 1;
            continue;
        };
        match File::<LiveProcess>::json(&path, MAX_FILE) {
            File::Read(mut process) if process.pid == name.pid => {
                process.running = name.is_running() && !process.ended;
                each(&path, process);
            }
            File::Gone => {}
            _ => passed_over += 1,
        }
    }
    Ok(passed_over)
}
