//! `ioprofiler show`: one kept request, call by call.

use ioprofiler::collect::state::{
    KeptRequest, kept_requests, live_processes, processes, show_kept,
};

use super::Common;
use super::folder::Folder;
use super::rows::{many, what};
use super::slow::in_words;
use super::table::{safe_json, shown};
use super::when::Now;
use crate::Done;
use crate::options::{Options, Wrong};
use crate::time::roughly;

const HELP: &str = "\
usage: ioprofiler show ID [--json]

Prints a request that is kept, call by call, with fingerprints for details. ID
is what stands in its access-log line (request_id), in its answer and in
ioprofiler slow; its first letters will do where they are of one only.

  --json           the profile for a program
  --state-dir DIR  as the program has it in its option state_dir
  or IOPROFILER_STATE_DIR=DIR in the environment
";

const ALLOWED: &str = "ID, --json, --state-dir";
/// Fewer letters are no id.
const SHORTEST: usize = 4;
/// So many ids are told where several begin alike.
const MOST: usize = 10;

pub(super) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let common = Common::parse(options, Some("ID"), ALLOWED, |_, _| Ok(false))?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let id = common.word.as_deref().ok_or_else(|| {
        Wrong::Usage("which request? its ID, as ioprofiler slow shows it".to_owned())
    })?;
    let mut folder = common.folder()?;
    if let Some(text) = show_kept(&folder.path, id, common.json) {
        return Ok(Done::said(safe(&text, common.json)));
    }
    let kept = folder.read(kept_requests)?;
    let begin_so: Vec<&KeptRequest> = kept
        .iter()
        .filter(|request| id.chars().count() >= SHORTEST && request.id.starts_with(id))
        .collect();
    match begin_so[..] {
        [] => Err(Wrong::Failed(unknown(id, &mut folder, &kept)?)),
        [one] => match show_kept(&folder.path, &one.id, common.json) {
            Some(text) => Ok(Done::said(safe(&text, common.json))),
            None => Err(Wrong::Failed(unknown(&one.id, &mut folder, &kept)?)),
        },
        _ => {
            let mut ids: Vec<&str> = begin_so.iter().map(|request| &*request.id).collect();
            ids.sort_unstable();
            let ids = ids.into_iter().take(MOST);
            let ids: Vec<String> = ids.map(|id| format!("  {}", shown(id))).collect();
            Err(Wrong::Failed(format!(
                "{} begin so:\n{}",
                many(begin_so.len() as u64, "request"),
                ids.join("\n")
            )))
        }
    }
}

/// As the library wrote it; what somebody else put there drives no terminal.
fn safe(text: &str, json: bool) -> String {
    if json {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        return format!("{}{end}", safe_json(text));
    }
    let lines = text.lines().map(|line| format!("{}\n", shown(line)));
    lines.collect()
}

/// Why it is not there, and what is.
fn unknown(id: &str, folder: &mut Folder, kept: &[KeptRequest]) -> Result<String, Wrong> {
    let now = Now::new();
    let id = shown(id);
    for process in folder.read(live_processes)? {
        let Some(request) = process.requests.iter().find(|request| request.id == *id) else {
            continue;
        };
        let what = what(&request.kind, &request.method, &request.route);
        let pid = process.pid;
        return Ok(if process.running {
            format!("{id} has not ended yet: pid {pid} is in {what}; see ioprofiler top")
        } else {
            let seconds = now.since(process.at) / 1_000_000_000;
            let how = if process.ended { "ended" } else { "was killed" };
            format!(
                "{id} never ended: pid {pid} was in {what} when it {how}, {} ago; see ioprofiler top --since 24h",
                roughly(seconds)
            )
        });
    }
    let mut lines = vec![format!("{id} is not kept")];
    let keeps = folder.read(processes)?;
    let keeps = keeps.iter().rev().find_map(|process| process.keeps);
    if let Some(keeps) = keeps {
        lines.push(format!(
            "a worker keeps, of each route, the {} slowest requests and the last {} that failed,",
            keeps.slowest, keeps.errors
        ));
        lines.push(format!(
            "for {}; it was quicker, or is longer ago, or nobody here had that id",
            roughly(keeps.during_s)
        ));
    }
    lines.push(if kept.is_empty() {
        "there is none now".to_owned()
    } else {
        format!("see {}: ioprofiler slow", in_words(kept, &now))
    });
    Ok(lines.join("\n"))
}
