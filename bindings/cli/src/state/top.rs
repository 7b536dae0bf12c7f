//! `ioprofiler top`: what every worker is in right now.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use ioprofiler::collect::state::live_processes;

use super::rows::Doings;
use super::screen::{Asked, Screen};
use super::table::{Paint, Paper, cut, json, safe_json, shown};
use super::when::Now;
use super::{Common, duration, ns};
use crate::Done;
use crate::options::{Options, Wrong};

const HELP: &str = "\
usage: ioprofiler top [--once|--every TIME] [--since TIME] [--json]

Prints what every worker is in right now: its pid, for how long, which page,
and the call that it has not come back from. The oldest is first. Workers that
were killed, and what they were in, come last; idle ones are counted. Details
are fingerprints.

On a terminal it refreshes until q or Ctrl-C; else it prints once.

  --once           print once, also on a terminal
  --every TIME     refresh so often, 1s if not given
  --since TIME     workers that were killed within that time, 15m if not given;
                   they are known for a day
  --json           for a program, times in nanoseconds; an object for each look
  --state-dir DIR  as the program has it in its option state_dir
  or IOPROFILER_STATE_DIR=DIR in the environment

A worker is seen from the first request on that ended in it, and says each
second what it is in. Silent is one that runs and has not said so for 5 s:
stopped, or starved.
";

const ALLOWED: &str = "--once, --every, --since, --json, --state-dir";

struct Top {
    common: Common,
    once: bool,
    every: Option<Duration>,
    since: Duration,
}

pub(super) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let (mut once, mut every, mut since) = (false, None, Duration::from_secs(15 * 60));
    let common = Common::parse(options, None, ALLOWED, |name, options| {
        match name {
            "--once" => once = true,
            "--every" => every = Some(duration(name, options)?),
            "--since" => since = duration(name, options)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    if once && every.is_some() {
        return Err(Wrong::Usage(
            "--once and --every cannot both say how often".to_owned(),
        ));
    }
    let top = Top {
        common,
        once,
        every,
        since,
    };
    let is_terminal = is_a_screen();
    if top.once || (top.every.is_none() && (!is_terminal || top.common.json)) {
        return top.once();
    }
    let every = top.every.unwrap_or(Duration::from_secs(1));
    if is_terminal && !top.common.json {
        top.on_screen(every)
    } else {
        top.on_and_on(every)
    }
}

impl Top {
    fn look(&self) -> Result<(Now, Doings, String, u64), Wrong> {
        let mut folder = self.common.folder()?;
        let processes = folder.read(live_processes)?;
        let now = Now::new();
        let doings = Doings::of(processes, &now, ns(self.since));
        Ok((now, doings, folder.remark(), folder.passed_over()))
    }

    fn once(&self) -> Result<Done, Wrong> {
        let (now, doings, remarks, passed_over) = self.look()?;
        let mut done = Done::said(if self.common.json {
            json(&doings.json(&now, passed_over))
        } else {
            text(&doings, &now)
        });
        done.remarks = remarks;
        done.yes = doings.has_anybody();
        Ok(done)
    }

    /// Into a pipe or a file: one look behind the other.
    fn on_and_on(&self, every: Duration) -> Result<Done, Wrong> {
        let mut out = std::io::stdout();
        loop {
            let (now, doings, _, passed_over) = self.look()?;
            let said = if self.common.json {
                format!(
                    "{}\n",
                    safe_json(&doings.json(&now, passed_over).to_string())
                )
            } else {
                format!("{}\n{}\n", now.clock(now.at), text(&doings, &now))
            };
            // A reader that has left (`| head -1`) ends it.
            if out
                .write_all(said.as_bytes())
                .and_then(|()| out.flush())
                .is_err()
            {
                return Ok(Done::said(""));
            }
            std::thread::sleep(every);
        }
    }

    fn on_screen(&self, every: Duration) -> Result<Done, Wrong> {
        // What is wrong from the beginning is said where it can be read on.
        self.look()?;
        let failed = |error: std::io::Error| Wrong::Failed(format!("the terminal: {error}"));
        let mut screen = Screen::enter().map_err(failed)?;
        loop {
            let next = Instant::now() + every;
            let paper = Paper::stdout();
            let height = screen.height();
            let lines = match self.look() {
                Ok(looked) => frame(&looked, paper, height),
                // The folder may be back at the next look.
                Err(Wrong::Usage(message) | Wrong::Failed(message)) => vec![shown(&message)],
            };
            if screen.draw(&lines).is_err() {
                return Ok(Done::said(""));
            }
            match screen.wait(next).map_err(failed)? {
                Asked::Nothing => {}
                Asked::Leave => return Ok(Done::said("")),
            }
        }
    }
}

/// A terminal that can be written over.
fn is_a_screen() -> bool {
    let is_able = std::env::var_os("TERM").is_some_and(|term| term != "dumb" && !term.is_empty());
    std::io::stdout().is_terminal() && is_able
}

fn text(doings: &Doings, now: &Now) -> String {
    let paper = Paper::stdout();
    let mut lines = doings.head();
    let table = doings.table(now, paper.width);
    if !table.is_empty() {
        lines.push(String::new());
        lines.extend(table.lines(paper));
    }
    let foot = doings.foot();
    // That all are idle is in the head.
    if !table.is_empty() && !foot.is_empty() {
        lines.push(String::new());
        lines.extend(foot);
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// As much as the screen has room for: the oldest rows, and what must not be missed below them.
fn frame(
    (now, doings, remarks, _): &(Now, Doings, String, u64),
    paper: Paper,
    height: usize,
) -> Vec<String> {
    let width = paper.width.unwrap_or(usize::MAX);
    let mut lines = vec![format!("{}  q leaves", now.clock(now.at))];
    lines.extend(doings.head());
    let mut lines: Vec<String> = lines.iter().map(|line| cut(line, width)).collect();
    if let Some(head) = lines.get_mut(1) {
        *head = Paint::Bold.on(head, paper.colours);
    }
    lines.push(String::new());
    let table = doings.table(now, paper.width);
    let rows = if table.is_empty() {
        Vec::new()
    } else {
        table.lines(paper)
    };
    let mut foot = doings.foot();
    foot.extend(remarks.lines().map(str::to_owned));
    let room = height.saturating_sub(lines.len() + foot.len() + 1);
    if rows.len() > room {
        let shown = room.saturating_sub(1);
        lines.extend(rows.iter().take(shown).cloned());
        lines.push(format!("and {} more", rows.len() - shown));
    } else {
        lines.extend(rows);
    }
    lines.push(String::new());
    lines.extend(foot.iter().map(|line| cut(line, width)));
    lines.truncate(height);
    lines
}
