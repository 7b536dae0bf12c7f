//! One change of the last file, and what it would do to people.

use std::path::Path;

use ioprofiler::flags::{Enabled, FlagSpec, Shed};

use super::files::Loaded;
use super::note;
use super::{json_text, toml_text};
use crate::options::Wrong;

/// What is to stand in the last file.
pub(super) enum Change {
    /// `enabled` of a flag.
    Enable {
        flag: String,
        value: Wanted,
        note: String,
    },
    /// Nothing about `enabled` of a flag.
    Clear { flag: String },
    /// What is shed.
    Shed(Shed),
    /// That nothing is shed, whatever an earlier file says.
    ShedNothing { note: String },
    /// Nothing about shedding.
    ClearShed,
}

/// A value of `enabled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `on`, `off`, a variant's name, `10%`.
    Word(String),
    /// Name and percentage.
    Shares(Vec<(String, String)>),
}

impl Wanted {
    /// From `off`, `10%`, `10` or `blue=10,green=20`.
    pub(super) fn parse(text: &str) -> Self {
        let percent = |text: &str| {
            let text = text.trim();
            let number = text.strip_suffix('%').unwrap_or(text);
            let is_number =
                number.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.');
            is_number.then(|| format!("{number}%"))
        };
        if text.contains('=') {
            let shares = text.split(',').map(|part| {
                let (name, share) = part.split_once('=').unwrap_or((part, ""));
                let share = percent(share).unwrap_or_else(|| share.trim().to_owned());
                (name.trim().to_owned(), share)
            });
            return Self::Shares(shares.collect());
        }
        Self::Word(percent(text).unwrap_or_else(|| text.trim().to_owned()))
    }

    /// As [`Self::parse`] takes it.
    pub(super) fn of(enabled: &Enabled) -> String {
        match enabled {
            Enabled::Off => "off".to_owned(),
            Enabled::All(variant) => variant.clone(),
            Enabled::Shares(shares) => match &**shares {
                [] => "0%".to_owned(),
                [(name, share)] if name == "on" => format!("{share}%"),
                shares => {
                    let parts = shares.iter().map(|(name, share)| format!("{name}={share}"));
                    parts.collect::<Vec<_>>().join(",")
                }
            },
            _ => "0%".to_owned(),
        }
    }
}

/// The variants that a flag has, in all of these forms of it.
pub(super) fn variants<'a>(forms: &[&'a FlagSpec]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for form in forms {
        let shares = match &form.enabled {
            Enabled::Shares(shares) => shares.as_slice(),
            _ => &[],
        };
        names.extend(shares.iter().map(|(name, _)| name.as_str()));
        names.extend(form.variants.iter().map(|(name, _)| name.as_str()));
        names.extend(form.data.iter().map(|(name, _)| name.as_str()));
        let lists = form.users.iter().chain(&form.groups);
        names.extend(lists.map(|(_, variant)| variant.as_str()));
    }
    names.retain(|name| !["on", "off", "dark"].contains(name));
    names.sort_unstable();
    names.dedup();
    names.extend(["on", "off"]);
    names
}

/// The file's text with the change in it.
pub(super) fn apply(path: &Path, text: &str, change: &Change) -> Result<String, Wrong> {
    let is_json = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'),
    };
    let changed = if is_json {
        let text = if text.trim().is_empty() { "{}\n" } else { text };
        json_text::change(text, change)
    } else {
        toml_text::change(text, change).map(|text| {
            let text = text.trim_start_matches('\n');
            if text.trim().is_empty() {
                "# Nothing is switched here.\n".to_owned()
            } else {
                text.to_owned()
            }
        })
    };
    changed.map_err(|error| Wrong::Failed(format!("{}: {error}", path.display())))
}

/// Whether a flag is off for all, and why.
fn off_because(flag: &FlagSpec, shed: Option<&Shed>) -> Option<String> {
    if flag.enabled == Enabled::Off {
        return Some("switched off".to_owned());
    }
    let (priority, shed) = (flag.priority?, shed?);
    (priority >= shed.from).then(|| format!("priority {priority}, shed"))
}

/// What changes for people between two states, flag by flag, first to go first.
pub(super) fn effects(before: &Loaded, after: &Loaded) -> Vec<String> {
    let old_shed = before.reading.document.shed.as_ref();
    let new_shed = after.reading.document.shed.as_ref();
    let mut flags: Vec<&FlagSpec> = after.flags().iter().collect();
    flags.sort_by_key(|flag| std::cmp::Reverse(flag.priority.unwrap_or(0)));
    let mut lines = Vec::new();
    for flag in flags {
        let Some(old) = before.flag(&flag.name) else {
            lines.push(format!("new      {}: {}", flag.name, flag.enabled));
            continue;
        };
        let name = note::one_line(&flag.name);
        match (off_because(old, old_shed), off_because(flag, new_shed)) {
            (None, Some(why)) => {
                lines.push(format!("goes off {name} ({why}; was {})", old.enabled));
            }
            (Some(why), None) => {
                lines.push(format!("comes on {name}: {} (was {why})", flag.enabled));
            }
            (None, None) if old.enabled != flag.enabled => {
                let (old, new) = (&old.enabled, &flag.enabled);
                lines.push(format!("changes  {name}: {new} (was {old})"));
            }
            (Some(old), Some(new)) if old != new => {
                lines.push(format!("stays off {name} ({new}; was {old})"));
            }
            _ => {}
        }
    }
    with_dark(lines, old_shed, new_shed)
}

/// Any shedding ends all dark work.
fn with_dark(mut lines: Vec<String>, before: Option<&Shed>, after: Option<&Shed>) -> Vec<String> {
    match (before, after) {
        (None, Some(_)) => lines.push("goes off all that runs dark".to_owned()),
        (Some(_), None) => lines.push("comes on all that runs dark".to_owned()),
        _ => {}
    }
    lines
}
