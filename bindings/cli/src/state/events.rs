//! `ioprofiler events`: what was done to the site, the newest last.

use std::time::Duration;

use ioprofiler::collect::{Event, EventKind, events_since};
use serde_json::json;

use super::rows::many;
use super::table::{Paint, Paper, cut, json as to_json, shown};
use super::when::Now;
use super::{Common, duration, ns};
use crate::Done;
use crate::options::{Options, Wrong};
use crate::time::roughly;

const HELP: &str = "\
usage: ioprofiler events [--since TIME] [--json]

Prints what was done to the site, the newest last, in local time: deploys,
flags that were switched, what was shed, and what the application said itself.

  --since TIME     90s, 30m or 8h; 24h if not given
  --json           for a program, times in nanoseconds since 1970
  --state-dir DIR  as the program has it in its option state_dir
  or IOPROFILER_STATE_DIR=DIR in the environment
";

const ALLOWED: &str = "--since, --json, --state-dir";
const DAY: Duration = Duration::from_secs(86_400);
/// A pause that is longer is told.
const PAUSE_NS: u64 = 3_600_000_000_000;

pub(super) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let mut since = DAY;
    let common = Common::parse(options, None, ALLOWED, |name, options| {
        if name == "--since" {
            since = duration(name, options)?;
        }
        Ok(name == "--since")
    })?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let mut folder = common.folder()?;
    let now = Now::new();
    let mut all = folder.read(|path| events_since(path, 0))?;
    let first = all.partition_point(|event| now.since(event.at) > ns(since));
    let events = all.split_off(first);
    let mut done = Done::said(if common.json {
        let list = json!({"events": events, "passed_over": folder.passed_over()});
        to_json(&list)
    } else {
        text(&events, &now)
    });
    if events.is_empty() && !common.json {
        let hours = roughly(since.as_secs());
        done.remarks = match all.last() {
            None => "no event was written down yet\n".to_owned(),
            Some(last) => format!(
                "no event in the last {hours}; the last one was {}: {}\n",
                now.ago(last.at),
                shown(&last.to_string())
            ),
        };
    }
    done.remarks.push_str(&folder.remark());
    Ok(done)
}

/// A heading for each day; pauses of hours are told, so that what belongs together is seen.
fn text(events: &[Event], now: &Now) -> String {
    let paper = Paper::stdout();
    let mut lines = Vec::new();
    let mut before: Option<&Event> = None;
    for event in events {
        let is_new_day = before.is_none_or(|before| now.day(before.at) != now.day(event.at));
        if is_new_day {
            if before.is_some() {
                lines.push(String::new());
            }
            lines.push(Paint::Bold.on(&now.long_day(event.at), paper.colours));
        } else if let Some(before) = before {
            let pause = event.at.saturating_sub(before.at);
            if pause >= PAUSE_NS {
                let hours = many(pause / PAUSE_NS, "hour");
                lines.push(Paint::Dim.on(&format!("          {hours} later"), paper.colours));
            }
        }
        let line = format!("{}  {}", now.clock(event.at), shown(&event.to_string()));
        let line = paper.width.map_or(line.clone(), |width| cut(&line, width));
        lines.push(paint(event.kind).on(&line, paper.colours));
        before = Some(event);
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn paint(kind: EventKind) -> Paint {
    match kind {
        EventKind::Shed => Paint::Red,
        EventKind::Flag => Paint::Yellow,
        _ => Paint::Plain,
    }
}
