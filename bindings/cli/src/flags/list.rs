//! `flags list`: the ladder, by priority, as product and operations look at it together.

use std::fmt::Write as _;

use ioprofiler::flags::{Enabled, FlagSpec, Shed};
use serde_json::json;

use super::files::{Files, Loaded};
use super::given::Given;
use super::{note, remark};
use crate::options::Wrong;
use crate::{Done, time};

/// One rung.
struct Row {
    priority: String,
    name: String,
    state: String,
    owner: String,
    expires: String,
    /// Which later file says something over an earlier one, and who did it since when.
    overlaid: String,
    description: String,
}

pub(super) fn run(mut given: Given) -> Result<Done, Wrong> {
    let named = given.named_files();
    let files = Files::of(&named, given.state_dir.as_ref())?;
    let loaded = files.load();
    let shed = loaded.reading.document.shed.as_ref();
    let mut flags: Vec<&FlagSpec> = loaded.flags().iter().collect();
    flags.sort_by_key(|flag| (flag.priority.unwrap_or(0), flag.name.clone()));
    let rows: Vec<Row> = flags.iter().map(|flag| row(flag, shed, &loaded)).collect();
    let mut done = Done::said(if given.json {
        as_json(&rows, shed)
    } else if given.markdown {
        as_markdown(&rows, shed)
    } else {
        as_text(&rows, shed)
    });
    if let Some(remark) = remark(&loaded.reading) {
        done.remarks = remark;
        done.yes = false;
    }
    Ok(done)
}

fn row(flag: &FlagSpec, shed: Option<&Shed>, loaded: &Loaded) -> Row {
    let enabled = flag.enabled.to_string();
    let is_shed = flag
        .priority
        .zip(shed)
        .is_some_and(|(priority, shed)| priority >= shed.from);
    let mut state = match (&flag.broken, is_shed) {
        (Some(_), _) => "broken".to_owned(),
        (None, true) if flag.enabled != Enabled::Off => format!("shed ({enabled})"),
        _ => enabled,
    };
    let count = flag.groups.len() + flag.users.len();
    if flag.enabled != Enabled::Off && !is_shed && count > 0 {
        let _ = write!(state, " + {count} listed");
    }
    if let Some(dark) = flag.dark.filter(|_| flag.enabled != Enabled::Off) {
        let _ = write!(state, ", dark {dark}%");
    }
    let expires = flag.expires.clone().unwrap_or_default();
    let late = !expires.is_empty() && expires < time::today();
    Row {
        priority: flag
            .priority
            .map_or_else(|| "-".to_owned(), |priority| priority.to_string()),
        name: flag.name.clone(),
        state,
        owner: flag.owner.clone().unwrap_or_default(),
        expires: if late {
            format!("{expires} (over)")
        } else {
            expires
        },
        overlaid: overlaid(flag, loaded),
        description: flag.description.clone().unwrap_or_default(),
    }
}

/// `enabled by emergency.toml:3, switched off by ann at 2026-11-23T03:12:07Z: …`
fn overlaid(flag: &FlagSpec, loaded: &Loaded) -> String {
    let first = flag.place.file;
    let mut parts = Vec::new();
    for (key, place) in flag.keys.iter().filter(|(_, place)| place.file > first) {
        let file = loaded.reading.document.files.get(place.file as usize);
        let file = file.map_or("", String::as_str);
        let above = place.line.saturating_sub(1);
        let why = loaded.line(place.file, above).and_then(note::said);
        let why = why.map_or_else(|| age(file), |why| format!(", {why}"));
        parts.push(format!("{key} by {file}:{}{why}", place.line));
    }
    parts.join("; ")
}

/// What nobody left a note of is as old as its file.
fn age(file: &str) -> String {
    let about = std::fs::metadata(file);
    let changed = about.and_then(|about| about.modified()).ok();
    let since = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or_else(String::new, |since| {
        format!(", a file of {}", time::rfc3339(since.as_secs()))
    })
}

fn shed_line(shed: Option<&Shed>) -> String {
    let Some(shed) = shed else {
        return "nothing is shed".to_owned();
    };
    let mut line = format!("shed: priority {} to 9", shed.from);
    for (word, part) in [("by", &shed.by), ("at", &shed.at)] {
        if let Some(part) = part {
            let _ = write!(line, " {word} {}", note::one_line(part));
        }
    }
    if let Some(why) = &shed.why {
        let _ = write!(line, ": {}", note::one_line(why));
    }
    line
}

const HEAD: [&str; 6] = ["PRIORITY", "FLAG", "STATE", "OWNER", "EXPIRES", "OVERLAID"];

impl Row {
    fn cells(&self) -> [&str; 6] {
        [
            &self.priority,
            &self.name,
            &self.state,
            &self.owner,
            &self.expires,
            &self.overlaid,
        ]
    }
}

fn as_text(rows: &[Row], shed: Option<&Shed>) -> String {
    let cells: Vec<[String; 6]> = rows
        .iter()
        .map(|row| row.cells().map(note::one_line))
        .collect();
    let mut widths = HEAD.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = format!("{}\n", shed_line(shed));
    let head = HEAD.map(str::to_owned);
    for row in std::iter::once(&head).chain(&cells) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let gap = " ".repeat(width.saturating_sub(cell.chars().count()) + 2);
            let _ = write!(line, "{cell}{gap}");
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

fn as_markdown(rows: &[Row], shed: Option<&Shed>) -> String {
    let escape = |text: &str| {
        note::one_line(text)
            .replace('\\', "\\\\")
            .replace('|', "\\|")
            .replace('<', "&lt;")
    };
    let mut out = format!(
        "{}\n\n| Priority | Flag | State | Owner | Expires | What it is | Overlaid |\n| ---: | --- | --- | --- | --- | --- | --- |\n",
        escape(&shed_line(shed))
    );
    for row in rows {
        let _ = writeln!(
            out,
            "| {} | `{}` | {} | {} | {} | {} | {} |",
            row.priority,
            escape(&row.name),
            escape(&row.state),
            escape(&row.owner),
            escape(&row.expires),
            escape(&row.description),
            escape(&row.overlaid)
        );
    }
    out
}

fn as_json(rows: &[Row], shed: Option<&Shed>) -> String {
    let flags: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "priority": row.priority.parse::<u8>().ok(),
                "state": row.state,
                "owner": row.owner,
                "expires": row.expires,
                "description": row.description,
                "overlaid": row.overlaid,
            })
        })
        .collect();
    let shed =
        shed.map(|shed| json!({"from": shed.from, "why": shed.why, "by": shed.by, "at": shed.at}));
    format!("{:#}\n", json!({"shed": shed, "flags": flags}))
}
