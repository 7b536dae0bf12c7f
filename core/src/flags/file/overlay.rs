//! Layers → one document: later files over earlier ones, key by key.

use super::flag::{self, KEYS, Key, Written};
use super::nearest::did_you_mean;
use super::node::{Entry, Node, Table, Value};
use super::problem::{Findings, Lines, Spot, shown};
use super::{MAX_FLAGS, Reading, names, shed};
use crate::flags::model::{Document, Enabled, FlagSpec, Place};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What may stand at the top of a file. `$schema` is for editors.
const TOP: [&str; 3] = ["flags", "shed", "$schema"];

/// Looks at what stands at the top of a layer. A table that is not known here may be a mistyped
/// one, with all its flags, so that the layer as a whole is not used.
pub(super) fn top_level(layer: usize, table: &Table<'_>, findings: &mut Findings) {
    for entry in &table.entries {
        let spot = Spot::new(layer, entry.at.clone());
        match &*entry.key {
            "flags" => flags_shape(layer, entry, findings),
            "shed" | "$schema" => {}
            other => findings.layer(spot, misplaced(other, &entry.node)),
        }
    }
}

fn flags_shape(layer: usize, entry: &Entry<'_>, findings: &mut Findings) {
    let spot = Spot::new(layer, entry.node.span.clone());
    match &entry.node.value {
        Value::Table(flags) if flags.entries.len() > MAX_FLAGS => {
            findings.layer(spot, format!("more than {MAX_FLAGS} flags"));
        }
        Value::Table(_) | Value::Broken => {}
        Value::List(_) => findings.layer(
            spot,
            "flags are a table by name, not a list; write [flags.NAME] for each",
        ),
        _ => findings.layer(
            spot,
            format!(
                "`flags` is {}; write [flags.NAME] and below it enabled = \"off\"",
                entry.node.kind()
            ),
        ),
    }
}

/// Something at the top of a file that does not belong there.
fn misplaced(key: &str, node: &Node<'_>) -> String {
    let name = shown(key);
    if shed::KEYS.contains(&key) {
        return format!("`{name}` stands outside of any table; it belongs below [shed]");
    }
    if KEYS.contains(&key) {
        return format!("`{name}` stands outside of any flag; it belongs below [flags.NAME]");
    }
    if let Some(table) = node.as_table() {
        let meant = did_you_mean(key, TOP);
        if !meant.is_empty() {
            return format!("there is no table `{name}`{meant}");
        }
        if table
            .entries
            .iter()
            .any(|entry| KEYS.contains(&&*entry.key))
        {
            return format!("`{name}` stands outside of `flags`; write [flags.{name}]");
        }
        return format!("there is no table `{name}`; a file has [shed] and [flags.NAME]");
    }
    format!(
        "`{name}` stands outside of `flags`; write [flags.{name}] and below it enabled = \"off\""
    )
}

/// A flag of all layers together.
struct Merged<'a> {
    name: &'a str,
    first: Spot,
    keys: Vec<Written<'a>>,
    /// Names of variants, from wherever any layer introduces them: a later `enabled` lies over an
    /// earlier one, whose variants groups and users may still have.
    variants: Vec<&'a str>,
}

/// Puts the layers over each other. `named` are their names and texts.
pub(super) fn overlay(
    named: &[(PathBuf, Arc<str>)],
    tables: &[Table<'_>],
    last: Option<&Document>,
    findings: &mut Findings,
) -> Reading {
    let lines: Vec<Lines<'_>> = named.iter().map(|(_, text)| Lines::of(text)).collect();
    let place = |spot: &Spot| {
        let line = lines
            .get(spot.layer)
            .map_or(0, |lines| lines.line(spot.span.start));
        Place::new(u32::try_from(spot.layer).unwrap_or(u32::MAX), line)
    };
    let mut reading = Reading::default();
    reading.document.files = named
        .iter()
        .map(|(path, _)| path.display().to_string())
        .collect();
    reading.document.shed = shed::read(tables, last, findings).map(|(mut shed, spot)| {
        if let Some(spot) = spot {
            shed.place = place(&spot);
        }
        shed
    });
    let before: HashMap<&str, &FlagSpec> = last
        .into_iter()
        .flat_map(|last| &last.flags)
        .filter(|flag| flag.broken.is_none())
        .map(|flag| (flag.name.as_str(), flag))
        .collect();
    let merged = merge(tables, findings);
    reading.document.flags.reserve_exact(merged.len());
    for flag in merged.into_iter().take(MAX_FLAGS) {
        let mut spec = flag::read(flag.name, &flag.keys, flag.variants, findings);
        spec.place = place(&flag.first);
        spec.keys = places(&flag.keys, place);
        // A kill switch holds whatever else is wrong with the flag.
        if findings.is_bad_flag(flag.name) && spec.enabled != Enabled::Off {
            if let Some(older) = before.get(flag.name) {
                spec = FlagSpec::clone(older);
                reading.kept_flags.push(flag.name.to_owned());
            } else {
                spec.broken = Some("wrong in the file, and no earlier form is known".to_owned());
                reading.broken_flags.push(flag.name.to_owned());
            }
        }
        reading.document.flags.push(spec);
    }
    reading
}

/// With room for a few more.
fn named<const N: usize>(names: [&str; N]) -> Vec<&str> {
    let mut list = Vec::with_capacity(8);
    list.extend(names);
    list
}

/// Where each key of a flag stands. What is no key was said to be none.
fn places(keys: &[Written<'_>], place: impl Fn(&Spot) -> Place) -> Vec<(&'static str, Place)> {
    let mut places = Vec::with_capacity(keys.len());
    for written in keys {
        let key = KEYS.iter().find(|key| **key == written.key);
        places.extend(key.map(|key| (*key, place(&written.spot))));
    }
    places
}

/// In the order in which names were first written. A later layer's key replaces the earlier one's.
fn merge<'a>(tables: &'a [Table<'a>], findings: &mut Findings) -> Vec<Merged<'a>> {
    let flags_of = |table: &'a Table<'a>| table.get("flags")?.node.as_table();
    let most = tables
        .iter()
        .filter_map(flags_of)
        .map(|table| table.entries.len());
    let most = most.max().unwrap_or(0);
    let mut flags: Vec<Merged<'a>> = Vec::with_capacity(most);
    let mut known: HashMap<&str, usize> = HashMap::with_capacity(most);
    for (layer, table) in tables.iter().enumerate() {
        let Some(written) = flags_of(table) else {
            continue;
        };
        for entry in &written.entries {
            let spot = Spot::new(layer, entry.at.clone());
            if let Some(wrong) = names::name_is_wrong(&entry.key, &entry.node) {
                findings.line(spot, wrong);
                continue;
            }
            let at = *known.entry(&entry.key).or_insert(flags.len());
            if at == flags.len() {
                flags.push(Merged {
                    name: &entry.key,
                    first: spot,
                    keys: Vec::with_capacity(KEYS.len()),
                    variants: named(["on", "off"]),
                });
            }
            if let Some(flag) = flags.get_mut(at) {
                add_keys(layer, entry, flag, findings);
            }
        }
    }
    flags
}

fn add_keys<'a>(layer: usize, entry: &'a Entry, flag: &mut Merged<'a>, findings: &mut Findings) {
    let mut put = |key: &'a str, at: &std::ops::Range<usize>, node: &'a Node<'a>| {
        let written = Written {
            key,
            spot: Spot::new(layer, at.clone()),
            node,
        };
        if ["variants", Key::ENABLED].contains(&key)
            && let Some(table) = node.as_table()
        {
            let names = table.entries.iter().map(|entry| &*entry.key);
            flag.variants.extend(names);
        }
        match flag.keys.iter_mut().find(|before| before.key == key) {
            Some(before) => *before = written,
            None => flag.keys.push(written),
        }
    };
    match &entry.node.value {
        Value::Table(table) => {
            for inner in &table.entries {
                put(&inner.key, &inner.at, &inner.node);
            }
        }
        Value::Text(_) | Value::Bool(_) | Value::Whole(_) | Value::Real(_) | Value::Broken => {
            put(Key::ENABLED, &entry.at, &entry.node);
        }
        Value::List(_) | Value::Date(..) | Value::Nothing => {
            let said = format!(
                "a flag is a table or, for short, its `enabled`; this is {}; write {} = \"off\"",
                entry.node.kind(),
                shown(&entry.key)
            );
            findings.flag(&entry.key, Spot::new(layer, entry.node.span.clone()), said);
        }
    }
}
