//! TOML text → [`Table`], as much of it as can be read, and what is wrong with the rest.
//!
//! A slip inside one value (no quotes, a second line with the same key) concerns one flag; what
//! breaks the shape of the file (a missing bracket, half a line at the end) concerns all of it.

use super::MAX_DEPTH;
use super::flag::Key;
use super::node::{Entry, Node, Table, Value};
use super::plain;
use super::problem::{Findings, Spot};
use super::toml_message as message;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// More slips than these are no slips: it is another kind of file.
const MAX_SLIPS: usize = 200;
/// Of longer texts only the first slip is looked at, because each costs memory.
const MAX_MENDED: usize = 512 << 10;

/// What stands there. Where the layer cannot be used, that is among the findings.
pub(super) fn read<'t>(layer: usize, text: &'t str, findings: &mut Findings) -> Table<'t> {
    plain::toml(text).unwrap_or_else(|| read_any(layer, text, findings))
}

/// The same, whatever TOML it is.
pub(super) fn read_any<'t>(layer: usize, text: &'t str, findings: &mut Findings) -> Table<'t> {
    if text.len() > MAX_MENDED {
        return match DeTable::parse(text) {
            Ok(tree) => convert(layer, text, &tree, Vec::new(), findings),
            Err(error) => {
                let at = error.span().unwrap_or(0..0);
                let said = message::of(error.message(), &at, text, None);
                findings.slip_of_layer(Spot::new(layer, at), said);
                Table::default()
            }
        };
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    let slips = errors
        .into_iter()
        .map(|error| Slip {
            at: error.span().unwrap_or(0..0),
            said: error.message().to_owned(),
        })
        .collect();
    convert(layer, text, &tree, slips, findings)
}

/// One complaint of the parser.
struct Slip {
    at: Range<usize>,
    said: String,
}

fn convert<'t>(
    layer: usize,
    text: &'t str,
    tree: &Spanned<DeTable<'t>>,
    slips: Vec<Slip>,
    findings: &mut Findings,
) -> Table<'t> {
    let mut reader = Reader {
        layer,
        findings,
        too_deep: false,
    };
    let mut table = reader.table(tree.get_ref(), MAX_DEPTH);
    // The first one explains those that follow it on the same line.
    let mut slips = slips;
    slips.sort_by_key(|slip| slip.at.start);
    if slips.len() > MAX_SLIPS {
        slips.truncate(1);
        findings.whole_layer(
            layer,
            format!("cannot be read as TOML in more than {MAX_SLIPS} places"),
        );
    }
    let mut line = None;
    for slip in slips {
        let this = text.get(..slip.at.start).map(|before| before.rfind('\n'));
        if line == Some(this) {
            continue;
        }
        line = Some(this);
        judge(layer, text, &slip, &mut table, findings);
    }
    table
}

/// Says a slip to whom it concerns: a flag if it can be, else the file.
fn judge(layer: usize, text: &str, slip: &Slip, table: &mut Table<'_>, findings: &mut Findings) {
    let spot = Spot::new(layer, slip.at.clone());
    let twice = slip.said == "duplicate key";
    let first = twice
        .then(|| message::first_of_duplicate(text, &slip.at))
        .flatten();
    let mut said = message::of(&slip.said, &slip.at, text, first);
    let line = message::line_at(text, slip.at.start);
    if twice || slip.said.starts_with("unexpected key or value") {
        let flag = owner(text, slip.at.start, table);
        // In a header: what belongs to which table cannot be told.
        let Some(flag) = flag.filter(|_| !message::is_header(text, slip.at.start)) else {
            findings.slip_of_layer(spot, said);
            return;
        };
        if twice && message::plain_key(line) == Key::ENABLED && says_off(line) {
            switch_off(table, &flag);
            said.push_str(UNTIL_THEN);
        }
        findings.slip_of_flag(&flag, spot, said);
        return;
    }
    // Half a line at the end of a file is the end of half a file.
    let ends = text
        .get(slip.at.end..)
        .is_some_and(|rest| rest.contains('\n'));
    let brackets = ["unclosed", "comma", "inline table", "array"];
    let ends = ends && !brackets.iter().any(|word| slip.said.contains(word));
    match broken_value(table, &slip.at).filter(|_| ends) {
        Some((flag, key)) => {
            if key == Key::ENABLED && says_off(line) {
                switch_off(table, &flag);
                said.push_str(UNTIL_THEN);
            }
            findings.slip_of_flag(&flag, spot, said);
        }
        None => findings.slip_of_layer(spot, said),
    }
}

/// Added where a kill switch is written wrongly, and can be nothing else.
pub(super) const UNTIL_THEN: &str = "; until then the flag is off";

/// Whether the value in a line is `off` or `false`, in whatever quotes or letters.
fn says_off(line: &str) -> bool {
    let value = line.split_once('=').map_or("", |(_, value)| value);
    let value = value.split('#').next().unwrap_or_default().trim();
    let word = value.trim_matches(['"', '\'', '“', '”', '„', '‘', '’', '`', ',', ';']);
    word.eq_ignore_ascii_case("off") || word.eq_ignore_ascii_case("false")
}

fn switch_off(table: &mut Table<'_>, name: &str) {
    let Some(flag) = flags(table).and_then(|mut flags| flags.find(|entry| entry.key == name))
    else {
        return;
    };
    let off = Value::Text("off".into());
    match &mut flag.node.value {
        Value::Table(keys) => {
            let mut keys = keys.entries.iter_mut();
            if let Some(enabled) = keys.find(|entry| entry.key == Key::ENABLED) {
                enabled.node.value = off;
            }
        }
        simple => *simple = off,
    }
}

fn flags<'n, 't>(table: &'n mut Table<'t>) -> Option<impl Iterator<Item = &'n mut Entry<'t>>> {
    let flags = table
        .entries
        .iter_mut()
        .find(|entry| entry.key == "flags")?;
    match &mut flags.node.value {
        Value::Table(flags) => Some(flags.entries.iter_mut()),
        _ => None,
    }
}

/// The flag in whose section an offset is, by the last header before it.
fn owner(text: &str, offset: usize, table: &Table<'_>) -> Option<String> {
    let before = text.get(..offset)?;
    let header = before
        .rmatch_indices('[')
        .map(|(at, _)| at)
        .find(|at| message::is_header(text, *at))?;
    let flags = table.get("flags")?.node.as_table()?;
    flags
        .entries
        .iter()
        .find(|flag| within(flag, header))
        .map(|flag| flag.key.to_string())
}

/// Whether a header at this offset opens this flag or a table in it.
fn within(flag: &Entry<'_>, header: usize) -> bool {
    let holds = |span: &Range<usize>| span.contains(&header);
    if holds(&flag.node.span) {
        return true;
    }
    flag.node.as_table().is_some_and(|table| {
        let mut entries = table.entries.iter();
        entries.any(|entry| entry.node.as_table().is_some() && holds(&entry.node.span))
    })
}

/// Marks the simple value at this place as broken. Gives the flag and the key that it belongs to.
fn broken_value(table: &mut Table<'_>, at: &Range<usize>) -> Option<(String, String)> {
    flags(table)?.find_map(|flag| {
        let Value::Table(keys) = &mut flag.node.value else {
            let found = break_simple(&mut flag.node, at, MAX_DEPTH);
            return found.then(|| (flag.key.to_string(), Key::ENABLED.to_owned()));
        };
        let mut keys = keys.entries.iter_mut();
        let key = keys.find_map(|key| {
            break_simple(&mut key.node, at, MAX_DEPTH).then(|| key.key.to_string())
        })?;
        Some((flag.key.to_string(), key))
    })
}

fn break_simple(node: &mut Node<'_>, at: &Range<usize>, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    match &mut node.value {
        Value::Table(table) => {
            let mut entries = table.entries.iter_mut();
            entries.any(|entry| break_simple(&mut entry.node, at, depth))
        }
        Value::List(list) => list.iter_mut().any(|item| break_simple(item, at, depth)),
        _ => {
            let holds = node.span.start <= at.start && at.end <= node.span.end;
            if holds && !node.span.is_empty() || node.span == *at {
                node.value = Value::Broken;
                return true;
            }
            false
        }
    }
}

struct Reader<'a> {
    layer: usize,
    findings: &'a mut Findings,
    too_deep: bool,
}

impl Reader<'_> {
    /// As the tree has its keys sorted, they are put back into the order of the file.
    fn table<'t>(&mut self, tree: &DeTable<'t>, depth: usize) -> Table<'t> {
        let mut entries: Vec<Entry<'t>> = tree
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref().clone(),
                at: key.span(),
                node: self.node(value, depth),
            })
            .collect();
        entries.sort_by_key(|entry| entry.at.start);
        Table { entries }
    }

    fn node<'t>(&mut self, value: &Spanned<DeValue<'t>>, depth: usize) -> Node<'t> {
        let span = value.span();
        let Some(depth) = depth.checked_sub(1) else {
            if !self.too_deep {
                self.too_deep = true;
                self.findings.layer(
                    Spot::new(self.layer, span.clone()),
                    format!("nested more than {MAX_DEPTH} deep; a flag needs 4"),
                );
            }
            return Node {
                span,
                value: Value::Broken,
            };
        };
        let read = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.clone()),
            DeValue::Integer(number) => whole(number.as_str(), number.radix()),
            DeValue::Float(number) => Value::Real(number.as_str().to_owned().into()),
            DeValue::Boolean(yes) => Value::Bool(*yes),
            DeValue::Datetime(when) => match (when.date, when.time) {
                (Some(date), None) => Value::Date(date.year, date.month, date.day),
                _ => Value::Text(when.to_string().into()),
            },
            DeValue::Array(list) => self.list(list, depth),
            DeValue::Table(table) => Value::Table(self.table(table, depth)),
        };
        Node { span, value: read }
    }

    fn list<'t>(&mut self, list: &DeArray<'t>, depth: usize) -> Value<'t> {
        Value::List(list.iter().map(|item| self.node(item, depth)).collect())
    }
}

/// A number of more digits than 64 bits hold is a number all the same, only not a whole one.
fn whole(digits: &str, radix: u32) -> Value<'static> {
    let read = i64::from_str_radix(digits, radix);
    read.map_or_else(|_| Value::Real(digits.to_owned().into()), Value::Whole)
}
