//! The file → options, and what is wrong with it, each with its place.

use super::setting::{Setting, kind};
use super::slip;
use super::{Configurable, SINKS, Table, names, tables};
use crate::collect::kept::Keep;
use crate::error::Error;
use crate::flags::file::{Lines, did_you_mean, shown};
use crate::profiler::ProfilerBuilder;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A longer file is none of ours.
const MAX_FILE: u64 = 1 << 20;
/// More than so many lines of what is wrong are not said.
const MAX_SAID: usize = 20;

/// Reads a file into a builder. The error says all that is wrong, a line each.
pub(super) fn read_file(builder: &mut ProfilerBuilder, path: &Path) -> Result<(), Error> {
    let name = shown_path(path);
    let text = text_of(path).map_err(|why| Error::new(format!("{name}: {why}")))?;
    read_text(builder, name, &text, true)
}

/// As [`read_file`], of a text; without places where nobody wrote its lines.
pub(super) fn read_text(
    builder: &mut ProfilerBuilder,
    name: String,
    text: &str,
    has_places: bool,
) -> Result<(), Error> {
    let mut reader = Reader {
        lines: Lines::of(text),
        name,
        has_places,
        wrong: Vec::new(),
        table_begins: 0,
    };
    let (tree, slips) = DeTable::parse_recoverable(text);
    if slips.is_empty() {
        reader.take(builder, &tree);
    }
    reader.take_slips(&slips, text);
    reader.end()
}

fn shown_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.chars()
        .filter(|character| !character.is_control())
        .collect()
}

fn text_of(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)
        .map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err("no plain file; name a file".to_owned());
    }
    if about.len() > MAX_FILE {
        return Err("longer than 1 MiB, which no configuration is".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    String::from_utf8(bytes).map_err(|_| "no text in UTF-8".to_owned())
}

/// Reads one file.
pub(super) struct Reader<'a> {
    lines: Lines<'a>,
    name: String,
    has_places: bool,
    wrong: Vec<(usize, String)>,
    /// How much was wrong before the table that is being read.
    table_begins: usize,
}

impl Reader<'_> {
    /// `FILE:LINE:COLUMN`.
    pub(super) fn place(&self, offset: usize) -> String {
        if !self.has_places {
            return self.name.clone();
        }
        let (line, column, _) = self.lines.place(offset);
        format!("{}:{line}:{column}", self.name)
    }

    fn say(&mut self, offset: usize, message: String) {
        self.wrong.push((offset, message));
    }

    /// What is no TOML: of each line what comes first, which explains the rest.
    fn take_slips(&mut self, slips: &[toml::de::Error], text: &str) {
        let mut slips: Vec<_> = slips
            .iter()
            .map(|slip| (slip.span().unwrap_or(0..0), slip.message()))
            .collect();
        slips.sort_by_key(|(at, _)| at.start);
        let mut line = 0;
        for (at, said) in slips {
            let this = self.lines.line(at.start);
            if this != line {
                line = this;
                self.say(at.start, slip::message(said, &at, text));
            }
        }
    }

    /// What was wrong, in the order of the file.
    fn end(mut self) -> Result<(), Error> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        self.wrong.sort_by_key(|(offset, _)| *offset);
        let more = self.wrong.len().saturating_sub(MAX_SAID);
        let mut said: Vec<String> = self
            .wrong
            .iter()
            .take(MAX_SAID)
            .map(|(offset, message)| format!("{}: {message}", self.place(*offset)))
            .collect();
        if more != 0 {
            said.push(format!("{}: and {more} more", self.name));
        }
        Err(Error::new(said.join("\n")))
    }

    fn take(&mut self, builder: &mut ProfilerBuilder, tree: &Spanned<DeTable<'_>>) {
        let tables = tables();
        for (name, value) in tree.get_ref().iter() {
            let at = name.span().start;
            let name = name.get_ref();
            if let Some(table) = tables.iter().find(|table| table.name == name) {
                self.take_table(builder, table, at, value);
            } else if SINKS.contains(&&**name) {
                let said = format!(
                    "{name}: this program was built without it: the feature `{name}` of the crate ioprofiler"
                );
                self.say(at, said);
            } else if !self.set_key(builder, name, value) {
                let said = unknown_at_top(name, &tables);
                self.say(at, said);
            }
        }
        if let Some(folder) = tree.get_ref().get("state_dir") {
            builder.flag_files.state_dir_place = Some(self.place(folder.span().start));
        }
        let checked = builder.metrics.check_general();
        self.accept(ProfilerBuilder::NAME, 0, tree.get_ref(), checked);
    }

    fn take_table(
        &mut self,
        builder: &mut ProfilerBuilder,
        table: &Table,
        at: usize,
        value: &Spanned<DeValue<'_>>,
    ) {
        let name = table.name;
        match value.get_ref() {
            DeValue::Table(keys) => {
                (table.take)(builder, self, value.span().start, keys);
            }
            DeValue::Array(list) if list.iter().all(is_table) && !list.is_empty() => {
                if !table.several && list.len() > 1 {
                    let second = list.get(1).map_or(at, |item| item.span().start);
                    self.say(second, format!("a second [{name}]; there can be one"));
                    return;
                }
                for item in list.iter() {
                    if let DeValue::Table(keys) = item.get_ref() {
                        (table.take)(builder, self, item.span().start, keys);
                    }
                }
            }
            other => {
                let kind = kind(other);
                let said = format!(
                    "{name}: {kind}, where a table is wanted; write [{name}] and its keys below it"
                );
                self.say(value.span().start, said);
            }
        }
    }

    /// Sets a key. `false` where there is none of this name.
    fn set_key<T: Configurable>(
        &mut self,
        options: &mut T,
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> bool {
        let Some(key) = T::KEYS.iter().find(|key| key.0 == name) else {
            return false;
        };
        if let Err(why) = (key.1)(options, &Setting::new(value)) {
            let option = dotted(T::NAME, name);
            self.say(value.span().start, format!("{option}: {why}"));
        }
        true
    }

    /// Sets all keys of a table.
    pub(super) fn set<T: Configurable>(&mut self, options: &mut T, table: &DeTable<'_>) {
        self.table_begins = self.wrong.len();
        for (name, value) in table.iter() {
            if !self.set_key(options, name.get_ref(), value) {
                let said = unknown_in_table::<T>(name.get_ref());
                self.say(name.span().start, said);
            }
        }
    }

    /// Whether options are as they should be; else that is said of the key that it is about, unless
    /// what was said before explains it.
    pub(super) fn accept(
        &mut self,
        name: &str,
        at: usize,
        table: &DeTable<'_>,
        checked: Result<(), Error>,
    ) -> bool {
        let Err(error) = checked else { return true };
        let option = error.option().unwrap_or_default();
        let key = option
            .strip_prefix(name)
            .map(|key| key.trim_start_matches('.'));
        let value = key.and_then(|key| table.get(key));
        let at = value.map_or(at, |value| value.span().start);
        // What is missing may be there under a wrong name.
        let explained = match value {
            Some(_) => self.wrong.iter().any(|(said_at, _)| *said_at == at),
            None => self.wrong.len() > self.table_begins,
        };
        if !explained {
            self.say(at, error.to_string());
        }
        false
    }
}

fn is_table(value: &Spanned<DeValue<'_>>) -> bool {
    matches!(value.get_ref(), DeValue::Table(_))
}

fn dotted(table: &str, key: &str) -> String {
    if table.is_empty() {
        key.to_owned()
    } else {
        format!("{table}.{key}")
    }
}

/// A key or a table that there is not.
fn unknown_at_top(name: &str, tables: &[Table]) -> String {
    let keys = names::<ProfilerBuilder>();
    let of: Vec<&str> = tables
        .iter()
        .filter(|table| (table.keys)().contains(&name))
        .map(|table| table.name)
        .collect();
    if !of.is_empty() {
        return format!(
            "{name}: a key of [{}]; write it below that line",
            of.join("] or [")
        );
    }
    let tables: Vec<&str> = std::iter::once(Keep::NAME).chain(SINKS).collect();
    let all = keys.iter().chain(&tables);
    format!(
        "{}: unknown{} {} and [{}]",
        shown(name),
        meant(name, all.copied(), "there are"),
        keys.join(", "),
        tables.join("], [")
    )
}

fn unknown_in_table<T: Configurable>(name: &str) -> String {
    let keys = names::<T>();
    if names::<ProfilerBuilder>().contains(&name) {
        return format!("{name}: belongs to no table; write it above the first [TABLE]");
    }
    let there_are = meant(name, keys.iter().copied(), &format!("[{}] has", T::NAME));
    format!(
        "{}.{}: unknown{there_are} {}",
        T::NAME,
        shown(name),
        keys.join(", ")
    )
}

/// What was probably meant, and the beginning of what there is.
fn meant<'a>(name: &str, names: impl IntoIterator<Item = &'a str>, there_are: &str) -> String {
    let meant = did_you_mean(name, names);
    let between = if meant.is_empty() { ";" } else { "" };
    format!("{meant}{between} {there_are}")
}
