//! `[shed]`: which priorities are off now.

use super::flag;
use super::names::day_text;
use super::nearest::did_you_mean;
use super::node::{Entry, Node, Table, Value};
use super::problem::{Findings, Spot, shown};
use crate::flags::model::{Document, Shed};

pub(super) const KEYS: [&str; 4] = ["from", "why", "by", "at"];

/// What the last layer that has one says; where that is wrong, what held before. With its place,
/// where it is a new one.
pub(super) fn read(
    tables: &[Table<'_>],
    last: Option<&Document>,
    findings: &mut Findings,
) -> Option<(Shed, Option<Spot>)> {
    let written = tables.iter().enumerate().rev();
    let mut found = written.filter_map(|(layer, table)| Some((layer, table.get("shed")?)));
    let (layer, entry) = found.next()?;
    let before = || {
        let shed = last.and_then(|last| last.shed.clone())?;
        Some((shed, None))
    };
    let spot = Spot::new(layer, entry.at.clone());
    let Some(table) = entry.node.as_table() else {
        let said = format!(
            "`shed` is {}; write [shed] and below it from = 7",
            entry.node.kind()
        );
        findings.line(spot, said);
        return before();
    };
    let Some(from) = table.get("from") else {
        unknown_keys(layer, table, findings);
        findings.line(
            spot,
            "[shed] has no `from`; write from = 7, or take [shed] out",
        );
        return before();
    };
    let mut shed = Shed::default();
    unknown_keys(layer, table, findings);
    for (key, place) in [
        ("why", &mut shed.why),
        ("by", &mut shed.by),
        ("at", &mut shed.at),
    ] {
        *place = table.get(key).and_then(|entry| text(&entry.node));
    }
    match priority(&from.node) {
        Ok(Some(priority)) => {
            shed.from = priority;
            Some((shed, Some(Spot::new(layer, from.at.clone()))))
        }
        Ok(None) => None,
        Err(said) => {
            findings.line(Spot::new(layer, from.node.span.clone()), said);
            before()
        }
    }
}

/// They change nothing: what is shed is known.
fn unknown_keys(layer: usize, table: &Table<'_>, findings: &mut Findings) {
    for Entry { key, at, .. } in &table.entries {
        if KEYS.contains(&&**key) {
            continue;
        }
        let name = shown(key);
        let said = if flag::KEYS.contains(&&**key) {
            format!(
                "`{name}` is a key of a flag, and stands below [shed]; move it below its [flags.NAME]"
            )
        } else {
            let meant = did_you_mean(key, KEYS);
            format!("[shed] has no `{name}`{meant}; it has from, why, by and at")
        };
        findings.line(Spot::new(layer, at.clone()), said);
    }
}

fn text(node: &Node<'_>) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.to_string()),
        Value::Date(year, month, day) => Some(day_text(*year, *month, *day)),
        Value::Whole(number) => Some(number.to_string()),
        _ => None,
    }
}

/// From 1 to 9, or nothing at all.
fn priority(node: &Node<'_>) -> Result<Option<u8>, String> {
    let wrong = |what: &str| {
        Err(format!(
            "from = {what}: a priority from 1 to 9, where 9 goes first; or \"none\" to shed nothing"
        ))
    };
    match &node.value {
        Value::Whole(number @ 1..=9) => Ok(u8::try_from(*number).ok()),
        Value::Text(word) if *word == "none" => Ok(None),
        Value::Text(word) => match word.trim().parse::<u8>() {
            Ok(number @ 1..=9) => Err(format!(
                "from is a number; write from = {number}, without quotes"
            )),
            _ => wrong(&shown(word)),
        },
        Value::Whole(number) => wrong(&number.to_string()),
        Value::Real(number) => wrong(&shown(number)),
        _ => wrong(node.kind()),
    }
}
