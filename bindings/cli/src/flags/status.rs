//! `flags status`: what running processes really go by.

use std::fmt::Write as _;

use ioprofiler::flags::compile;
use ioprofiler::flags::source::{Status, statuses};
use serde_json::json;

use super::files::{Files, state_dir};
use super::given::Given;
use super::{counted, note};
use crate::options::Wrong;
use crate::{Done, time};

/// Who looks by a thread says so every five seconds.
const STALE: u64 = 15;

pub(super) fn run(given: Given) -> Result<Done, Wrong> {
    given.no_more_words()?;
    let folder = state_dir(given.state_dir.as_ref()).ok_or_else(|| {
        Wrong::Usage(
            "whose? --state-dir DIR, as the program has it in its option state_dir".to_owned(),
        )
    })?;
    let processes = statuses(&folder)
        .map_err(|error| Wrong::Failed(format!("{}: {error}", folder.display())))?;
    let wanted = Files::of(&[], Some(&folder))
        .ok()
        .map(|files| files.load())
        .filter(|loaded| loaded.reading.is_whole())
        .map(|loaded| compile(loaded.reading.document).version_text());
    let now = time::now();
    let is_good = |process: &Status| {
        process.errors == 0
            && wanted
                .as_ref()
                .is_none_or(|wanted| *wanted == process.version)
            && !(process.by_thread && now.saturating_sub(process.looked_at) > STALE)
    };
    let mut done = Done::said(if given.json {
        as_json(&processes, wanted.as_deref())
    } else {
        as_text(&processes, wanted.as_deref(), now)
    });
    done.yes = processes.iter().all(is_good);
    if processes.is_empty() {
        done.remarks = "no process with this state_dir runs\n".to_owned();
    }
    Ok(done)
}

fn as_text(processes: &[Status], wanted: Option<&str>, now: u64) -> String {
    let mut out = String::new();
    let ago = |at: u64| time::roughly(now.saturating_sub(at));
    for process in processes {
        let version = process.version.get(..4).unwrap_or(&process.version);
        let _ = write!(
            out,
            "pid {} on {}: flags {version}",
            process.pid,
            note::one_line(&process.host)
        );
        if let Some(wanted) = wanted.filter(|wanted| *wanted != process.version) {
            let wanted = wanted.get(..4).unwrap_or(wanted);
            let _ = write!(out, " (the files say {wanted})");
        }
        let _ = write!(out, ", {}", counted(process.flags, "flag"));
        match process.shed {
            Some(from) => {
                let _ = write!(out, ", shed from priority {from}");
            }
            None => out.push_str(", nothing shed"),
        }
        if process.changed_at > 0 {
            let _ = write!(out, ", changed {} ago", ago(process.changed_at));
        }
        let how = if process.by_thread {
            ""
        } else {
            " or since, when a page began"
        };
        let _ = writeln!(out, ", looked {} ago{how}", ago(process.looked_at));
        for problem in &process.problems {
            let _ = writeln!(out, "  {}", note::one_line(problem));
        }
        let more = process.errors.saturating_sub(process.problems.len());
        if more > 0 {
            let _ = writeln!(out, "  and {more} more");
        }
    }
    out
}

fn as_json(processes: &[Status], wanted: Option<&str>) -> String {
    let processes = serde_json::to_value(processes).unwrap_or_default();
    format!(
        "{:#}\n",
        json!({"files_say": wanted, "processes": processes})
    )
}
