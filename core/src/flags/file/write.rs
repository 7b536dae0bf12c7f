//! Back to JSON: a variant's data, and flags in the file's own form, for keeping.

use super::names::day_text;
use super::node::{Node, Value};
use super::problem::shown;
use crate::flags::model::{BucketBy, Enabled, FlagSpec};
use serde_json::{Map, Value as Json, json};

/// A variant's data may have this many bytes as JSON.
const MAX_DATA: usize = 64 << 10;

/// The JSON text of a value, whatever it was written in.
pub(super) fn json_of(node: &Node<'_>) -> Result<String, String> {
    let json = value(node)?.to_string();
    if json.len() > MAX_DATA {
        return Err(format!("data of more than {} KiB", MAX_DATA >> 10));
    }
    Ok(json)
}

/// As deep as the reader let it be.
fn value(node: &Node<'_>) -> Result<Json, String> {
    Ok(match &node.value {
        Value::Text(text) => Json::String(text.to_string()),
        Value::Whole(number) => json!(number),
        Value::Real(text) => {
            let plain: String = text.chars().filter(|c| *c != '_').collect();
            let number = plain
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64);
            Json::Number(
                number.ok_or_else(|| format!("{} is no number that JSON has", shown(text)))?,
            )
        }
        Value::Bool(yes) => Json::Bool(*yes),
        Value::Date(year, month, day) => Json::String(day_text(*year, *month, *day)),
        Value::List(list) => Json::Array(list.iter().map(value).collect::<Result<_, _>>()?),
        Value::Table(table) => {
            let mut object = Map::new();
            for entry in &table.entries {
                object.insert(entry.key.to_string(), value(&entry.node)?);
            }
            Json::Object(object)
        }
        Value::Nothing => Json::Null,
        Value::Broken => return Err("a part of it cannot be read".to_owned()),
    })
}

/// These flags as a file that says just the same: read back, each is what it was.
#[must_use]
pub fn native_json(flags: &[FlagSpec]) -> String {
    let mut text = String::from("{\"flags\": {");
    for (at, flag) in flags.iter().enumerate() {
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        text.push_str(&Json::String(flag.name.clone()).to_string());
        text.push_str(": ");
        text.push_str(&flag_json(flag));
    }
    text.push_str("\n}}\n");
    text
}

/// Written by hand, because the order of groups and variants counts and a map would sort them.
fn flag_json(flag: &FlagSpec) -> String {
    let mut entries: Vec<(&str, String)> = Vec::new();
    let text = |text: &str| Json::String(text.to_owned()).to_string();
    let pairs = |pairs: &[(String, String)]| {
        let parts: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("{}: {value}", text(key)))
            .collect();
        format!("{{{}}}", parts.join(", "))
    };
    let named = |list: &[(String, String)]| {
        let quoted: Vec<(String, String)> = list
            .iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect();
        pairs(&quoted)
    };
    entries.push(("enabled", enabled_json(&flag.enabled)));
    for (key, value) in [
        ("description", &flag.description),
        ("owner", &flag.owner),
        ("expires", &flag.expires),
        ("salt", &flag.salt),
    ] {
        entries.extend(value.as_deref().map(|value| (key, text(value))));
    }
    if !flag.groups.is_empty() {
        entries.push(("groups", named(&flag.groups)));
    }
    if !flag.users.is_empty() {
        // An id that stands twice would be one key twice; the last one holds.
        let mut seen = std::collections::HashSet::new();
        let mut last: Vec<(String, String)> = flag
            .users
            .iter()
            .rev()
            .filter(|(id, _)| seen.insert(id.as_str()))
            .cloned()
            .collect();
        last.reverse();
        entries.push(("users", named(&last)));
    }
    entries.extend(flag.dark.map(|share| ("dark", text(&format!("{share}%")))));
    let bucket_by = match &flag.bucket_by {
        BucketBy::Any => None,
        BucketBy::Visitor => Some("visitor"),
        BucketBy::User => Some("user"),
        BucketBy::Request => Some("request"),
        BucketBy::Attribute(name) => Some(name.as_str()),
    };
    entries.extend(bucket_by.map(|by| ("bucket_by", text(by))));
    entries.extend(flag.id.map(|id| ("id", id.to_string())));
    entries.extend(
        flag.priority
            .map(|priority| ("priority", priority.to_string())),
    );
    if let Some(numbers) = numbers(flag) {
        entries.push(("variants", pairs(&numbers)));
    }
    if !flag.data.is_empty() {
        entries.push(("data", pairs(&flag.data)));
    }
    let entries: Vec<String> = entries
        .iter()
        .map(|(key, value)| format!("\"{key}\": {value}"))
        .collect();
    format!("{{{}}}", entries.join(", "))
}

fn enabled_json(enabled: &Enabled) -> String {
    match enabled {
        Enabled::Off => "\"off\"".to_owned(),
        Enabled::All(variant) => Json::String(variant.clone()).to_string(),
        Enabled::Shares(shares) => {
            let parts: Vec<String> = shares
                .iter()
                .map(|(name, share)| format!("{}: \"{share}%\"", Json::String(name.clone())))
                .collect();
            format!("{{{}}}", parts.join(", "))
        }
    }
}

fn numbers(flag: &FlagSpec) -> Option<Vec<(String, String)>> {
    let numbered = flag.variants.iter();
    let list: Vec<(String, String)> = numbered
        .map(|(name, number)| (name.clone(), number.to_string()))
        .collect();
    (!list.is_empty()).then_some(list)
}
