//! `ioprofiler status`: one page that answers "is it well?".

use std::collections::BTreeMap;

use ioprofiler::collect::state::ProcessStatus;
use ioprofiler::render::shown::thousands;
use serde_json::{Value, json};

use super::Common;
use super::condition::{Condition, NS_PER_S, is_failing};
use super::rows::{many, total};
use super::table::{Paint, Paper, cut, json as to_json, shown};
use super::when::age;
use crate::Done;
use crate::options::{Options, Wrong};
use crate::time::roughly;

const HELP: &str = "\
usage: ioprofiler status [--json]

Prints one page that answers: is it well? Who runs, how many requests there are
and how many fail, who sends to whom, what was dropped, which flags are in
force, what was deployed last. The first line is the answer, the reasons are
below it: killed workers, stuck requests, 5 % of requests failing, a sink that
cannot be sent to, a full queue, flags that are wrong or not looked at.

  --json           for a program
  --state-dir DIR  as the program has it in its option state_dir
  or IOPROFILER_STATE_DIR=DIR in the environment

Exit status: 0 it is well, 1 it is not, 2 wrongly called.
";

const ALLOWED: &str = "--json, --state-dir";
/// Names stand in so many columns.
const NAMES: usize = 11;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let common = Common::parse(options, None, ALLOWED, |_, _| Ok(false))?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let mut folder = common.folder()?;
    let condition = Condition::of(&mut folder)?;
    let reasons = condition.reasons();
    let mut done = Done::said(if common.json {
        to_json(&as_json(&condition, &reasons, folder.passed_over()))
    } else {
        Page::of(&condition, &reasons).text
    });
    done.remarks = folder.remark();
    done.yes = reasons.is_empty();
    Ok(done)
}

struct Page {
    text: String,
    paper: Paper,
}

impl Page {
    fn of(condition: &Condition, reasons: &[String]) -> Self {
        let mut page = Self {
            text: String::new(),
            paper: Paper::stdout(),
        };
        let clock = condition.now.clock(condition.now.at);
        if reasons.is_empty() {
            page.line(&format!("well at {clock}"), Paint::Bold);
        } else {
            page.line(&format!("not well at {clock}"), Paint::Red);
        }
        for reason in reasons {
            page.line(&format!("  {reason}"), Paint::Red);
        }
        page.line("", Paint::Plain);
        page.processes(condition);
        page.requests(condition);
        page.kept_back(condition);
        page.sends(condition);
        page.flags(condition);
        page.deploy(condition);
        page
    }

    fn line(&mut self, line: &str, paint: Paint) {
        let line = self
            .paper
            .width
            .map_or(line.to_owned(), |width| cut(line, width));
        self.text.push_str(&paint.on(&line, self.paper.colours));
        self.text.push('\n');
    }

    fn entry(&mut self, name: &str, value: &str) {
        let line = format!("{name:<NAMES$}{value}");
        self.line(&line, Paint::Plain);
    }

    fn processes(&mut self, condition: &Condition) {
        let now = &condition.now;
        let running: Vec<&ProcessStatus> = condition.running().collect();
        let for_how_long = |process: &ProcessStatus| roughly(now.since(process.since) / NS_PER_S);
        let mut line = match &running[..] {
            [] => "none runs".to_owned(),
            [one] => format!("1 runs, pid {}, for {}", one.pid, for_how_long(one)),
            [first, .., last] => format!(
                "{} run, the first for {}, the last for {}",
                running.len(),
                for_how_long(first),
                for_how_long(last)
            ),
        };
        let versions = tally(
            running
                .iter()
                .filter_map(|process| process.version.as_deref()),
        );
        if !versions.is_empty() {
            line.push_str(&format!("; version {versions}"));
        }
        self.entry("processes", &line);
        self.ended(condition);
        for process in condition.killed() {
            self.entry(
                "",
                &format!(
                    "pid {} was killed in a request {}",
                    process.pid,
                    now.ago(process.at)
                ),
            );
        }
        let memory: Vec<u64> = running
            .iter()
            .filter_map(|process| process.memory)
            .collect();
        if let Some(most) = memory.iter().max() {
            let mib = |bytes: u64| thousands(bytes >> 20);
            let of = match memory.len() {
                1 => String::new(),
                many => format!(" in {many} processes, {} MiB in the largest", mib(*most)),
            };
            self.entry(
                "memory",
                &format!("{} MiB{of}", mib(total(memory.iter().copied()))),
            );
        }
    }

    /// `3 ended within the hour, the last 4 min ago, 1 of them without a word`
    fn ended(&mut self, condition: &Condition) {
        let gone = condition
            .processes
            .iter()
            .filter(|process| !process.running);
        let gone: Vec<&ProcessStatus> = gone.collect();
        let Some(last) = gone.iter().map(|process| process.at).max() else {
            return;
        };
        let ago = condition.now.ago(last);
        let silently = gone.iter().filter(|process| !process.ended).count();
        let line = match (gone.len(), silently) {
            (1, 0) => format!("1 ended {ago}"),
            (1, _) => format!("1 ended {ago}, without a word"),
            (many, 0) => format!("{many} ended within the hour, the last {ago}"),
            (many, silently) => {
                format!("{many} ended within the hour, the last {ago}, {silently} without a word")
            }
        };
        self.entry("", &line);
    }

    fn requests(&mut self, condition: &Condition) {
        let minutes = condition.by_minute();
        let [.., (requests, failed)] = minutes;
        let share = failed as f64 * 100.0 / (requests as f64).max(1.0);
        let (live, oldest) = condition.in_flight();
        let oldest = oldest.map_or_else(String::new, |oldest| {
            format!(", the oldest for {}", age(oldest))
        });
        self.entry(
            "requests",
            &format!(
                "{} in the last minute, {share:.1} % failed",
                thousands(requests)
            ),
        );
        let most = minutes
            .iter()
            .map(|(requests, _)| *requests)
            .max()
            .unwrap_or(0);
        if most > 0 {
            let bars: String = minutes
                .iter()
                .map(|(requests, _)| bar(*requests, most))
                .collect();
            self.entry(
                "",
                &format!("{bars} 15 minutes, at most {} a minute", thousands(most)),
            );
        }
        self.entry("", &format!("{live} in flight{oldest}"));
    }

    /// The queue, and what was not kept.
    fn kept_back(&mut self, condition: &Condition) {
        let mut dropped: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in condition.running().flat_map(|process| &process.dropped) {
            let sum = dropped.entry(reason).or_default();
            *sum = sum.saturating_add(*count);
        }
        let queue = dropped.remove("queue").unwrap_or(0);
        let waiting = total(condition.running().map(|process| process.queued));
        self.entry(
            "queue",
            &format!("{} wait, {} dropped", thousands(waiting), thousands(queue)),
        );
        let others = dropped.iter().filter(|(_, count)| **count > 0);
        let others: Vec<String> = others
            .map(|(reason, count)| format!("{} {}", thousands(*count), shown(reason)))
            .collect();
        if !others.is_empty() {
            self.entry("not kept", &others.join(", "));
        }
    }

    fn sends(&mut self, condition: &Condition) {
        let now = &condition.now;
        let Some(leader) = condition.leader() else {
            self.entry("sends", "nobody");
            return;
        };
        if leader.sinks.is_empty() {
            self.entry(
                "sends",
                &format!("pid {} would, but has no sinks", leader.pid),
            );
            return;
        }
        self.entry("sends", &format!("pid {}", leader.pid));
        for sink in &leader.sinks {
            let mut line = format!(
                "{}: {} sent, {} dropped",
                shown(&sink.name),
                thousands(sink.sent),
                thousands(sink.dropped)
            );
            if sink.sent_at > 0 {
                line.push_str(&format!(", the last {}", now.ago(sink.sent_at)));
            }
            if sink.failures > 0 {
                line.push_str(&format!("; failed {}", many(sink.failures, "time")));
                line.push_str(&format!(", the last {}", now.ago(sink.failed_at)));
            }
            let line = format!("{:NAMES$}{line}", "");
            let failing = is_failing(sink);
            self.line(&line, if failing { Paint::Red } else { Paint::Plain });
            // Where it still fails this is above.
            if sink.failures > 0 && !failing {
                self.entry("", &format!("  {}", shown(&sink.why)));
            }
        }
    }

    fn flags(&mut self, condition: &Condition) {
        let now = condition.now.at / NS_PER_S;
        let Some(oldest) = condition.flags.iter().min_by_key(|status| status.looked_at) else {
            self.entry("flags", "no process has any in files");
            return;
        };
        let short = |version: &'_ str| version.get(..4).unwrap_or(version).to_owned();
        let versions: Vec<String> = condition
            .flags
            .iter()
            .map(|status| short(&status.version))
            .collect();
        let mut line = tally(versions.iter().map(String::as_str));
        let ago = |at: u64| roughly(now.saturating_sub(at));
        line.push_str(&format!("; looked at {} ago", ago(oldest.looked_at)));
        let changed = condition.flags.iter().map(|status| status.changed_at).max();
        if let Some(changed @ 1..) = changed {
            line.push_str(&format!(", changed {} ago", ago(changed)));
        }
        self.entry("flags", &line);
        let shed = condition
            .flags
            .iter()
            .filter_map(|status| status.shed)
            .min();
        let Some(from) = shed else {
            self.entry("", "nothing is shed");
            return;
        };
        let mut line = format!("priority {from} to 9 are shed");
        if let Some(event) = &condition.shed {
            line.push_str(&format!(", {}", condition.now.ago(event.at)));
            if let Some(who) = &event.who {
                line.push_str(&format!(" by {}", shown(who)));
            }
            if let Some(why) = &event.why {
                line.push_str(&format!(": {}", shown(why)));
            }
        }
        let line = format!("{:NAMES$}{line}", "");
        self.line(&line, Paint::Yellow);
    }

    fn deploy(&mut self, condition: &Condition) {
        let line = condition.deploy.as_ref().map(|deploy| {
            let said = shown(&deploy.to_string());
            let said = said.strip_prefix("deploy ").unwrap_or(&said);
            format!("{said}, {}", condition.now.ago(deploy.at))
        });
        self.entry("deploy", line.as_deref().unwrap_or("none was told"));
    }
}

/// `8c1f`; of several, how many have which: `8c1f (7), 77a1 (1)`.
fn tally<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    if let (1, Some(name)) = (counts.len(), counts.keys().next()) {
        return shown(name);
    }
    let counts = counts
        .iter()
        .map(|(name, count)| format!("{} ({count})", shown(name)));
    counts.collect::<Vec<_>>().join(", ")
}

/// How much that is, beside the most.
fn bar(count: u64, most: u64) -> char {
    let height = count
        .saturating_mul(BARS.len() as u64 - 1)
        .div_ceil(most.max(1));
    let bar = BARS.get(usize::try_from(height).unwrap_or(0));
    bar.copied().unwrap_or('█')
}

fn as_json(condition: &Condition, reasons: &[String], passed_over: u64) -> Value {
    let processes = condition.processes.iter().map(|process| {
        let mut value = serde_json::to_value(process).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.insert("running".to_owned(), process.running.into());
        }
        value
    });
    let minutes = condition.by_minute();
    let [.., (requests, failed)] = minutes;
    let (in_flight, oldest) = condition.in_flight();
    let killed = condition.killed();
    json!({
        "at": condition.now.at,
        "well": reasons.is_empty(),
        "reasons": reasons,
        "processes": processes.collect::<Vec<_>>(),
        "killed": killed.iter().map(|process| process.pid).collect::<Vec<_>>(),
        "requests": {
            "last_minute": requests,
            "failed": failed,
            "by_minute": minutes.map(|(requests, _)| requests),
            "in_flight": in_flight,
            "oldest_ns": oldest,
        },
        "sends": condition.leader().map(|leader| leader.pid),
        "flags": condition.flags,
        "deploy": condition.deploy,
        "passed_over": passed_over,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_with_what_they_count() {
        let bars: String = [0, 1, 50, 99, 100]
            .iter()
            .map(|count| bar(*count, 100))
            .collect();
        assert_eq!(bars, "▁▂▅██");
        assert_eq!(bar(0, 0), '▁');
    }

    #[test]
    fn names_are_counted_where_there_are_several() {
        assert_eq!(tally(["a", "a"].into_iter()), "a");
        assert_eq!(tally(["b", "a", "b"].into_iter()), "a (1), b (2)");
        assert_eq!(tally([].into_iter()), "");
    }
}
