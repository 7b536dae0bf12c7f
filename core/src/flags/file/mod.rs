//! Flag files → [`Document`]: TOML or JSON of the same shape, layered, and what is wrong in them.
//!
//! Nothing here fails. What is wrong in one flag concerns that flag: it keeps its last good form.
//! What breaks a file's shape concerns that file: all of its last good content stays. A flag that
//! is to be off is off even where something else in it is wrong: a kill switch is not lost to a
//! slip in another line. All of it is said as [`Problem`]s, for people who were woken up.
//!
//! Pure: [`Layer`]s in, [`Reading`] out. [`source`](crate::flags::source) looks at the disk.

mod enabled;
mod flag;
mod json;
mod members;
mod names;
mod nearest;
mod node;
mod numbers;
mod overlay;
mod plain;
mod problem;
mod rules;
mod shares;
mod shed;
mod toml;
mod toml_message;
mod variants;
mod write;

use super::model::Document;
pub use nearest::did_you_mean;
use node::Table;
pub use numbers::renumbered;
use problem::Findings;
pub(crate) use problem::{Lines, shown};
pub use problem::{Problem, Severity};
pub use rules::advise;
use std::path::PathBuf;
use std::sync::Arc;
pub use write::native_json;

/// A longer file is not read.
pub const MAX_FILE: usize = 4 << 20;
/// Files at most.
pub const MAX_LAYERS: usize = 16;
/// Flags at most, of all files together.
pub const MAX_FLAGS: usize = 10_000;
/// Levels of nesting, at most.
pub(crate) const MAX_DEPTH: usize = 32;

/// One of the files, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name, as it is to be shown. What ends in `.json` is read as JSON, all else as TOML,
    /// unless it begins with `{`.
    pub path: PathBuf,
    /// What it says.
    pub content: Content,
}

impl Layer {
    /// A file with this text.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        Self {
            path: path.into(),
            content: Content::Text(text.into()),
        }
    }
}

/// What was found at a file's name.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// This text.
    Text(Arc<str>),
    /// No file, and none was expected yet: a layer that nobody has written to.
    NotYet,
    /// Something that cannot be read: why, and what to do.
    Unreadable(String),
}

impl Content {
    /// A file of more than [`MAX_FILE`] bytes.
    #[must_use]
    pub fn too_long() -> Self {
        Self::Unreadable(format!(
            "longer than {} MiB, which no flags file is; is it the right one?",
            MAX_FILE >> 20
        ))
    }

    /// From a file's bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        if bytes.len() > MAX_FILE {
            return Self::too_long();
        }
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Self::Unreadable("this is UTF-16; save the file as UTF-8".to_owned());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.trim_start_matches('\u{feff}').into()),
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
                Self::Unreadable(format!(
                    "line {line} has bytes that are not UTF-8; save the file as UTF-8"
                ))
            }
        }
    }
}

/// What was in force before.
#[derive(Clone, Copy, Debug)]
pub struct LastGood<'a> {
    /// The layers' texts, `None` where a layer had none yet.
    pub layers: &'a [Option<Arc<str>>],
    /// What they said.
    pub document: &'a Document,
}

/// What layers say, taken together.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What is to be in force.
    pub document: Document,
    /// The text of each layer that holds: the new one, or the last good one.
    pub layers: Vec<Option<Arc<str>>>,
    /// What is wrong, in the order of files and lines.
    pub problems: Vec<Problem>,
    /// Layers (by index) whose last good content holds, or nothing where there is none.
    pub kept_layers: Vec<usize>,
    /// Flags that keep their last good form.
    pub kept_flags: Vec<String>,
    /// Flags that are wrong and have no last good form.
    pub broken_flags: Vec<String>,
}

impl Reading {
    /// Whether all of it is as it is written: nothing keeps an older form, nothing is broken.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.kept_layers.is_empty() && self.kept_flags.is_empty() && self.broken_flags.is_empty()
    }

    /// How many of the problems are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        let of = |problem: &&Problem| problem.severity == Severity::Error;
        self.problems.iter().filter(of).count()
    }
}

/// Reads layers, lowest first, over what was in force before.
#[must_use]
pub fn read(layers: &[Layer], last: Option<LastGood<'_>>) -> Reading {
    let mut findings = Findings::default();
    let mut kept_layers = Vec::new();
    let mut texts: Vec<Option<Arc<str>>> = Vec::new();
    let mut tables = Vec::new();
    for (at, layer) in layers.iter().enumerate().take(MAX_LAYERS) {
        let (mut text, table) = content(at, layer, &mut findings);
        let mut table = table.unwrap_or_default();
        if findings.is_bad_layer(at) {
            kept_layers.push(at);
            let kept = last.and_then(|last| last.layers.get(at)?.as_ref());
            findings.mute(at);
            table = older(at, layer, kept.map(|text| &**text), &mut findings);
            text = kept.cloned();
        }
        texts.push(text);
        tables.push(table);
    }
    let named: Vec<(PathBuf, Arc<str>)> = layers
        .iter()
        .zip(&texts)
        .map(|(layer, text)| (layer.path.clone(), text.clone().unwrap_or_default()))
        .collect();
    let mut reading = overlay::overlay(
        &named,
        &tables,
        last.map(|last| last.document),
        &mut findings,
    );
    let between = numbers::between_flags(&reading.document, &named);
    // What is wrong is shown in the text as it was found, which is not always the one that holds.
    let found: Vec<(PathBuf, &str)> = layers
        .iter()
        .map(|layer| match &layer.content {
            Content::Text(text) => (layer.path.clone(), &**text),
            _ => (layer.path.clone(), ""),
        })
        .collect();
    reading.problems = findings.into_problems(&found);
    let new = |problem: &Problem| {
        let of = |at: &usize| {
            layers
                .get(*at)
                .is_some_and(|layer| layer.path == problem.file)
        };
        !kept_layers.iter().any(of)
    };
    reading.problems.extend(between.into_iter().filter(new));
    reading.layers = texts;
    reading.kept_layers = kept_layers;
    reading
}

/// The text and the tables of a layer; where it cannot be used, that is among the findings.
fn content<'t>(
    at: usize,
    layer: &'t Layer,
    findings: &mut Findings,
) -> (Option<Arc<str>>, Option<Table<'t>>) {
    let text = match &layer.content {
        Content::NotYet => return (None, None),
        Content::Unreadable(why) => {
            findings.whole_layer(at, why.clone());
            return (None, None);
        }
        Content::Text(text) if text.trim().is_empty() => {
            findings.whole_layer(
                at,
                "empty, as a file is while it is being written; for no flags at all leave a comment in it, as in: # none",
            );
            return (None, None);
        }
        Content::Text(text) if text.len() > MAX_FILE => {
            findings.whole_layer(at, format!("more than {} MiB", MAX_FILE >> 20));
            return (None, None);
        }
        Content::Text(text) => text,
    };
    let table = parse(at, layer, text, findings);
    if !findings.is_bad_layer(at) {
        overlay::top_level(at, &table, findings);
    }
    (Some(Arc::clone(text)), Some(table))
}

/// A foreign parser's panic would be its bug and our host's crash.
fn parse<'t>(at: usize, layer: &Layer, text: &'t str, findings: &mut Findings) -> Table<'t> {
    let is_json = match layer
        .path
        .extension()
        .and_then(|extension| extension.to_str())
    {
        Some("json") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'),
    };
    let parsed = std::panic::catch_unwind(|| {
        let mut findings = Findings::default();
        let table = if is_json {
            json::read(at, text, &mut findings)
        } else {
            toml::read(at, text, &mut findings)
        };
        (table, findings)
    });
    match parsed {
        Ok((table, found)) => {
            findings.take(found);
            table
        }
        Err(_) => {
            findings.whole_layer(
                at,
                "this content stops the parser; please report it as a bug",
            );
            Table::default()
        }
    }
}

/// The last good content of a layer. What was wrong in it was said when it was new.
fn older<'t>(
    at: usize,
    layer: &Layer,
    text: Option<&'t str>,
    findings: &mut Findings,
) -> Table<'t> {
    let Some(text) = text else {
        return Table::default();
    };
    let mut found = Findings::default();
    let table = parse(at, layer, text, &mut found);
    findings.take_bad_flags(found);
    table
}
