//! Kept requests of all processes of a `state_dir`.
//!
//! ```text
//! kept/ID.json   the profile as JSON
//! kept/ID.txt    the same as text
//! ```
//!
//! Written when a request is kept, taken away when it is forgotten. What a process left that was
//! killed goes when it is too old.

use super::found::{File, Found};
use crate::collect::kept::Kept;
use crate::profile::ProfileData;
use crate::render::{self, Details};
use crate::state_dir::{self, content, head, is_unfinished};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// All processes together keep no more; the oldest go first.
const MOST_FILES: usize = 2_000;
const MAX_FILE: u64 = 16 << 20;
const MAX_NAME: usize = 80;
/// A summary is within so many bytes.
const MAX_SUMMARY: u64 = 64 << 10;

/// The folder of kept requests.
#[derive(Clone, Debug)]
pub(crate) struct KeptFolder(PathBuf);

impl KeptFolder {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self(state_dir.join("kept"))
    }

    fn path(&self, id: &str, form: &str) -> PathBuf {
        self.0.join(format!("{}.{form}", file_name(id)))
    }

    /// Keeps a request. Where it cannot be written it is kept in memory only.
    pub(crate) fn keep(&self, kept: &Kept, details: Details) {
        let data = &*kept.profile;
        let json = kept.json(details);
        let _ = state_dir::write(&self.path(&data.id, "json"), json.as_bytes());
        // What is kept is masked already, so this shows no more than that.
        let text = render::text(data);
        let _ = state_dir::write(&self.path(&data.id, "txt"), text.as_bytes());
    }

    pub(crate) fn forget(&self, id: &str) {
        for form in ["json", "txt"] {
            let _ = std::fs::remove_file(self.path(id, form));
        }
    }

    /// Takes away what is too old or too many: what processes left that were killed.
    pub(crate) fn sweep(&self, during: Duration) {
        let Ok(entries) = std::fs::read_dir(&self.0) else {
            return;
        };
        let mut files: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        files.sort();
        let too_many = files.len().saturating_sub(MOST_FILES);
        let oldest = SystemTime::now().checked_sub(during + Duration::from_secs(60));
        for (place, (written, path)) in files.iter().enumerate() {
            if place < too_many || oldest.is_some_and(|oldest| *written < oldest) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// A request's id as a file's name: it may come from a client's header.
fn file_name(id: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=MAX_NAME).contains(&id.len()) && id.bytes().all(is_plain) {
        return id.to_owned();
    }
    let hash = Sha256::digest(id.as_bytes());
    let bytes: [u8; 8] = std::array::from_fn(|at| hash.get(at).copied().unwrap_or(0));
    format!("id.{:016x}", u64::from_be_bytes(bytes))
}

/// What a list of kept requests shows of one.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRequest {
    /// The request's id.
    pub id: String,
    /// `slow` or `error`.
    pub reason: String,
    /// `web`, `job` or `command`.
    pub kind: String,
    /// `GET`.
    pub method: String,
    /// The route's template; of jobs and commands their name.
    pub route: String,
    /// The answer's status.
    pub status: Option<u16>,
    /// When it began, nanoseconds since 1970.
    pub started_at: u64,
    /// How long it took. Nanoseconds.
    pub page_ns: u64,
    /// How many calls it made.
    pub calls: u64,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
}

/// What such a file begins with; the summary follows.
const BEGIN: &str = "{\"kept\":";

/// A profile's JSON with a summary before it, in one object.
pub(crate) fn with_summary(kept: &Kept, json: &str) -> String {
    let ProfileData {
        id,
        facts,
        host,
        pid,
        ..
    } = &*kept.profile;
    let data = &*kept.profile;
    let calls: u64 = data.totals.iter().map(|total| total.calls).sum();
    let summary = serde_json::json!({
        "id": id,
        "reason": kept.reason.as_str(),
        "kind": facts.kind.as_str(),
        "method": facts.method,
        "route": facts.route_label(),
        "status": facts.status,
        "started_at": data.started_at,
        "page_ns": data.page_ns,
        "calls": calls,
        "host": host,
        "pid": pid,
    });
    // The profile's own object goes on behind it.
    let rest = json.strip_prefix('{').unwrap_or("}");
    format!("{BEGIN}{summary},{rest}")
}

/// Reads no more than the summary: of a thousand profiles the calls would be much.
fn summary(text: &[u8]) -> Option<KeptRequest> {
    let text = text.strip_prefix(BEGIN.as_bytes())?;
    let mut values = serde_json::Deserializer::from_slice(text).into_iter();
    values.next()?.ok()
}

/// The requests that the processes of a `state_dir` keep, the slowest first.
///
/// # Errors
/// There is no such folder, or it may not be read.
pub fn kept_requests(state_dir: &Path) -> io::Result<Found<KeptRequest>> {
    let mut kept = Found::default();
    for entry in std::fs::read_dir(state_dir.join("kept"))?.flatten() {
        let path = entry.path();
        match path.extension().and_then(|form| form.to_str()) {
            Some("json") => {}
            Some("txt") => continue,
            _ if is_unfinished(&path) => continue,
            _ => {
                kept.passed_over += 1;
                continue;
            }
        }
        let text = head(&path, MAX_SUMMARY);
        match File::of(text.and_then(|text| summary(&text)), &path) {
            File::Read(summary) => kept.all.push(summary),
            File::Gone => {}
            File::Wrong => kept.passed_over += 1,
        }
    }
    kept.all
        .sort_by_key(|request| (std::cmp::Reverse(request.page_ns), request.started_at));
    Ok(kept)
}

/// A kept request by its id, as text or, with `json`, as JSON; `None` where it is not kept.
#[must_use]
pub fn show_kept(state_dir: &Path, id: &str, json: bool) -> Option<String> {
    let form = if json { "json" } else { "txt" };
    let path = KeptFolder::of(state_dir).path(id, form);
    content(&path, MAX_FILE).and_then(|text| String::from_utf8(text).ok())
}
