//! Changes a TOML file as a careful person would: only what is to change, comments and order kept.

use super::change::Change;
use toml_edit::{Decor, DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

/// The text, changed.
pub(super) fn change(text: &str, change: &Change) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    match change {
        Change::Enable { flag, value, note } => {
            let root = document.as_table_mut();
            if root.get("flags").is_some_and(Item::is_inline_table) {
                // No comment has room between the braces of a line.
                enable(root, flag, value.to_toml(), None);
                comment(root, "flags", Some(note));
            } else {
                enable(root, flag, value.to_toml(), Some(note));
            }
        }
        Change::Clear { flag } => clear(document.as_table_mut(), flag),
        Change::Shed(shed) => {
            let mut table = Table::new();
            table.insert("from", Item::Value(i64::from(shed.from).into()));
            for (key, value) in [("why", &shed.why), ("by", &shed.by), ("at", &shed.at)] {
                if let Some(value) = value {
                    table.insert(key, Item::Value(value.as_str().into()));
                }
            }
            put_shed(&mut document, table);
        }
        Change::ShedNothing { note } => {
            let mut table = Table::new();
            table.insert("from", Item::Value("none".into()));
            comment(&mut table, "from", Some(note));
            put_shed(&mut document, table);
        }
        Change::ClearShed => {
            if let Some(Item::Table(shed)) = document.remove("shed") {
                keep_comments(document.as_table_mut(), before(&shed));
            }
        }
    }
    Ok(document.to_string())
}

/// In its old place, if it had one, else at the top: it is what is looked for first.
fn put_shed(document: &mut DocumentMut, mut table: Table) {
    if let Some(old) = document.get("shed").and_then(Item::as_table) {
        *table.decor_mut() = old.decor().clone();
        table.set_position(old.position());
    } else {
        table.set_position(Some(-1));
        let is_first = !document.is_empty();
        if let Some((_, Item::Value(last))) = table.iter_mut().last()
            && is_first
        {
            // An empty line before what comes next.
            last.decor_mut().set_suffix("\n");
        }
    }
    document.insert("shed", Item::Table(table));
}

fn enable(root: &mut Table, flag: &str, value: Value, note: Option<&str>) {
    if !root.contains_key("flags") {
        let mut flags = Table::new();
        flags.set_implicit(true);
        root.insert("flags", Item::Table(flags));
    }
    let Some(flags) = root.get_mut("flags").and_then(Item::as_table_like_mut) else {
        return;
    };
    match flags.get_mut(flag) {
        None => {
            let mut table = Table::new();
            table.decor_mut().set_prefix("\n");
            table.insert("enabled", Item::Value(value));
            comment(&mut table, "enabled", note);
            flags.insert(flag, Item::Table(table));
        }
        Some(Item::Value(Value::InlineTable(table))) => {
            let decor = table.get("enabled").map(|old| old.decor().clone());
            let new = table.get_or_insert("enabled", value.clone());
            *new = value;
            *new.decor_mut() = decor.unwrap_or_default();
            comment(flags, flag, note);
        }
        Some(item) if item.is_table_like() => {
            if let Some(table) = item.as_table_like_mut() {
                put(table, "enabled", value, note);
            }
        }
        Some(_) => put(flags, flag, value, note),
    }
}

/// The value alone is changed; what stands around it stays, but for what we said there before.
fn put(table: &mut dyn TableLike, key: &str, mut value: Value, note: Option<&str>) {
    match table.get_mut(key) {
        Some(item) => {
            if let Some(old) = item.as_value() {
                *value.decor_mut() = old.decor().clone();
            }
            *item = Item::Value(value);
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
    comment(table, key, note);
}

/// A comment on the line above a key; one of ours that is there goes.
fn comment(table: &mut dyn TableLike, key: &str, note: Option<&str>) {
    let (Some(mut key), Some(note)) = (table.key_mut(key), note) else {
        return;
    };
    let decor = key.leaf_decor_mut();
    let before = above(decor);
    decor.set_prefix(format!("{before}{note}\n"));
}

/// What stands above a key, without ours.
fn above(decor: &Decor) -> String {
    let prefix = decor.prefix().and_then(|prefix| prefix.as_str());
    let lines = prefix.unwrap_or_default().split_inclusive('\n');
    lines.filter(|line| !super::note::is_ours(line)).collect()
}

fn clear(root: &mut Table, flag: &str) {
    let Some(flags) = root.get_mut("flags").and_then(Item::as_table_like_mut) else {
        return;
    };
    let (mut is_empty, mut kept) = (true, String::new());
    if let Some(table) = flags.get_mut(flag).and_then(Item::as_table_like_mut) {
        kept = take(table, "enabled");
        is_empty = table.is_empty();
    } else if flags.contains_key(flag) {
        kept = take(flags, flag);
    }
    if is_empty {
        let gone = flags.remove(flag);
        // Comments of people stay, above what comes next.
        if let Some(Item::Table(table)) = gone {
            kept.insert_str(0, before(&table));
        }
    }
    let left_nothing = flags.is_empty();
    keep_comments(root, &kept);
    if left_nothing {
        root.remove("flags");
    }
}

/// Removes a key, and gives the comments of people that stood above it.
fn take(table: &mut dyn TableLike, key: &str) -> String {
    let kept = table
        .key(key)
        .map(|key: &Key| above(key.leaf_decor()))
        .unwrap_or_default();
    table.remove(key);
    kept
}

/// At the top of the file, because where they stood is gone.
fn keep_comments(root: &mut Table, kept: &str) {
    let lines: String = kept
        .split_inclusive('\n')
        .filter(|line| line.trim_start().starts_with('#'))
        .collect();
    if lines.is_empty() {
        return;
    }
    let before = format!("{lines}\n{}", before(root));
    root.decor_mut().set_prefix(before);
}

/// What stands before a table's name.
fn before(table: &Table) -> &str {
    let prefix = table.decor().prefix().and_then(|prefix| prefix.as_str());
    prefix.unwrap_or_default()
}

/// A value as TOML has it.
impl super::change::Wanted {
    fn to_toml(&self) -> Value {
        match self {
            Self::Word(word) => word.as_str().into(),
            Self::Shares(shares) => {
                let mut table = InlineTable::new();
                for (name, percent) in shares {
                    table.insert(name, percent.as_str().into());
                }
                Value::InlineTable(table)
            }
        }
    }
}
