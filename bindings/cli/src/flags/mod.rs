//! `ioprofiler flags`: look at flags, check their files, switch them at night.

mod change;
mod check;
mod edit;
mod eval;
mod event;
mod files;
mod given;
mod json_text;
mod list;
mod moves;
mod note;
mod status;
mod toml_text;
mod write;

use edit::Deed;
pub(crate) use files::state_dir;
use given::Given;
pub(crate) use note::who;

use crate::Done;
use crate::options::{Options, Wrong};
use ioprofiler::flags::file::{Problem, Reading, Severity};

const HELP: &str = "\
usage: ioprofiler flags off NAME     [--reason WHY] [--dry-run]   off for everybody
       ioprofiler flags on NAME      [--reason WHY] [--dry-run]   on for everybody
       ioprofiler flags set NAME 10% [--reason WHY] [--dry-run]   or blue=10,green=20
       ioprofiler flags shed N|none  [--reason WHY] [--dry-run]   priorities N to 9 are off
       ioprofiler flags clear [NAME] [--dry-run]                  as the files below say
       ioprofiler flags list [FILE...] [--markdown|--json]        the ladder, by priority
       ioprofiler flags status [--json]                           what processes go by
       ioprofiler flags eval [FILE...] NAME [--user ID] [--visitor ID] [--request ID]
                        [--group NAME]... [--attr KEY=VALUE]... [--json]
       ioprofiler flags check [FILE...] [--against OLD]... [--users LIST]
                        [--deny warnings] [--json]

Which files, lowest layer first:
  --file FILE        for each of them
  --state-dir DIR    those of the program that has DIR in its option state_dir
  or IOPROFILER_FLAGS=FILE:FILE or IOPROFILER_STATE_DIR=DIR in the environment

Commands write the last file only, in one step, and say how to take it back; done
twice is the same as done once. Running programs follow within two seconds. Where
a state_dir is known, each change is an event there: see ioprofiler events.

  --reason WHY       kept beside the change, with the time and who it was
  --by WHO           who it was, where that is not the user
  --dry-run          say what goes off and what comes on, and write nothing
  --against OLD      count who would get something else, and say what became of the
                     numbers of the log; once for each layer
  --users LIST       of these people: a file, an id a line

Exit status: 0 done or good, 1 not, 2 wrongly called.
";

const FILES: [&str; 2] = ["--file", "--state-dir"];

pub(crate) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let word = options.word()?;
    let Some(word) = word.as_deref() else {
        if options.wants_help() {
            return Ok(Done::said(HELP));
        }
        return Err(Wrong::Usage(format!("flags what?\n\n{HELP}")));
    };
    let own: &[&str] = match word {
        "off" | "on" | "set" | "shed" | "clear" => &["--reason", "--by", "--dry-run"],
        "check" => &["--against", "--users", "--deny", "--json"],
        "list" => &["--markdown", "--json"],
        "eval" | "explain" => &[
            "--user",
            "--visitor",
            "--request",
            "--group",
            "--attr",
            "--json",
        ],
        "status" => &["--json"],
        other => {
            let meant = nearest(other, WORDS);
            return Err(Wrong::Usage(format!(
                "flags {other} is not known{meant}; allowed: {}",
                WORDS.join(", ")
            )));
        }
    };
    let allowed: Vec<&str> = own.iter().chain(&FILES).copied().collect();
    let given = Given::parse(options, &allowed)?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    match word {
        "off" => edit::run(&Deed::Off, given),
        "on" => edit::run(&Deed::On, given),
        "set" => edit::run(&Deed::Set, given),
        "shed" => edit::run(&Deed::Shed, given),
        "clear" => edit::run(&Deed::Clear, given),
        "check" => check::run(given),
        "list" => list::run(given),
        "status" => status::run(given),
        _ => eval::run(given),
    }
}

const WORDS: [&str; 9] = [
    "off", "on", "set", "shed", "clear", "list", "status", "eval", "check",
];

/// `; did you mean x?`, where one name is near.
fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    ioprofiler::flags::file::did_you_mean(word, names)
}

/// `1 flag`, `2 flags`.
fn counted(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

/// Said below what a command did with files in which something is wrong: the first of it.
fn remark(reading: &Reading) -> Option<String> {
    let error = |problem: &&Problem| problem.severity == Severity::Error;
    let first = reading.problems.iter().find(error)?;
    let further = match reading.errors() {
        1 => String::new(),
        errors => format!("; and {} more, see `ioprofiler flags check`", errors - 1),
    };
    Some(format!("{first}{further}\n"))
}
