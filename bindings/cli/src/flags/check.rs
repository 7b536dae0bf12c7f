//! `flags check`: what is wrong in flag files, before they are deployed.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use ioprofiler::flags::file::{Problem, Severity};
use serde_json::json;

use super::counted;
use super::files::{Files, Loaded};
use super::given::Given;
use super::moves::{self, Move};
use crate::Done;
use crate::options::Wrong;

pub(super) fn run(mut given: Given) -> Result<Done, Wrong> {
    let named = given.named_files();
    let files = Files::of(&named, given.state_dir.as_ref())?;
    let loaded = files.load();
    let old = against(&given.against)?;
    let problems = loaded.problems(old.as_ref());
    let count = |severity| {
        problems
            .iter()
            .filter(|problem| problem.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let users = given.users_file.as_deref();
    let moves = old
        .map(|old| moves::between(&old, &loaded, users))
        .transpose()?;
    let mut done = Done::said(if given.json {
        as_json(&loaded, &problems, errors, warnings, moves.as_deref())
    } else {
        as_text(
            &files,
            &loaded,
            &problems,
            errors,
            warnings,
            moves.as_deref(),
        )
    });
    done.yes = errors == 0 && !(given.deny_warnings && warnings > 0);
    Ok(done)
}

/// The older state that was named, which must be good.
fn against(files: &[PathBuf]) -> Result<Option<Loaded>, Wrong> {
    if files.is_empty() {
        return Ok(None);
    }
    let old = Files::of(files, None)?.load();
    if old.reading.errors() > 0 {
        let problems = old.reading.problems.iter();
        let said: Vec<String> = problems.map(ToString::to_string).collect();
        return Err(Wrong::Failed(format!("--against: {}", said.join("\n"))));
    }
    Ok(Some(old))
}

fn as_text(
    files: &Files,
    loaded: &Loaded,
    problems: &[Problem],
    errors: usize,
    warnings: usize,
    moves: Option<&[Move]>,
) -> String {
    let paint = Paint::of_terminal();
    let mut out = String::new();
    for problem in problems {
        let _ = writeln!(out, "{}", paint.problem(problem));
        if problem.line > 0 && !problem.source.trim().is_empty() {
            let source: String = problem
                .source
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            let _ = writeln!(out, "  {source}");
            let before = " ".repeat(problem.column.saturating_sub(1) as usize);
            let _ = writeln!(out, "  {before}{}", paint.in_colour("^", problem.severity));
        }
    }
    for line in moves.into_iter().flatten() {
        let _ = writeln!(out, "{line}");
    }
    if moves.is_some_and(<[Move]>::is_empty) {
        out.push_str("nobody moves\n");
    }
    let names: Vec<String> = files
        .paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let verdict = match (errors, warnings) {
        (0, 0) => "good".to_owned(),
        _ => format!(
            "{}, {}",
            counted(errors, "error"),
            counted(warnings, "warning")
        ),
    };
    let flags = counted(loaded.flags().len(), "flag");
    let _ = writeln!(out, "{}: {flags}, {verdict}", names.join(", "));
    out
}

fn as_json(
    loaded: &Loaded,
    problems: &[Problem],
    errors: usize,
    warnings: usize,
    moves: Option<&[Move]>,
) -> String {
    let problems: Vec<_> = problems
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file.display().to_string(),
                "line": problem.line,
                "column": problem.column,
                "severity": problem.severity.as_str(),
                "flag": problem.flag,
                "message": problem.message,
            })
        })
        .collect();
    let mut all = json!({
        "files": loaded.reading.document.files,
        "flags": loaded.flags().len(),
        "errors": errors,
        "warnings": warnings,
        "problems": problems,
    });
    if let (Some(moves), Some(object)) = (moves, all.as_object_mut()) {
        let moves = moves.iter().map(Move::to_json).collect();
        object.insert("moves".to_owned(), serde_json::Value::Array(moves));
    }
    format!("{all:#}\n")
}

/// Colours, where a person looks.
struct Paint {
    colours: bool,
}

impl Paint {
    fn of_terminal() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colours: std::io::stdout().is_terminal() && !unwanted,
        }
    }

    fn in_colour(&self, text: &str, severity: Severity) -> String {
        let code = if severity == Severity::Error {
            "1;31"
        } else {
            "1;33"
        };
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn problem(&self, problem: &Problem) -> String {
        let text = problem.to_string();
        let word = format!(": {}: ", problem.severity.as_str());
        match text.split_once(&word) {
            Some((place, message)) if self.colours => {
                let word = self.in_colour(problem.severity.as_str(), problem.severity);
                format!("{place}: {word}: {message}")
            }
            _ => text,
        }
    }
}
